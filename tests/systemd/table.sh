#!/bin/bash
# What each event leaves of the variables, one row after the other.
. ./lib.sh
set_up

# ---- the events ----

ctl() { systemctl --quiet "$@" 2>/dev/null; }
die() { kill "-$1" "$(main_pid)"; }
# Rust's own handler wants to see the same fault again, which is not there if somebody has sent it. And
# one that is sent again before the first has arrived is the same.
segfault() {
    local pid
    pid=$(main_pid)
    while kill -SEGV "$pid" 2>/dev/null; do sleep 0.01; done
}
# again COMMAND...: does it, and waits until another process serves.
again() {
    local before
    before=$(property NRestarts)
    "$@"
    until (($(property NRestarts) > before)) && [[ $(property ActiveState) == active ]]; do sleep 0.005; done
}
# ended COMMAND...: does it, and waits until the service has ended.
ended() {
    "$@"
    until [[ $(property ActiveState) == inactive ]]; do sleep 0.005; done
}
crash_after() { ctl "$@" && again die KILL; }
reload() { ctl reload globstashd.service; }
reload_or_restart() { ctl reload-or-restart globstashd.service; }
stop_both() { ctl stop globstashd.socket globstashd.service && ctl start globstashd.socket; }
# hang COMMAND...: makes of the service a process that can do nothing but die, and stays so also when
# systemd wakes it up, as it does with one that SIGSTOP has stopped. Then does something to it.
hang() {
    local pid freezer=/sys/fs/cgroup/system.slice/globstashd.service/cgroup.freeze
    pid=$(main_pid)
    echo 1 >$freezer
    "$@" &
    while [[ -e /proc/$pid/fd/0 ]]; do sleep 0.005; done
    # The next process may begin in the same group; or the group has gone with this one.
    { echo 0 >$freezer; } 2>/dev/null || true
    wait $!
}
twenty_crashes() {
    local n pid='' next started=${EPOCHREALTIME/./}
    for ((n = 0; n < 20; n++)); do
        until next=$(pgrep --exact globstashd) && [[ $next != "$pid" ]]; do :; done
        pid=$next
        kill -KILL "$pid"
    done
    passed "    (they took $(((${EPOCHREALTIME/./} - started) / 1000)) ms)"
}
# The kernel ends the service because its share of memory is used up. Where systemd's control groups
# have no say in memory, those of the older kind do; then systemd sees no more than that it was killed.
run_out_of_memory() {
    local n before own=/tmp/memory stored=()
    before=$(property NRestarts)
    mkdir -p $own
    if grep --quiet --word-regexp memory /sys/fs/cgroup/cgroup.controllers; then
        systemctl set-property --runtime globstashd.service MemoryMax=24M MemorySwapMax=0
    else
        mount -t cgroup -o memory memory $own
        own+=/globstash-box-$RANDOM$RANDOM
        mkdir $own
        echo 24M >$own/memory.limit_in_bytes
        main_pid >$own/cgroup.procs
    fi
    for ((n = 0; n < 64; n++)); do
        globstash set "large/$n" </tmp/large 2>/dev/null || break
        stored+=("$n")
    done
    until (($(property NRestarts) > before)) && [[ $(property ActiveState) == active ]]; do sleep 0.005; done
    [[ $own == /tmp/memory ]] || rmdir $own
    check "    it was killed after ${#stored[@]} values of 1 MiB" 1 $((${#stored[@]} < 64))
    for n in "${stored[@]}"; do
        globstash get "large/$n" | cmp --silent --bytes=1M - /tmp/large || failed "large/$n is there" "1 MiB" "nothing"
    done
}

# ---- the rows: what is left, the event ----

row() {
    local left=$1 sentence=$2 value
    shift 2
    globstash set foo "before $sentence" || failed "$sentence" "a set" "none"
    "$@"
    value=$(globstash get foo)
    case $left in
        kept) check "kept: $sentence" "before $sentence" "$value" ;;
        dropped) check "dropped: $sentence" "" "$value" ;;
    esac
    check "    and nothing has failed" "" "$(systemctl list-units --failed --no-legend)"
}

row kept "SIGKILL" again die KILL
row kept "SIGSEGV" again segfault
row kept "SIGABRT" again die ABRT
row kept "daemon-reload, then a crash" crash_after daemon-reload
row kept "daemon-reexec, then a crash" crash_after daemon-reexec
row dropped "restart" ctl restart globstashd.service
row dropped "try-restart" ctl try-restart globstashd.service
row dropped "restart of the socket" ctl restart globstashd.socket
row dropped "stop, then a connection" ctl stop globstashd.service
row dropped "SIGTERM of the process" ended die TERM
row dropped "SIGINT of the process" ended die INT
row dropped "stop of socket and service" stop_both
row kept "reload" reload
row kept "SIGHUP of the process" die HUP
row kept "reload-or-restart" reload_or_restart
row kept "twenty crashes in a row" twenty_crashes
head --bytes=1M /dev/zero | tr '\0' x >/tmp/large
row kept "a lack of memory" run_out_of_memory
row kept "a reload, then a crash" crash_after reload globstashd.service

# The unit's minute is too long to wait for. All else has its time: to be late is no hang.
drop_in globstashd.service '[Service]' WatchdogSec=2s TimeoutStopSec=1s
ctl restart globstashd.service
row kept "a hang, found by the watchdog" again hang true
row kept "a stopped process, found by the watchdog" again die STOP
# What hangs cannot tell systemd to forget.
row kept "restart while it hangs" hang ctl restart globstashd.service
row dropped "stop while it hangs" hang ctl stop globstashd.service
