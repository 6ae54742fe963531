#!/bin/bash
# What cannot be taken over is set aside, so that there is never a crash loop.
. ./lib.sh
set_up

# Words of the map's header.
version=1 attempts=19

# crash: kills the service and waits until the next answers.
crash() {
    kill -KILL "$(main_pid)"
    globstash get foo >/tmp/foo
}
# stored NAME: the memory files that systemd keeps under this name, by their number in the kernel.
stored() { systemd-analyze --json=short fdstore globstashd.service | jq ".[] | select(.fdname == \"$1\").inode"; }
# has_logged PATTERN
has_logged() { journalctl --quiet --unit=globstashd.service --output=cat | grep --quiet "$1"; }

globstash set foo bar
check "systemd keeps the map twice, for writing and for readers" "$(stored map)" "$(stored view)"
map=$(stored map)
crash
check "after a crash it is the same" "bar $map $map" "$(</tmp/foo) $(stored map) $(stored view)"

./store.py poke $version 0x300000000
crash
check "a map from the future is not read" "" "$(</tmp/foo)"
eventually "which is said" has_logged "beginning without variables: the map has layout 3.0, which this version cannot read"
check "it is set aside" "$map" "$(stored damaged)"
check_true "the service works without" globstash set foo new
check "after one start" 2 "$(property NRestarts)"
crash
check "its new map is kept as well" "new $map" "$(</tmp/foo) $(stored damaged)"

map=$(stored map)
./store.py poke $attempts 16
crash
check "a map that sixteen processes in a row have died of is set aside" " $map" "$(</tmp/foo) $(stored damaged)"
eventually "which is said" has_logged "16 who tried to take over the map died"

# Now they do die: of the first memory that they want, which is while they take over.
globstash set foo bar
map=$(stored map)
drop_in globstashd.service '[Service]' SystemCallFilter= ProtectProc=default ProcSubset=all InaccessiblePaths= ExecStart= \
    'ExecStart=/bin/sh -c "test -e /run/deadly || exec globstashd; exec strace -D -o /dev/null -e inject=fallocate:signal=KILL globstashd"'
crash
before=$(property NRestarts)
deaths() { (($(property NRestarts) >= before + $1)); }
touch /run/deadly
kill -KILL "$(main_pid)"
eventually "a service that dies of what it takes over is started again" deaths 4
rm /run/deadly
check "some deaths lose nothing" "bar $map" "$(globstash get foo) $(stored map)"
before=$(property NRestarts)
touch /run/deadly
kill -KILL "$(main_pid)"
eventually "if it dies again and again" deaths 18
rm /run/deadly
check "it begins without variables" "" "$(globstash get foo)"
check "and what they died of is set aside" "$map" "$(stored damaged)"
check "nothing has failed" "" "$(systemctl list-units --failed --no-legend)"

# What others have put into the store.
rm -r /etc/systemd/system/globstashd.service.d
drop_in globstashd.service '[Service]' NotifyAccess=all
globstash set foo bar
map=$(stored map)
./store.py push stranger pipe
check_like "systemd keeps what nobody knows" "?*" "$(stored stranger)"
crash
check "the service has it forgotten" "bar  $map" "$(</tmp/foo) $(stored stranger) $(stored map)"
check_true "and says so" has_logged "forgetting the descriptor 'stranger'"
for kind in file pipe memory bare; do
    globstash set foo "$kind"
    map=$(stored map)
    ./store.py push map "$kind"
    crash
    check "a $kind that is called a map is none, and the map is found beside it" "$kind $map" "$(</tmp/foo) $(stored map)"
    crash
    check "also the next time" "$kind $map $map" "$(</tmp/foo) $(stored map) $(stored view)"
done
for kind in file pipe memory bare; do
    globstash set foo "$kind"
    ./store.py drop map
    ./store.py push map "$kind"
    pushed=$(stored map)
    crash
    check "where there is only a $kind, it begins without variables, and sets it aside" " $pushed" \
        "$(</tmp/foo) $(stored damaged)"
done
globstash set foo bar
map=$(stored map)
for n in 1 2 3; do ./store.py push "stranger.$n" pipe; done
crash
check "a full store is made room in" "bar $map $map" "$(</tmp/foo) $(stored map) $(stored view)"
check "nothing has failed" "" "$(systemctl list-units --failed --no-legend)"
