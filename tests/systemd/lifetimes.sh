#!/bin/bash
# Variables that end by themselves: when their time has run out, or with a process.
. ./lib.sh
set_up

gone() { [[ $(call Get "{\"key\":\"$1\"}") == '{"defined":false,"revision":0,"value":""}' ]]; }
there() { [[ $(call Get "{\"key\":\"$1\"}" | jq .defined) == true ]]; }

# Time to live.
varlinkctl call --more --timeout=infinity --json=short $address io.globstash.Watch '{"patterns":["lease/"]}' >/tmp/watched &
is_watched() { [[ $(call GetStatus | jq .watches) == 1 ]]; }
eventually "somebody watches" is_watched
call Set '{"key":"lease/short","value":"v","ttlUSec":100000}' >/tmp/first
check "Set takes a time to live" '{"revision":1}' "$(</tmp/first)"
eventually "it runs out" gone lease/short
watched() { tr --delete '\036' </tmp/watched | jq --compact-output --sort-keys '.events[]' | grep --quiet --fixed-strings "$1"; }
eventually "and watchers are told" watched '{"change":"expired","key":"lease/short","revision":2,"value":"v"}'
call Set '{"key":"lease/long","value":"v","ttlUSec":3600000000}' >/tmp/out
expires=$(call Get '{"key":"lease/long","metadata":true}' | jq .entry.expiresUSec)
check_true "an entry tells when it expires" test "$expires" -gt "${EPOCHREALTIME/./}"
check "Expire lets it live on" '{"defined":true}' "$(call Expire '{"key":"lease/long"}')"
check "without an end" null "$(call Get '{"key":"lease/long","metadata":true}' | jq .entry.expiresUSec)"
check "Expire ends it" '{"defined":true}' "$(call Expire '{"key":"lease/long","ttlUSec":0}')"
check_true "at once" gone lease/long
check "what is not there does not expire" '{"defined":false}' "$(call Expire '{"key":"lease/none","ttlUSec":0}')"
run varlinkctl call $address io.globstash.Set '{"key":"lease/bad","value":"v","ttlUSec":-1}'
check_like "a negative time is refused" "1 *ttlUSec*" "$status $out"

# Processes, also those that the service cannot see.
as alice sleep 600 &
eventually "alice has a process" pgrep --uid alice --exact sleep
process=$(pgrep --uid alice --exact sleep)
call Set "{\"key\":\"of/process\",\"value\":\"v\",\"pid\":$process}" >/tmp/out
check "an entry tells the process" "$process" "$(call Get '{"key":"of/process","metadata":true}' | jq .entry.pid)"
kill -KILL "$process"
eventually "a variable ends with its process" gone of/process
run varlinkctl call $address io.globstash.Set "{\"key\":\"of/process\",\"value\":\"v\",\"pid\":$process}"
check_like "there is no such process any more" "1 *$process* *NoSuchProcess*" "$status $out $err"
call Set '{"key":"of/caller","value":"v","pid":0}' >/tmp/out
eventually "a variable of varlinkctl's own process is soon gone" gone of/caller

# Several at once.
check "Apply makes several changes" "$(($(call GetStatus | jq .revision) + 1))" "$(call Apply '{
    "checks":[{"key":"batch/1","condition":{"defined":false}}],
    "operations":[{"action":"set","key":"batch/1","value":"v"},{"action":"increment","key":"batch/n","by":"2"}]}' | jq .revision)"
check "all of them" '[{"key":"batch/1","value":"v"},{"key":"batch/n","value":"2"}]' \
    "$(call List '{"patterns":["batch/"]}' | jq --compact-output '[.entries[] | {key, value}]')"
run varlinkctl call $address io.globstash.Apply '{"operations":[{"action":"delete","key":"batch/1"},{"action":"increment","key":"batch/1"}]}'
check "each seeing those before it" 0 "$status"
run varlinkctl call $address io.globstash.Apply '{
    "checks":[{"key":"batch/n","condition":{"value":"3"}}],"operations":[{"action":"delete","key":"batch/n"}]}'
check_like "or none" "1 *ConditionFailed*" "$status $err"
check "and says so" 2 "$(call Get '{"key":"batch/n"}' | jq --raw-output .value)"
call Delete '{"patterns":["batch/"]}' >/tmp/out

# A crash and a reload.
lease() { call Set "{\"key\":\"$1\",\"value\":\"v\",$2}" >/tmp/out; }
sleep 600 &
process=$!
as alice sleep 600 &
eventually "alice has another process" pgrep --uid alice --exact sleep
other=$(pgrep --uid alice --exact sleep)
lease kept/short '"ttlUSec":1000000'
lease kept/long '"ttlUSec":3600000000'
lease kept/process "\"pid\":$process"
lease kept/other "\"pid\":$other"
drop_in globstashd.service '[Service]' RestartSec=10s
dead=$(main_pid)
kill -KILL "$dead"
# While there is no service, one of the processes ends and another gets its ID.
kill -KILL "$other"
mkdir /tmp/proc
mount --types proc proc /tmp/proc # The container's own cannot be written to.
namesake() {
    echo $((other - 1)) >/tmp/proc/sys/kernel/ns_last_pid
    sleep 600 >/dev/null 2>&1 &
    [[ $! == "$other" ]]
}
no_process() { ! [[ -e /proc/$other ]]; }
eventually "the process has ended" no_process
eventually "another has its ID" namesake
check "and no service has seen that" 0 "$(main_pid)"
restarted() { [[ $(main_pid) != "$dead" && $(main_pid) != 0 ]]; }
eventually "systemd has started the next service" restarted
check_true "a far deadline is kept" there kept/long
check_true "a process that lives is known again" there kept/process
eventually "one that has ended is not mistaken for another with its ID" gone kept/other
eventually "a near deadline is kept" gone kept/short
systemctl reload globstashd.service
check_true "after a reload they are there" there kept/process
kill -KILL "$process"
eventually "and end with their process" gone kept/process
check_true "while others stay" there kept/long
check "what is left" 1 "$(call GetStatus | jq .variables)"
check "nothing was logged that should not be" "" \
    "$(journalctl --unit=globstashd.service --priority=warning --output=cat --grep='outlive|cannot watch' || true)"
