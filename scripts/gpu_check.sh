#!/usr/bin/env bash
# scripts/gpu_check.sh: what a GPU does, held to the CPU, row by row: PASS, FAIL, or NOT RUN with a reason (docs/gpu.md).
#   --engine cuda|emulated   what computes (cuda); the emulated engine needs no GPU, and its sizes are small
#   --build FOLDER           a build folder (build); in an unpacked bundle its lib/ is taken
#   --only ROW               that row, or all of a group: ops, model.moe; may be given again
#   --list                   names the rows
#   --limit SECONDS          that a row may take (900)
#   --out FOLDER             for gpu_check.json and a log a row (BUILD/gpu_check)
#   --log                    adds date, commit, device and table to docs/gpu_log.md
#   --help                   these lines
# Exit code 0 where nothing failed, 1 where a row did, 2 for a wrong option or row. Without a GPU to use, the row `device`
# fails and those that need one are not run.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/$(basename "${BASH_SOURCE[0]}")
engine=cuda build='' limit=900 out='' log='' list='' row='' only=()
usage() { echo "error: $1: see $self --help" >&2; exit 2; }
while [ $# -gt 0 ]; do
    option=$1
    case $option in
        --engine | --build | --only | --limit | --out | --row) [ $# -gt 1 ] || usage "$option wants a value"; shift ;;
    esac
    case $option in
        --engine) engine=$1 ;;
        --build) build=$1 ;;
        --only) only+=("$1") ;;
        --limit) limit=$1 ;;
        --out) out=$1 ;;
        --row) row=$1 ;;   # runs one row, in a process of its own
        --list) list=yes ;;
        --log) log=yes ;;
        --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$self"; exit 0 ;;
        *) usage "unknown option $option" ;;
    esac
    shift
done
case $engine in cuda | emulated) ;; *) usage "--engine is cuda or emulated, not $engine" ;; esac
[[ $limit =~ ^[1-9][0-9]*$ ]] || usage "--limit is a number of seconds, not $limit"

# ---------------------------------------------------------------- where the programs are
loader=() root=$here/..
if [ -e "$here/lib/ld-linux-x86-64.so.2" ] && [ -z "$build" ]; then   # a bundle: with its own loader and libraries
    root=$here build=$here/lib tests=$here/lib out=${out:-$here/gpu_check}
    loader=("$build/ld-linux-x86-64.so.2")
else
    build=${build:-$root/build}
    [ -d "$build" ] || usage "$build is not a folder: build first, or name one by --build"
    build=$(cd "$build" && pwd) && tests=$build/tests out=${out:-$build/gpu_check}
fi
mkdir -p "$out" 2>/dev/null || usage "cannot write to $out"
out=$(cd "$out" && pwd)
small=()
if [ "$engine" = emulated ]; then
    check=gpu_check_emulated suite=test_gpu_emulated library=libsluice_emulated.so small=(--small)
else
    check=gpu_check suite=test_gpu library=libsluice_cuda.so
fi

# program FOLDER/NAME ARGUMENT ...
program() {
    if [ ${#loader[@]} -gt 0 ]; then
        exec "${loader[@]}" --library-path "$libraries" "$@"
    else
        LD_LIBRARY_PATH=${libraries:+$libraries${LD_LIBRARY_PATH:+:}}${LD_LIBRARY_PATH:-} exec "$@"
    fi
}
needs() {   # libraries that the engine needs and the loader does not find
    if [ ${#loader[@]} -gt 0 ]; then
        "${loader[@]}" --library-path "$libraries" --list "$build/$library" 2>&1
    else
        LD_LIBRARY_PATH=${libraries:+$libraries${LD_LIBRARY_PATH:+:}}${LD_LIBRARY_PATH:-} ldd "$build/$library" 2>&1
    fi | sed -n 's/^[[:space:]]*\(lib[^ ]*\) => not found.*/\1/p;s/.*: \(lib[^ :]*\): cannot open shared object file.*/\1/p' | sort -u
}
# Where CUDA's libraries may be beside the system's own paths: the toolkit, and PyTorch's wheels.
folders() {
    local python site
    printf '%s\n' "${CUDA_HOME:-/usr/local/cuda}"/lib64 /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib
    for python in "${PYTHON:-python3}" python; do
        site=$("$python" -c 'import site, sys; print("\n".join(sys.path + [site.getusersitepackages()]))' 2>/dev/null) || continue
        while read -r site; do [ -z "$site" ] || printf '%s\n' "$site"/nvidia/*/lib; done <<<"$site"
    done
    printf '%s\n' "${VIRTUAL_ENV:-/nowhere}"/lib/python3*/site-packages/nvidia/*/lib \
        /opt/conda/lib/python3*/site-packages/nvidia/*/lib /usr/local/lib/python3*/*-packages/nvidia/*/lib
}
if [ -n "${GPU_CHECK_LIBRARIES+set}" ]; then   # a row: found already
    libraries=$GPU_CHECK_LIBRARIES missing=$GPU_CHECK_MISSING
else
    libraries=${loader:+$build} missing=$(needs)
    for name in $missing libcudnn.so.9 libnccl.so.2; do   # the latter may be loaded when they are wanted
        [[ $missing = *"$name"* ]] || ! { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -F "$name" >/dev/null || continue   # -q: a SIGPIPE for ldconfig
        while read -r folder; do
            [ -e "$folder/$name" ] || continue
            [[ :$libraries: = *":$folder:"* ]] || libraries=${libraries:+$libraries:}$folder
            break
        done < <(folders)
    done
    missing=$(needs)
fi
export GPU_CHECK_LIBRARIES=$libraries GPU_CHECK_MISSING=$missing
install_line() {
    local name=${1%%.so*}
    case $name in
        libcublas*) echo "$1 is not found: pip install nvidia-cublas, or cuBLAS of CUDA 13" ;;
        libcudnn*) echo "$1 is not found: pip install nvidia-cudnn-cu13, or cuDNN 9" ;;
        libnccl*) echo "$1 is not found: pip install nvidia-nccl-cu13, or NCCL 2" ;;
        *) echo "$1 is not found: install it, or run a bundle of scripts/gpu_bundle.sh" ;;
    esac
}

# ---------------------------------------------------------------- rows that are the shell's
# A row prints `detail: TEXT` and `number: NAME VALUE`, and ends with 0, 1 (it fails) or 77 (it was not run).
end() { echo "detail: $2"; exit "$1"; }
number() { echo "number: $1 $2"; }
last_line() { grep -v '^[[:space:]]*$' "$1" | tail -n 1; }
sluice() { (SLUICE_ENGINE=$build/$library program "$build/sluice" "$@"); }

row_clocks() {
    local query=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit,temperature.gpu,compute_mode said
    [ "$engine" = cuda ] || end 77 'the emulated engine has none'
    command -v nvidia-smi >/dev/null || end 77 'no nvidia-smi here'
    said=$(nvidia-smi --query-gpu="$query" --format=csv,noheader 2>&1 | head -n 1) ||
        end "$([ -n "$no_gpu" ] && echo 77 || echo 1)" "${no_gpu:-nvidia-smi: $said}"
    end 0 "name, driver, SM clock and most, memory clock, power and limit, degrees, mode: $said"
}

suites() {   # suites PROGRAM: of tests/cuda
    (program "$tests/$1" --gtest_list_tests) 2>/dev/null | grep -v '^[[:space:]]\|^Running' |
        sed 's/[[:space:]]*#.*//;s/\.$//;s,/[0-9]*$,,;s,.*/,,' | awk '!seen[$0]++'
}
row_ops() {
    local name=${row#ops.} code=0 filter failed
    filter="$name.*:$name/*.*:*/$name.*"
    if [ "$engine" = emulated ]; then   # what takes the emulator seconds: float alone, of many models two, no large probes
        filter="$name.*:$name/0.*:*/$name.*"
        [ "$name" != CudaModel ] || filter='*/CudaModel.*/sdpa_elementwise:*/CudaModel.*/moe_global'
        filter+=':-CudaProbes/*.OfMagnitudes:CudaMesh.MixturesAgreeWithOneRank:CudaMesh.Bf16AgreesWithOneRank'
    fi
    (program "$tests/$suite" "--gtest_filter=$filter") >"$out/$row.tests" 2>&1 || code=$?
    cat "$out/$row.tests"
    failed=$(sed -n 's/^\[  FAILED  \] \([^ ,]*\).*ms)$/\1/p' "$out/$row.tests" | sort -u | paste -sd' ' -)
    number tests "$(grep -c '^\[       OK \]\|^\[  FAILED  \].*ms)$' "$out/$row.tests")"
    [ "$code" -gt 1 ] && [ -z "$failed" ] &&
        end "$code" "in $(sed -n 's/^\[ RUN      \] //p' "$out/$row.tests" | tail -n 1): $(last_line "$out/$row.tests")"
    [ "$code" = 0 ] || end 1 "fails: ${failed:-$(last_line "$out/$row.tests")}"
    grep -q '^\[  PASSED  \] [1-9]' "$out/$row.tests" || end 1 'no test was run'
    end 0 "$(sed -n 's/^\[  PASSED  \] //p' "$out/$row.tests" | tail -n 1)"
}

# A run of 20 steps with checkpoints after 10 and 20, in a folder of its own, in both precisions.
prepare_run() {
    rm -rf "$out/$row.run"
    { mkdir -p "$out/$row.run" && cd "$out/$row.run"; } || end 1 "cannot write to $out"
    local size='layers: 2, hidden: 32, heads: 4, kv_heads: 2, ffn: {hidden: 48}' length=16 batch=4
    [ "$engine" = emulated ] || size='layers: 4, hidden: 512, heads: 8, kv_heads: 4, ffn: {hidden: 1024}' length=256 batch=8
    cat >run.yaml <<YAML
model: {$size, gates: [{position: sdpa, granularity: elementwise}]}
data: {train: [{path: shards/numbers.json}], sequence_length: $length}
train: {steps: 20, batch: $batch, micro_batch: 2}
optimizer: {lr: 0.001}
checkpoint: {every: 10, keep: 2}
device: cuda
YAML
    seq 1 20000 >numbers.txt
    (program "$build/sluice-data" tokenize --tokenizer bytes --out shards --name numbers numbers.txt) ||
        end 1 'sluice-data fails: see the log'
}
train() {   # train NAME PRECISION
    sluice train run.yaml "run.name=$1" "train.precision=$2" >"$1.log" 2>&1 || { cat "$1.log"; end 1 "sluice train: $(last_line "$1.log")"; }
}
same_files() {   # same_files A B WHAT: of two steps' folders
    local file count=0
    for file in "$1"/*.safetensors; do
        [ -e "$file" ] || end 1 "$1 has no checkpoint"
        cmp "$file" "$2/$(basename "$file")" || end 1 "$3: $(basename "$file") of $(basename "$1") differs"
        count=$((count + 1))
    done
    number files "$count"
}
row_bits_repeat() {
    local precision
    prepare_run
    for precision in fp32 bf16; do
        train "a_$precision" "$precision"
        train "b_$precision" "$precision"
        same_files "runs/a_$precision/checkpoints/step-00000020" "runs/b_$precision/checkpoints/step-00000020" "$precision"
    done
    end 0 'two runs of 20 steps leave the same files, in fp32 and in bf16'
}
row_bits_resume() {
    local precision step
    prepare_run
    for precision in fp32 bf16; do
        train "a_$precision" "$precision"
        step=runs/a_$precision/checkpoints/step-00000020
        mv "$step" "whole_$precision"
        train "a_$precision" "$precision"
        grep -qi 'resum\|step 10' "a_$precision.log" || end 1 "the second run did not resume: $(head -n 3 "a_$precision.log" | paste -sd' ')"
        same_files "whole_$precision" "$step" "$precision"
    done
    end 0 'resumed after 10 of 20 steps a run leaves the same files, in fp32 and in bf16'
}

bench_config() {   # of 1.7B-28 with a gate: the arguments of sluice
    arguments=("$root/configs/models/dense_1p7b_28.yaml" "$root/configs/gates/$1.yaml" device=cuda train.batch=4 train.micro_batch=4)
    [ "$engine" = cuda ] || arguments+=(model.layers=1 model.hidden=64 model.heads=2 model.kv_heads=1 model.head_dim=32 model.vocab=256
        model.ffn.hidden=64 data.sequence_length=64 train.batch=2 train.micro_batch=2)
}
gate_file() { case $1 in none) echo none ;; *) echo "sdpa_$1" ;; esac; }
value() { grep -oE "\"$2\": *[-+.0-9e]+" "$1" | head -n 1 | sed 's/.*: *//'; }   # value FILE KEY: the first such number of a JSON
row_bench_step() {
    local gate=${row##*.} key text=''
    bench_config "$(gate_file "$gate")"
    sluice bench step "${arguments[@]}" --json >"$out/$row.json" 2>"$out/$row.err" || { cat "$out/$row.err"; end 1 "$(last_line "$out/$row.err")"; }
    for key in tokens_per_second step_seconds model_flops_per_second share mfu; do
        [ -z "$(value "$out/$row.json" "$key")" ] || number "$key" "$(value "$out/$row.json" "$key")"
    done
    text=$(awk -v r="$(value "$out/$row.json" tokens_per_second)" -v f="$(value "$out/$row.json" model_flops_per_second)" \
        'BEGIN {if (r <= 0) exit 1; printf "%.0f tok/s, %.3g FLOP/s of the model", r, f}') || end 1 'no tokens a second in its JSON'
    [ -z "$(value "$out/$row.json" mfu)" ] || text+=", MFU $(value "$out/$row.json" mfu)"
    end 0 "$text"
}
row_bench_kernels() {
    local rows
    bench_config none
    sluice bench kernels "${arguments[@]}" --json >"$out/$row.json" 2>"$out/$row.err" || { cat "$out/$row.err"; end 1 "$(last_line "$out/$row.err")"; }
    rows=$(grep -o '"op"' "$out/$row.json" | wc -l)
    [ -n "$(value "$out/$row.json" gemm_flops_per_second)" ] || end 1 'no rate in its JSON'
    number gemm_flops_per_second "$(value "$out/$row.json" gemm_flops_per_second)"
    number copy_bytes_per_second "$(value "$out/$row.json" copy_bytes_per_second)"
    [ "$rows" -gt 0 ] || end 77 'this engine does not time its kernels'
    end 0 "$rows ops and sizes in $row.json; products $(value "$out/$row.json" gemm_flops_per_second) FLOP/s, copies $(value "$out/$row.json" copy_bytes_per_second) B/s"
}
row_torch() {
    local gate=${row##*.} python=${PYTHON:-python3} ours rate
    [ "$engine" = cuda ] || end 77 'the emulated engine is not compared with PyTorch'
    command -v "$python" >/dev/null || end 77 "no $python: set PYTHON to one that has torch"
    "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null || end 77 "$python has no torch with CUDA: set PYTHON"
    bench_config "$(gate_file "$gate")"
    sluice config "${arguments[@]}" --json >"$out/$row.config.json" || end 1 'sluice config fails: see the log'
    "$python" "$root/scripts/benchmark/bench_pytorch.py" "$out/$row.config.json" --device cuda --compile >"$out/$row.json" 2>"$out/$row.err" ||
        { cat "$out/$row.err"; end 77 "PyTorch: $(last_line "$out/$row.err")"; }
    rate=$(value "$out/$row.json" tokens_per_second)
    number tokens_per_second "$rate"
    [ -e "$out/bench.step.$gate.json" ] || end 0 "$rate tok/s compiled; bench.step.$gate was not run"
    ours=$(value "$out/bench.step.$gate.json" tokens_per_second)
    number ratio "$(awk -v a="$ours" -v b="$rate" 'BEGIN {print a / b}')"
    end 0 "$(awk -v a="$ours" -v b="$rate" 'BEGIN {printf "%.0f tok/s compiled; Sluice is %.2f times as fast", b, a / b}')"
}

run_row() {
    export SLUICE_CACHE=$out/cache
    if [ -n "$missing" ]; then
        [ "$row" != libraries ] || end 1 "$(for name in $missing; do install_line "$name"; done | paste -sd';' -)"
        [ "$row" = clocks ] || end 77 "the engine lacks $(paste -sd' ' - <<<"$missing")"
    fi
    if [ ! -e "$build/$library" ] && [ "$row" != clocks ]; then
        [ "$row" != libraries ] || end 1 "there is no $library: build where CUDA is, or take --engine emulated"
        end 77 "there is no $library: build where CUDA is, or take --engine emulated"
    fi
    case $row in
        device | driver | libraries | clocks) ;;
        *) [ -z "$no_gpu" ] || end 77 "$no_gpu" ;;
    esac
    case $row in
        clocks) row_clocks ;;
        ops.*) row_ops ;;
        bits.*) "row_${row//./_}" ;;
        bench.step.*) row_bench_step ;;
        bench.kernels) row_bench_kernels ;;
        torch.*) row_torch ;;
        *) program "$tests/$check" "${small[@]}" "$row" ;;
    esac
}
if [ -n "$row" ]; then
    no_gpu=${GPU_CHECK_NO_GPU:-}   # why there is none to use
    run_row
    exit $?
fi

# ---------------------------------------------------------------- all rows
# The same rows with either engine: where the program does not start, for want of a library, the emulated one names them.
mapfile -t of_program < <( (program "$tests/$check" --list) 2>/dev/null || (program "$tests/gpu_check_emulated" --list) 2>/dev/null)
mapfile -t of_suite < <(suites "$suite")
[ ${#of_suite[@]} -gt 0 ] || mapfile -t of_suite < <(suites test_gpu_emulated)
[ ${#of_program[@]} -gt 0 ] || usage "$tests/$check does not start: build it, or run it to see why"
rows=()
for name in "${of_program[@]}"; do
    [[ $name = attention.* || $name = model.* || $name = mesh.* || $name = nccl.* || $name = memory.* ]] || rows+=("$name")
done
rows+=(clocks "${of_suite[@]/#/ops.}")
for name in "${of_program[@]}"; do
    [[ ! ($name = attention.* || $name = model.* || $name = mesh.* || $name = nccl.* || $name = memory.*) ]] || rows+=("$name")
done
rows+=(bits.repeat bits.resume bench.kernels)
for gate in none headwise elementwise; do rows+=("bench.step.$gate" "torch.$gate"); done
if [ ${#only[@]} -gt 0 ]; then
    chosen=()
    for wanted in "${only[@]}"; do
        before=${#chosen[@]}
        for name in "${rows[@]}"; do
            [[ $name != "$wanted" && $name != "$wanted".* ]] || chosen+=("$name")
        done
        [ ${#chosen[@]} -gt "$before" ] || usage "no row is called $wanted"
    done
    rows=("${chosen[@]}")
fi
if [ -n "$list" ]; then
    printf '%s\n' "${rows[@]}"
    exit 0
fi

for name in "${rows[@]}"; do rm -rf "$out/$name".{log,json,err,tests,run,config.json}; done   # of an earlier check
rm -f "$out/gpu_check.json"
printable() { tr -c '[:print:]\n' '?' | tr '\n' ' ' | sed 's/ *$//'; }
quoted() { local text=${1//\\/\\\\}; printf '"%s"' "${text//\"/\\\"}"; }
states=() seconds=() details=() device='not known'
one_row() {   # one_row NAME: fills state, took, detail
    local code=0 start file=$out/$1.log
    start=$(date +%s.%N)
    timeout -k 3 "$limit" "$self" --engine "$engine" ${build_option[@]+"${build_option[@]}"} --out "$out" --row "$1" >"$file" 2>&1 </dev/null || code=$?
    took=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f", b - a}')
    detail=$(sed -n 's/^detail: //p' "$file" | tail -n 1 | printable)
    case $code in
        0) state=PASS ;;
        77) state='NOT RUN' ;;
        124) state=FAIL detail="did not end within $limit s" ;;
        137) state=FAIL detail="was killed: it did not end within $limit s, or the machine lacks memory" ;;
        *)
            state=FAIL
            [ -n "$detail" ] || detail=$(last_line "$file" | printable)
            [ "$code" -le 128 ] || detail="ended by signal $((code - 128)) ($(kill -l $((code - 128)))): $detail"
            ;;
    esac
    [ "$state" != PASS ] || [ -n "$detail" ] || state=FAIL detail='it says nothing of what it found'
}
cut_at_a_word() {   # cut_at_a_word TEXT COLUMNS
    local text=$1
    if [ ${#text} -gt "$2" ]; then
        text=${text:0:$2-2}
        [[ $text = *' '* ]] && text=${text% *}... || text=${text:0:$2-3}...
    fi
    printf '%s\n' "$text"
}
line() {
    local start
    printf -v start '%-8s %-23s %7s  ' "$1" "$2" "$3"
    printf '%s%s\n' "$start" "$(cut_at_a_word "$4" $((120 - ${#start})))"
}
build_option=()
[ ${#loader[@]} -gt 0 ] || build_option=(--build "$build")
commit=$( (program "$build/sluice" --version) 2>/dev/null | head -n 1 | printable)
table=$out/table.txt
line state row seconds detail | tee "$table"
export GPU_CHECK_NO_GPU=
device_row=()
if [ "$engine" = cuda ] && printf '%s\n' "${rows[@]}" | grep -vx 'driver\|libraries' >/dev/null; then
    one_row device   # also where it is not asked for
    device_row=("$state" "$took" "$detail")
    [ "$state" != FAIL ] || GPU_CHECK_NO_GPU=$detail
fi
for name in "${rows[@]}"; do
    if [ "$name" = device ] && [ ${#device_row[@]} -gt 0 ]; then
        state=${device_row[0]} took=${device_row[1]} detail=${device_row[2]}
    else
        one_row "$name"
    fi
    line "$state" "$name" "$took" "$detail" | tee -a "$table"
    states+=("$state") seconds+=("$took") details+=("$detail")
    [ "$name$state" != devicePASS ] || device=$detail
done
count() { printf '%s\n' "${states[@]}" | grep -cx "$1"; }
summary="$(count PASS) PASS, $(count FAIL) FAIL, $(count 'NOT RUN') NOT RUN"
{
    printf '{"date": "%s", "sluice": %s, "engine": "%s", "device": %s, "rows": [' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(quoted "$commit")" \
        "$engine" "$(quoted "$device")"
    for i in "${!rows[@]}"; do
        [ "$i" = 0 ] || printf ','
        printf '\n  {"name": "%s", "state": "%s", "seconds": %s, "detail": %s, "numbers": {%s}}' "${rows[$i]}" "${states[$i]}" \
            "${seconds[$i]}" "$(quoted "${details[$i]}")" \
            "$(sed -n 's/^number: \([a-z_0-9]*\) \([-+.0-9e]*\)$/"\1": \2/p' "$out/${rows[$i]}.log" | paste -sd, - | sed 's/,/, /g')"
    done
    printf '\n]}\n'
} >"$out/gpu_check.json"
echo "$summary; $out has gpu_check.json and a log a row"

if [ -n "$log" ]; then
    page=$root/docs/gpu_log.md
    [ -d "$root/docs" ] || page=$root/gpu_log.md
    [ ! -e "$page" ] || sed -i '/^Not run/,/^$/d' "$page"
    {
        printf '\n## %s: %s\n\n%s; engine %s.\n\n```text\n' "$(date -u +%Y-%m-%d)" "$(cut_at_a_word "$device" 100)" \
            "$(cut_at_a_word "$commit" 90)" "$engine"
        cat "$table"
        printf '%s\n```\n' "$summary"
    } >>"$page"
fi
[ "$(count FAIL)" = 0 ]
