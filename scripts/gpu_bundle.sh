#!/usr/bin/env bash
# scripts/gpu_bundle.sh OUT.tar.gz [--build FOLDER]: packs what scripts/gpu_check.sh needs on a machine with a GPU and little
# else: programs, engines, configs, and every shared library down to libc and its loader. cuBLASLt, cuDNN and NCCL are the
# machine's own. Built in build-portable for any x86-64-v3 CPU, unless --build names a folder. docs/gpu.md says how to use it.
set -euo pipefail
wrong() { echo "error: $1" >&2; exit 2; }
[ $# = 1 ] || [ "$#,${2:-}" = 3,--build ] || wrong 'usage: scripts/gpu_bundle.sh OUT.tar.gz [--build FOLDER]'
[ $# = 1 ] || [ -d "$3" ] || wrong "$3 is not a folder: build first, or name another one by --build"
most=60000000   # bytes
mkdir -p "$(dirname "$1")" 2>/dev/null || wrong "cannot write to $(dirname "$1")"
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
build=${3:-}
[ -z "$build" ] || build=$(cd "$build" && pwd)
cd "$(dirname "$0")/.."
programs=(sluice sluice-data tests/gpu_check tests/test_gpu tests/gpu_check_emulated tests/test_gpu_emulated)
engines=(libsluice.so libsluice_cuda.so libsluice_emulated.so)
if [ -z "$build" ]; then
    build=$PWD/build-portable
    cmake --preset release -B "$build" -DSLUICE_PORTABLE=ON -DSLUICE_CUDA=ON >/dev/null
    cmake --build "$build" --target sluice sluice-data sluice_cuda sluice_emulated gpu_check test_gpu gpu_check_emulated test_gpu_emulated
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bundle=$scratch/sluice-gpu
mkdir -p "$bundle/lib" "$bundle/scripts/benchmark" "$bundle/configs"
packed=()
for file in "${programs[@]}" "${engines[@]}"; do
    if [ -e "$build/$file" ]; then
        install "$build/$file" "$bundle/lib"
        packed+=("$build/$file")
    elif [[ $file = *gpu || $file = *gpu_check || $file = *cuda.so ]]; then
        echo "without $file: there is no engine for GPUs in $build"
    else
        echo "error: there is no $build/$file: build it first" >&2
        exit 1
    fi
done
strip --strip-unneeded "$bundle"/lib/*
# Every library that the loader finds, but CUDA's; and parts of libc that CUDA's libraries name.
ldd "${packed[@]}" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | sort -u |
    grep -v '/libsluice\|/lib\(cublas\|cudnn\|nccl\|nvrtc\|nvJitLink\|cudart\|cuda\)[^/]*$' >"$scratch/libraries"
libc=$(grep '/libc\.so\.6$' "$scratch/libraries")
for part in libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2; do
    [ ! -e "$(dirname "$libc")/$part" ] || echo "$(dirname "$libc")/$part" >>"$scratch/libraries"
done
while read -r library; do
    install -m 755 "$(readlink -f "$library")" "$bundle/lib/$(basename "$library")"
done < <(sort -u "$scratch/libraries")
[ -e "$bundle/lib/ld-linux-x86-64.so.2" ] || { echo "error: no loader among the libraries of $build" >&2; exit 1; }
install scripts/gpu_check.sh "$bundle"
install scripts/benchmark/bench_pytorch.py "$bundle/scripts/benchmark"
cp -r configs/models configs/gates "$bundle/configs"
cpu='any CPU of x86-64-v3'
grep -qx 'SLUICE_PORTABLE:BOOL=ON' "$build/CMakeCache.txt" 2>/dev/null || cpu="CPUs like this machine's: build with SLUICE_PORTABLE=ON for others"
version=$("$build/sluice" --version | head -n 1)
printf '%s\nFor %s. ./gpu_check.sh checks the GPU; ./gpu_check.sh --list names what it does.\n' "$version" "$cpu" >"$bundle/README"
tar -C "$scratch" --owner=0 --group=0 -cf - sluice-gpu | gzip -9 >"$scratch/bundle.tar.gz"
size=$(stat -c %s "$scratch/bundle.tar.gz")
[ "$size" -lt $most ] || { echo "error: the bundle has $size bytes, and may have $most" >&2; exit 1; }
mv "$scratch/bundle.tar.gz" "$out"
echo "$out: $((size / 1000000)) MB of at most $((most / 1000000)), for $cpu"
