#!/bin/bash
# All that the service does can be seen and called with varlinkctl.
. ./lib.sh
set_up

# What it says of itself.
run varlinkctl info $address
check_like "info names the interfaces" "*Product: *globstash*Version: *Interfaces: io.globstash*org.varlink.service*" "$out"
check "list-interfaces" "$(printf '%s\n' io.globstash org.varlink.service)" "$(varlinkctl list-interfaces $address)"
check "list-methods" "$(sed --quiet 's/^method \([A-Za-z]*\).*/io.globstash.\1/p' io.globstash.varlink | sort)" \
    "$(varlinkctl list-methods $address io.globstash | sort)"
run varlinkctl validate-idl io.globstash.varlink
check "the interface file is valid" "0 " "$status $err"
varlinkctl call --json=short $address org.varlink.service.GetInterfaceDescription '{"interface":"io.globstash"}' |
    jq --raw-output --join-output .description >/tmp/described
check_true "the service describes itself with this file, to the letter" cmp io.globstash.varlink /tmp/described
for interface in io.globstash org.varlink.service; do
    varlinkctl introspect $address $interface >/tmp/introspected
    run varlinkctl validate-idl /tmp/introspected
    check "what introspect prints for $interface is valid" "0 " "$status $err"
    mv /tmp/introspected "/tmp/$interface"
done
comments() { grep --only-matching '# .*' "$1"; }
check "and has every comment" "$(comments io.globstash.varlink)" "$(comments /tmp/io.globstash)"
check_like "the registry's name is an address" "*io.globstash*" "$(varlinkctl info /run/varlink/registry/io.globstash)"

# Calls.
check "a call without parameters" '{"entries":[],"revision":0}' "$(call List)"
check "a call without even braces" 0 "$(varlinkctl call --json=short $address io.globstash.GetStatus | jq .variables)"
run varlinkctl call --oneway $address io.globstash.Set '{"key":"one","value":"way"}'
check "a oneway call prints nothing" "0  " "$status $out $err"
one_way() { [[ $(globstash get one) == way ]]; }
eventually "and is done" one_way
check "List with more" '"one"' "$(call_more List | jq .entries[].key)"

# refused SENTENCE ERROR PARAMETERS METHOD ARGUMENT
refused() {
    run varlinkctl call --json=short $address "$4" "$5"
    check "$1: is refused" 1 "$status"
    check_like "$1: says why" "*$2*" "$err"
    check "$1: with parameters" "$(jq --compact-output --sort-keys . <<<"$3")" "$(jq --compact-output --sort-keys . <<<"$out")"
}
refused "a condition that does not hold" io.globstash.ConditionFailed '{"key":"one","revision":1}' \
    io.globstash.Set '{"key":"one","value":"x","condition":{"revision":7}}'
refused "a key that cannot be one" io.globstash.InvalidKey '{"key":"a=b","reason":"a key cannot contain \u0027=\u0027"}' \
    io.globstash.Get '{"key":"a=b"}'
refused "an unknown method" org.varlink.service.MethodNotFound '{"method":"io.globstash.Nope"}' io.globstash.Nope '{}'
refused "a missing parameter" org.varlink.service.InvalidParameter '{"parameter":"key"}' io.globstash.Set '{"value":"x"}'
refused "an unknown parameter" org.varlink.service.InvalidParameter '{"parameter":"vaule"}' io.globstash.Set '{"key":"k","vaule":"x"}'

# Whatever can be stored can be told: sd-varlink drops the connection over what it cannot parse.
odd=$'DEL \x7f, ESC \e[31m, newline \n, tab \t, "quotes" and \\, \xc2\x80, \xef\xbb\xbf, 日本語 🌍'
globstash set odd/text "$odd"
printf 'binary \xff\xfe\x00\x01' | globstash set --raw odd/binary
printf '\xef\xbf\xbe' | globstash set --raw odd/noncharacter
call_more List '{"patterns":["odd/"]}' >/tmp/odd
stored() { jq --raw-output --join-output --slurp ".[].entries[] | select(.key == \"odd/$1\") | $2" /tmp/odd; }
check "odd text is told as text" "$odd" "$(stored text .value)"
check "bytes that are no text are told in Base64" "$(printf 'binary \xff\xfe\x00\x01' | base64)" "$(stored binary .data)"
check "a noncharacter is no text" "$(printf '\xef\xbf\xbe' | base64)" "$(stored noncharacter .data)"

# The map comes with a descriptor, for which a newer varlinkctl would run a command (call --exec).
check "OpenMap is answered also to who does not look for it" "[0,2]" "$(call OpenMap | jq --compact-output '[.mapFileDescriptor, .layout]')"
check "its instance is that of GetStatus" "$(call GetStatus | jq .instance)" "$(call OpenMap | jq .instance)"
if varlinkctl --help | grep --quiet -- --exec; then
    check_like "OpenMap with --exec" "*/memfd:globstash*" \
        "$(varlinkctl call --exec $address io.globstash.OpenMap '{}' -- readlink /proc/self/fd/3)"
fi

# As a program that varlinkctl runs, with one connection that is already made.
check "exec: serves one connection" 0 "$(varlinkctl call --json=short exec:/usr/bin/globstashd io.globstash.GetStatus '{}' | jq .variables)"
alone() { [[ $(pgrep --exact globstashd) == "$(main_pid)" ]]; }
eventually "and ends with it" alone
