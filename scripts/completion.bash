# Completion of sluice and sluice-data for bash: `source scripts/completion.bash`, or copy it into
# ~/.local/share/bash-completion/completions/. Commands, options and config keys are asked of the program itself.

# The commands that a --help page lists.
_sluice_commands() {
    "$@" --help 2>/dev/null | awk '/^Subcommands:/ {on = 1; next} /^$/ {on = 0} on && /^  [a-z]/ {print $1}'
}

_sluice_options() {
    "$@" --help 2>/dev/null | grep -oE '^  (-h,)?--[a-z-]+' | grep -oE -- '--[a-z-]+'
}

# Every key, with its values where there are few: KEY VALUE... A key of a list's element, or of a range of layers, has the
# index and the range that were typed: model.gates.0.bias, model.attention.0-3.window.
_sluice_keys() {
    "$1" config --reference 2>/dev/null | awk -F'|' -v typed="$2" '
    function as_typed(key,    n) {
        n = index(key, ".N.")
        if (n && substr(key, 1, n) == substr(typed, 1, n) && match(typed, /\.([0-9][0-9-]*\.)?[0-9]+\./))
            return substr(typed, 1, RSTART + RLENGTH - 1) substr(key, n + 3)
        if (match(typed, /^model\.attention\.[0-9][0-9-]*\./))
            sub(/^model\.attention\./, substr(typed, 1, RLENGTH), key)
        return key
    }
    /^\| [a-z]/ && $2 !~ /^ (key|base) / {
        gsub(/ /, "", $2); gsub(/,/, "", $5)
        print as_typed($2), $3 ~ /true or false/ ? "true false" : $3 ~ /word/ ? $5 : ""}'
}

# Keys of a sweep that a command line may give, likewise: of the file's own keys all but `base`.
_sluice_sweep_keys() {
    printf '%s\n' sweep.name sweep.dir sweep.ranks sweep.parallel sweep.retries "sweep.stop_on_divergence true false" set \
        variants baseline axes seeds "match none parameters flops"
}

# The keys that a command takes.
_sluice_keys_of() {
    [ "$2" != sweep ] || _sluice_sweep_keys
    _sluice_keys "$1" "$3"
}

_sluice() {
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]} key= words=
    COMPREPLY=()
    # bash takes `key=value` for three words.
    if [ "$word" = = ]; then
        key=${COMP_WORDS[COMP_CWORD - 1]} word=
    elif [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[COMP_CWORD - 1]}" = = ]; then
        key=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [ -n "$key" ]; then
        words=$(_sluice_keys_of "$program" "$command" "$key" | awk -v key="$key" '$1 == key {$1 = ""; print}')
        [ -n "${words// /}" ] || COMPREPLY=($(compgen -f -- "$word"))
    elif [ "$COMP_CWORD" -eq 1 ]; then
        words="$(_sluice_commands "$program") help --help --version"
    elif [ "$command" = help ]; then
        words=$(_sluice_commands "$program" "${COMP_WORDS[@]:2:COMP_CWORD - 2}")
    elif [[ $word == -* ]]; then
        [ "$command" = bench ] && command="bench step"
        words=$(_sluice_options "$program" $command)
    elif [ "$command" = bench ] && [ "$COMP_CWORD" -eq 2 ]; then
        words=$(_sluice_commands "$program" bench)
    else
        COMPREPLY=($(compgen -f -- "$word"))
        if [ "${program##*/}" = sluice ] && [[ $command != @(runs|report) ]] && [ "$COMP_CWORD" -gt 2 ]; then
            compopt -o nospace 2>/dev/null
            words=$(_sluice_keys_of "$program" "$command" "$word" | awk '{print $1 "="}')
        fi
    fi
    COMPREPLY+=($(compgen -W "$words" -- "$word"))
}

complete -o filenames -F _sluice sluice sluice-data
