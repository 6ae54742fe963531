#!/bin/bash
# Nobody starts the service: its first caller does.
. ./lib.sh
set_up

check "the socket listens" active "$(systemctl is-active globstashd.socket)"
check "everybody may connect" "srw-rw-rw- root:root" "$(stat --format='%A %U:%G' $socket)"
check "the service does not run yet" inactive "$(systemctl is-active globstashd.service)"

check "the first call is answered" '{"revision":1}' "$(call Set '{"key":"foo","value":"bar"}')"
check "now the service runs" active "$(systemctl is-active globstashd.service)"
check "it is the one that answered" 1 "$(pgrep --count --exact globstashd)"
check "the command reads what varlinkctl wrote" bar "$(globstash get foo)"
check_true "the command writes" globstash set from "the command"
check "varlinkctl reads what the command wrote" '"the command"' "$(call Get '{"key":"from"}' | jq .value)"
check "what is not defined is an empty string" '{"defined":false,"revision":0,"value":""}' "$(call Get '{"key":"nope"}')"
check "and an empty output" "" "$(globstash get nope)"
check_like "the service tells systemd how it is" "?*" "$(property StatusText)"

systemctl --quiet stop globstashd.service 2>/dev/null
run globstash set cold start
check "the command's call may be the first as well" "0  " "$status $out $err"
check "and is not lost" start "$(globstash get cold)"
