#!/bin/bash
# Killed at random moments under load, the service loses nothing that it has acknowledged.
. ./lib.sh
set_up
# The watcher follows a variable that only grows.
globstash set counter 0
globstash watch counter >/tmp/seen &
watch=$!
globstash set last/value before

workers=()
for name in one two three; do
    ./kills.py "$name" >"/tmp/worker.$name" &
    workers+=($!)
done

kills=${KILLS:-500}
for ((i = 1; i <= kills; i++)); do
    # A call of our own tells that it serves; what the others do meanwhile is chance.
    globstash set counter "$i" 2>/tmp/lost || true
    ((i % 5)) || sleep "0.0$((RANDOM % 10))"
    kill -KILL "$(main_pid)" 2>/dev/null || true
done
kill -TERM "${workers[@]}"
wait "${workers[@]}"
seen() { jq --slurp "map(.$1) | $2" /tmp/worker.*; }
check "in $kills crashes and $(seen calls add) calls, $(seen lost add) of them lost, nobody was refused" \
    0 "$(seen refused add)"
check "and nothing acknowledged was lost, halved or older than before" "[]" \
    "$(seen broken 'add | .[0:5]' | jq --compact-output .)"
check "what nobody touched is as it was" before "$(globstash get last/value)"
passed "the longest wait was $(seen longest max) s"
check "the service has not failed" active "$(systemctl is-active globstashd.service)"
check "nor its socket" active "$(systemctl is-active globstashd.socket)"

globstash set counter end
eventually "the watcher has seen the end" grep --quiet 'end$' /tmp/seen
kill "$watch"
check "and what it saw only grew" "" \
    "$(grep --only-matching '[0-9]*$' /tmp/seen | sort --numeric-sort --check 2>&1)"
