#!/bin/bash
# Start, stop and restart: what they forget, and that nobody is turned away.
. ./lib.sh
systemd-sysusers
systemctl daemon-reload

check "without the socket there is no address" inactive "$(systemctl is-active globstashd.socket)"
check_true "the service can be started by hand" systemctl start globstashd.service
check "which brings the socket along" active "$(systemctl is-active globstashd.socket)"
check_true "and it answers" globstash set foo bar

systemctl --quiet stop globstashd.service 2>/dev/null
check "a stop is an exit with status 0" "exited 0 success" \
    "$(property ExecMainCode | sed 's/^1$/exited/') $(property ExecMainStatus) $(property Result)"
took=$(($(property InactiveEnterTimestampMonotonic) - $(property ActiveExitTimestampMonotonic)))
passed "it takes $took µs"
check "the socket still listens" active "$(systemctl is-active globstashd.socket)"
check "the next call finds an empty map" '{"entries":[],"revision":0}' "$(call List)"

globstash set foo bar
systemctl restart globstashd.service
check "a restart forgets as well" "" "$(globstash get foo)"

# restarted N: restarts the service N times, each time after it has answered others.
restarted() {
    for ((i = 0; i < $1; i++)); do
        systemctl restart globstashd.service
        until (($(call GetStatus | jq .calls) > 20)); do :; done
    done
}
loads=()
for how in "" "" --keep --keep; do
    # shellcheck disable=SC2086 # no word is no argument
    ./load.py $how >"/tmp/load.${#loads[@]}" &
    loads+=($!)
done
restarted 20
kill -TERM "${loads[@]}"
wait "${loads[@]}"
outcome() { jq --slurp "map(.$1) | add" /tmp/load.*; }
check "of $(outcome answered) calls during 20 restarts none was refused" 0 "$(outcome refused)"
check "and none that was sent went unanswered" 0 "$(outcome unanswered)"

systemctl stop globstashd.socket
check "without the socket there is no service either" inactive "$(systemctl is-active globstashd.service)"
check "and no trace of its address" "" "$(find /run/globstash /run/varlink/registry/io.globstash 2>/dev/null)"
run globstash get foo
check "a command fails" "3 " "$status $out"
check_like "and says what to do" "globstash: *$socket*systemctl start globstashd.socket" "$err"
systemctl start globstashd.socket
check_true "which helps" globstash get foo
