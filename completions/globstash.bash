# Completion for globstash in bash. What there is to complete, the command itself knows.
_globstash() {
    local IFS=$' \t\n' line words
    local -a lines
    COMPREPLY=()
    # It is given the line, not its words: bash parts those also at ':' and '='.
    mapfile -t lines < <(
        command globstash complete bash -- "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null
    )
    case ${lines[0]-} in
        files) compopt -o default ;;
        command)
            for ((words = 0; words < COMP_CWORD; words++)); do
                [[ ${COMP_WORDS[words]} == -- ]] && break
            done
            if declare -F _command_offset >/dev/null; then
                _command_offset $((words + 1))
            elif ((words + 1 == COMP_CWORD)); then
                mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
            else
                compopt -o default
            fi
            ;;
        folders) compopt -o nospace ;;&
        *)
            for line in "${lines[@]:1}"; do
                # Where bash only shows them ('?', '!', '@'), with what they are.
                if ((${#lines[@]} > 2)) && [[ $line == *$'\t'?* && ${COMP_TYPE-} =~ ^(63|33|64)$ ]]; then
                    COMPREPLY+=("${line%%$'\t'*}  (${line#*$'\t'})")
                else
                    COMPREPLY+=("${line%%$'\t'*}")
                fi
            done
            ;;
    esac
}
complete -o nosort -F _globstash globstash
