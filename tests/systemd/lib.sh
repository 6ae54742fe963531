# What the scenarios share: assertions which say what was expected and what came, waiting for
# events, and the calls that all of them make.
#
# A scenario is a list of sentences; it ends with the first that is not true, and then shows what
# the service logged.
# shellcheck shell=bash
set -euo pipefail

socket=/run/globstash
address=unix:$socket

# Longest wait for something that should happen within a moment. Only a failure takes so long.
patience=60

# A command that fails where none may.
trap 'failed "line $LINENO" "$BASH_COMMAND: exit status 0" "exit status $?"' ERR

passed() { printf 'ok: %s\n' "$1"; }
# failed SENTENCE EXPECTED GOT
failed() {
    trap - ERR
    printf 'FAILED: %s\n  expected: %s\n  got:      %s\n\n' "$@"
    systemctl --no-pager --full --lines=0 status globstashd.socket globstashd.service || true
    journalctl --no-pager --no-hostname --lines=40 --unit=globstashd.service --unit=globstashd.socket || true
    exit 1
}
# check SENTENCE EXPECTED GOT
check() { if [[ $3 == "$2" ]]; then passed "$1"; else failed "$@"; fi; }
# check_like SENTENCE PATTERN GOT: the same with a shell pattern.
# shellcheck disable=SC2053 # a pattern is what it is
check_like() { if [[ $3 == $2 ]]; then passed "$1"; else failed "$@"; fi; }
# check_true SENTENCE COMMAND...
check_true() {
    local outcome=0
    "${@:2}" || outcome=$?
    check "$1" "${*:2}: exit status 0" "${*:2}: exit status $outcome"
}
# eventually SENTENCE COMMAND...: waits until the command succeeds; shows its last complaint if it
# never does.
eventually() {
    local deadline=$((SECONDS + patience)) complaint
    until complaint=$("${@:2}" 2>&1); do
        ((SECONDS < deadline)) || failed "$1" "${*:2}: success within $patience s" "$complaint"
        sleep 0.01
    done
    passed "$1"
}

# run COMMAND...: keeps its output in $out, its complaints in $err, its exit status in $status.
# shellcheck disable=SC2034 # for the scenarios
run() {
    status=0
    "$@" >/tmp/out 2>/tmp/err || status=$?
    out=$(</tmp/out) err=$(</tmp/err)
}

# property NAME [UNIT]: what systemd says of the service.
property() { systemctl show --value --property="$1" "${2-globstashd.service}"; }
main_pid() { property MainPID; }

# call METHOD [PARAMETERS]: one reply of io.globstash as a line of JSON with sorted fields.
call() { varlinkctl call --json=short "$address" "io.globstash.$1" "${2-{\}}" | jq --compact-output --sort-keys .; }
# call_more METHOD [PARAMETERS]: all its replies, one a line; varlinkctl puts a separator before each.
call_more() { varlinkctl call --more --json=short "$address" "io.globstash.$1" "${2-{\}}" | tr --delete '\036'; }

# drop_in UNIT LINE...: what `systemctl edit` does.
drop_in() {
    mkdir -p "/etc/systemd/system/$1.d"
    printf '%s\n' "${@:2}" >"/etc/systemd/system/$1.d/scenario.conf"
    systemctl daemon-reload
}

# What a package does after its files are in place.
set_up() {
    systemd-sysusers
    systemctl daemon-reload
    systemctl --quiet enable --now globstashd.socket
}

# as USER COMMAND...
as() { runuser --user "$1" -- env --chdir=/ XDG_RUNTIME_DIR="/run/user/$(id --user "$1")" "${@:2}"; }
