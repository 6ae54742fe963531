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

systemctl stop globstashd.socket
run as alice globstash get foo
check "hers never stands in for the machine's" "3 " "$status $out"
check_like "but she is told of it" "globstash: *$socket*globstash --user*" "$err"
