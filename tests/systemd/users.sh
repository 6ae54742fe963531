#!/bin/bash
# Who sees what: everybody everything, unless the machine or a user wants it otherwise.
. ./lib.sh
set_up

as alice globstash set from/alice "hello bob"
check "bob reads what alice wrote" "hello bob" "$(as bob globstash get from/alice)"
writer=$(as bob bash -c 'globstash set from/alice "hello alice" & echo $!; wait')
check "alice reads what bob made of it" "hello alice" "$(as alice globstash get from/alice)"
check "List tells who wrote last" "{\"pid\":$writer,\"uid\":$(id --user bob)}" \
    "$(call List '{"metadata":true}' | jq --compact-output --sort-keys '.entries[].writer')"

# What is protected.
as alice varlinkctl call --json=short $address io.globstash.Set '{"key":"of/alice","value":"hers","protected":true}' >/tmp/out
run as bob globstash set of/alice his
check "bob cannot change what alice protects" "4 globstash: of/alice is protected and belongs to another user" "$status $err"
run as bob varlinkctl call $address io.globstash.Delete '{"patterns":["**"]}'
check_like "nor delete it with all else" "1 *of/alice* *PermissionDenied*" "$status $out $err"
check "and all is there" "hers" "$(as bob globstash get of/alice)"
check "an entry tells whose it is" "[true,$(id --user alice)]" \
    "$(call Get '{"key":"of/alice","metadata":true}' | jq --compact-output '.entry | [.protected, .ownerUid]')"
check_true "root may change it" globstash set of/alice "root's"
check_true "and she may delete it" as alice globstash delete of/alice

# What each may hold.
check "a user can hold a quarter" "[262144,67108864]" \
    "$(as alice varlinkctl call --json=short $address io.globstash.GetStatus '{}' |
        jq --compact-output '[.maximumUserVariables, .maximumUserBytes]')"
check "root all" "[1048576,268435456]" "$(call GetStatus | jq --compact-output '[.maximumUserVariables, .maximumUserBytes]')"
held() { as "$1" varlinkctl call --json=short $address io.globstash.GetStatus '{}' | jq .userVariables; }
check "what bob has set last counts as his" 1 "$(held bob)"
check "and not as alice's, who had set it before" 0 "$(held alice)"

# The machine-wide variables can be kept to a group.
groupadd friends
usermod --append --groups friends alice
drop_in globstashd.socket '[Socket]' SocketMode=0660 SocketGroup=friends
systemctl restart globstashd.socket
check "a drop-in gives the socket to a group" "srw-rw---- root:friends" "$(stat --format='%A %U:%G' $socket)"
check_true "whose members are let in" as alice globstash set foo bar
run as bob globstash get foo
check "others are not" "3 " "$status $out"
check_like "and are told why" "globstash: *$socket*permission denied*" "$err"

# A user's own variables.
user() { as alice systemctl --user "$@"; }
systemctl --quiet --global enable globstashd.socket
loginctl enable-linger alice
eventually "alice's manager runs" user is-active globstashd.socket
own=/run/user/$(id --user alice)/globstash
check "it has a socket that is hers alone" "srw------- alice:alice" "$(stat --format='%A %U:%G' "$own")"
check "the service does not run yet" inactive "$(user is-active globstashd.service)"
check_true "her first call starts it" as alice globstash --user set foo mine
check "it runs" active "$(user is-active globstashd.service)"
check "as alice" alice "$(stat --format=%U "/proc/$(user show --value --property=MainPID globstashd.service)")"
check "her variables are her own" "mine" "$(as alice globstash --user get foo)"
check "and not the machine's" "bar" "$(as alice globstash get foo)"
check_like "the user's registry has its name too" "*io.globstash*" \
    "$(as alice varlinkctl info "/run/user/$(id --user alice)/varlink/registry/io.globstash")"
run as bob globstash --address "$own" get foo
check "bob does not get in" "3 " "$status $out"
check_like "and is told why" "globstash: *$own*permission denied*" "$err"
run as bob globstash --user get foo
check "bob has no instance of his own: none is made up from alice's" "3 " "$status $out"
user stop globstashd.service 2>/dev/null
check "her stop forgets hers" "" "$(as alice globstash --user get foo)"
check "and nobody else's" "bar" "$(as alice globstash get foo)"

user stop globstashd.socket
run as alice globstash --user get foo
check "where her manager has the unit, no command starts the service in its place" "3 " "$status $out"
check_like "and she is told how it is started" "globstash: *systemctl --user start globstashd.socket*" "$err"
user start globstashd.socket

run globstash status
check_like "status says who has started it" "*started by systemd" "$out"
run globstashd --stop
check "and nothing else stops it" 1 "$status"
check_like "but says what does" "*systemctl stop globstashd.socket globstashd.service*" "$err"

systemctl stop globstashd.socket
run globstash get foo
check "where systemd runs, no command of root's starts it either" "3 " "$status $out"
check_like "and tells how" "globstash: *systemctl start globstashd.socket*" "$err"
run as alice globstash get foo
check "hers never stands in for the machine's" "3 " "$status $out"
check_like "but she is told of it" "globstash: *$socket*globstash --user*" "$err"
