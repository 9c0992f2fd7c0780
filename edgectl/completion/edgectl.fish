# Completion of edgectl for fish: edgectl completion fish | source
# What can stand at the cursor is what `edgectl __complete` says; behind `--` it is what fish itself would offer.

function __edgectl_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    if contains -- -- $words[2..-1]
        complete -C (string replace -r '^.*?\s--\s+' '' -- (commandline -cp))
        return
    end
    set -l program $words[1]
    command -q -- $program; or set program edgectl
    set -l lines ($program __complete fish "$token" $words[2..-1] 2>/dev/null </dev/null)
    set -l kind (string split ' ' -- $lines[1])
    switch "$kind[1]"
        case files
            set -l head (string sub -l $kind[2] -- $token)
            printf '%s\n' $head(__fish_complete_path (string sub -s (math $kind[2] + 1) -- $token))
        case directories
            set -l head (string sub -l $kind[2] -- $token)
            printf '%s\n' $head(__fish_complete_directories (string sub -s (math $kind[2] + 1) -- $token) '')
        case values open
            printf '%s\n' $lines[2..-1]
    end
end

complete -c edgectl -f -k -a '(__edgectl_complete)'
