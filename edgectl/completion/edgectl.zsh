#compdef edgectl
# Completion of edgectl for zsh: source <(edgectl completion zsh), or as a file called _edgectl in a directory of $fpath.
# What can stand at the cursor is what `edgectl __complete` says; behind `--` it is what zsh itself would offer.

_edgectl() {
    local -i dashes=${words[(i)--]}
    if (( dashes < CURRENT )); then
        shift $dashes words
        (( CURRENT -= dashes ))
        _normal
        return
    fi
    local program=${~${(Q)words[1]}}
    whence -p -- $program >/dev/null || program=edgectl
    local -a lines candidates
    lines=("${(@f)$($program __complete zsh "$PREFIX" "${(@Q)words[2,CURRENT-1]}" 2>/dev/null </dev/null)}")
    local kind=${lines[1]%% *}
    local -i head=${lines[1]##* }
    candidates=("${(@)lines[2,-1]}")
    compset -p $head
    case $kind in
        files) _files ;;
        directories) _files -/ ;;
        open) (( $#candidates )) && _describe -V edgectl candidates -S '' ;;
        values) (( $#candidates )) && _describe -V edgectl candidates ;;
    esac
}

if [[ ${funcstack[1]} == _edgectl ]]; then
    _edgectl "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _edgectl edgectl
fi
