#!/bin/bash
# A lock outlives the service that it was asked of, and not the process that holds it.
. ./lib.sh
set_up

globstash lock build -- sleep infinity &
holder=$!
runs() { [[ $(</proc/$holder/comm) == sleep ]]; }
eventually "a command runs that holds the key" runs
check "as the process that it was before" "$holder" "$(globstash get build)"
check_like "which can be seen" "build=$holder  * (sleep), until process $holder ends" "$(globstash list -l)"

before=$(main_pid)
kill -KILL "$before"
run globstash lock build -t 0 -- true
check "after a crash of the service it holds it still" 124 "$status"
check "and the service is another" different "$([[ $(main_pid) != "$before" ]] && echo different)"
run systemctl reload globstashd
run globstash lock build -t 0 -- true
check "and after a reload" 124 "$status"

globstash lock build -t 20s -- echo taken >/tmp/taken &
waiter=$!
kill -KILL "$holder"
wait "$waiter"
check "who waits gets it when the holder is killed" taken "$(</tmp/taken)"
free() { ! globstash exists build; }
eventually "and its end releases it" free
