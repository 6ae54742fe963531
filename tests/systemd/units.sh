#!/bin/bash
# The units: valid, as closed as they claim, and quiet about values.
. ./lib.sh
set_up

check_like "sysusers makes a system user that cannot log in" "globstash:*:/:*/nologin" "$(getent passwd globstash)"

run systemd-analyze verify --man=no globstashd.socket globstashd.service
check "systemd has nothing to say against the units" "0 " "$status $out$err"
loginctl enable-linger alice
eventually "alice's manager runs" as alice systemctl --user is-active default.target
run as alice systemd-analyze --user verify --man=no globstashd.socket globstashd.service
check "nor alice's manager against hers" "0 " "$status $out$err"

# The sandbox.
run systemd-analyze security --threshold=4 globstashd.service
check "its exposure is at most 0.4: $(tail --lines=1 <<<"$out")" 0 "$status"
globstash set foo bar
pid=$(main_pid)
field() { sed --quiet "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
check "it runs as its own user" globstash "$(stat --format=%U "/proc/$pid")"
check "with one thread" 1 "$(field Threads)"
check "it has no privilege" 0000000000000000 "$(field CapBnd)"
check "and cannot gain one" 1 "$(field NoNewPrivs)"
check "its system calls are filtered" 2 "$(field Seccomp)"
check "a core dump, with everybody's values, is never written" "0 0" \
    "$(awk '/^Max core/ { print $5, $6 }' "/proc/$pid/limits")"
inside() { nsenter --target "$pid" --mount -- "$@"; }
run inside touch /etc/x /usr/x /var/x
check "where it lives all is read-only" 3 "$(grep --count "Read-only file system" /tmp/err)"
check "and nobody's home is there" "" "$(inside ls /home)"
check "nor any device, nor the kernel's objects" "" "$(inside find /dev /sys -mindepth 1)"
private() { [[ $(readlink "/proc/$pid/ns/$1") != "$(readlink "/proc/self/ns/$1")" ]]; }
check_true "its network is its own" private net

# The journal.
secret=e7Xq0vWm
globstash set k $secret
run varlinkctl call $address io.globstash.Set "{\"key\":\"k=\",\"value\":\"$secret\"}"
check_like "a call with a value is refused" "*InvalidKey*" "$err"
for message in "no varlink, but $secret" "\"$secret\"" "{\"method\":\"io.globstash.Get\",\"more\":\"$secret\"}"; do
    printf '%s\0' "$message" | as bob socat - UNIX-CONNECT:$socket
done
logged() { journalctl --quiet --output=json --unit=globstashd.service "$@"; }
violations_are_logged() { (($(logged GLOBSTASH_UID="$(id --user bob)" | wc --lines) == 3)); }
eventually "violations of the protocol can be found by the user" violations_are_logged
systemctl --quiet stop globstashd.service 2>/dev/null
journalctl --sync
check_like "the start is logged, with the version" "*serving*\"$(globstashd --version | cut --delimiter=' ' --fields=2)\"*" \
    "$(logged | jq --compact-output 'select(.GLOBSTASH_VERSION) | [.MESSAGE, .GLOBSTASH_VERSION, .GLOBSTASH_INSTANCE]')"
check_like "the end is logged, with what is lost" "*ending*forgotten*\"2\"*" \
    "$(logged | jq --compact-output 'select(.GLOBSTASH_VARIABLES) | [.MESSAGE, .GLOBSTASH_VARIABLES]')"
check "no value is ever logged" "" "$(journalctl --output=json | grep $secret)"
check "nothing else was logged" 5 "$(logged _COMM=globstashd | wc --lines)"
