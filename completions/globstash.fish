# Completion for globstash in fish. What there is to complete, the command itself knows.
function __globstash_complete
    # Since fish 4 the words are had with -x.
    if commandline -x >/dev/null 2>&1
        set -f words (commandline -xpc)
    else
        set -f words (commandline -opc)
    end
    # The word at the cursor may have begun with a quote.
    set -f current (commandline -ct)
    set -f plain (string unescape -- $current)
    or set -f plain (string trim --left --chars=\'\" -- $current)
    set -f lines (command globstash complete fish -- $words "$plain" 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$plain"
        case command
            __fish_complete_subcommand --fcs-skip=(contains -i -- -- $words)
        case '*'
            printf '%s\n' $lines[2..]
    end
end
complete --command globstash --no-files --keep-order --arguments '(__globstash_complete)'
