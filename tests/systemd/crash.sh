#!/bin/bash
# A service that crashes comes back by itself, however often; one that hangs keeps nobody for ever.
. ./lib.sh
set_up
globstash set foo bar

# crash: kills the service and waits until systemd has started the next.
crash() {
    local dead next
    dead=$(main_pid) next=$dead
    kill -KILL "$dead"
    while [[ $next == "$dead" || $next == 0 ]]; do next=$(main_pid); done
}
crash
check "the next call finds everything as it was" \
    '{"entries":[{"key":"foo","revision":1,"value":"bar"}],"revision":1}' "$(call List)"
check "by another process, which systemd started" 1 "$(property NRestarts)"

started=${EPOCHREALTIME/./}
for ((i = 0; i < 30; i++)); do crash; done
took=$(((${EPOCHREALTIME/./} - started) / 1000))
check "after thirty crashes in $took ms nothing is lost" bar "$(globstash get foo)"
check_true "and it takes changes" globstash set foo bar
check "the service has not failed" active "$(systemctl is-active globstashd.service)"
check "nor has its socket" active "$(systemctl is-active globstashd.socket)"
check "nor any other unit" "" "$(systemctl list-units --failed --no-legend)"

kill -STOP "$(main_pid)"
run timeout 60 globstash get foo
check "a command whose service hangs gives up by itself" 3 "$status"
check "prints nothing that looks like a value" "" "$out"
check_like "but a sentence" "globstash: *$socket*" "$err"
kill -CONT "$(main_pid)"
check "when the service goes on, so does all else" bar "$(globstash get foo)"
