# Completion of edgectl for bash: source <(edgectl completion bash)
# What can stand at the cursor is what `edgectl __complete` says; behind `--` it is what bash itself would offer.

_edgectl() {
    local program=${1/#\~/$HOME} index
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        if [[ ${COMP_WORDS[index]} == -- ]]; then
            _edgectl_default $((index + 1))
            return
        fi
    done
    type -P -- "$program" >/dev/null || program=edgectl
    local kind='' line
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("$line"); fi
    done < <("$program" __complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null </dev/null)
    case $kind in
        files) compopt -o default 2>/dev/null ;;
        directories) compopt -o dirnames 2>/dev/null ;;
        'values open') compopt -o nospace 2>/dev/null ;;
    esac
    compopt -o nosort 2>/dev/null
    return 0
}

# What runs on the node, from the word with this number on.
_edgectl_default() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        local word=${COMP_WORDS[COMP_CWORD]} line
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "$word")
        compopt -o default 2>/dev/null
    else
        compopt -o bashdefault -o default 2>/dev/null
    fi
}

complete -F _edgectl edgectl
