#!/bin/bash
# kills.sh [COUNT]: killed at random moments under load, the service loses nothing that it has
# acknowledged, and those who watch miss nothing.
. ./lib.sh
set_up
# The command follows a variable that only grows.
globstash set kills 0
globstash watch kills >/tmp/seen &
watch=$!
globstash set last/value before

kills=${1:-500}
./kills.py "$kills" >/tmp/result
result() { jq --compact-output ".$1" /tmp/result; }
passed "$kills crashes: $(jq --compact-output 'del(.broken)' /tmp/result)"
check "in $kills crashes and $(result calls) calls, $(result lost) answers lost, nobody was refused" 0 "$(result refused)"
check "nothing acknowledged was lost, halved or older than before, and nothing told wrongly" "[]" "$(result broken)"
check "of $(result told) events $(result resets) times anew, and where nothing is left out" 1 $(($(result strict) > 0))
check "no change was acknowledged twice" 0 "$(result twice)"
check "what nobody touched is as it was" before "$(globstash get last/value)"
check "the service takes $(($(result own) >> 10)) KiB itself" 1 $(($(result own) < 8 << 20))
check "and for the variables $(($(result map) >> 10))" 1 $(($(result map) < 16 << 20))
check "systemd keeps the map, and nothing else" "map view" \
    "$(systemd-analyze --json=short fdstore globstashd.service | jq --raw-output '[.[].fdname] | sort | join(" ")')"
check "the service has not failed" active "$(systemctl is-active globstashd.service)"
check "nor its socket" active "$(systemctl is-active globstashd.socket)"

globstash set kills end
eventually "the command that watches has seen the end" grep --quiet 'end$' /tmp/seen
kill "$watch"
check "and what it saw only grew" "" \
    "$(grep --only-matching '[0-9]*$' /tmp/seen | sort --numeric-sort --check 2>&1)"
