#!/bin/bash
# Completion tells keys while the service runs, and never starts it.
. ./lib.sh
set_up

is_active() { systemctl is-active "$@" || true; }
keys() { globstash complete fish -- globstash "$@" get ''; }
# The service is not waited for if it does not answer at once, and then less is told.
told() { [[ $(keys "${@:2}") == "$1" ]]; }
check "without the service no key is told" words "$(keys)"
check "nor is it started" "inactive active" "$(is_active globstashd.service) $(is_active globstashd.socket)"
check "and no call waits for it" 0 "$(systemctl show --value --property=NAccepted globstashd.socket)"
globstash set k v
eventually "while it runs, the keys are told" told $'words\nk\tv'
eventually "also by its other name" told $'words\nk\tv' --address /run/globstash
systemctl stop globstashd.service
check "no more when it has ended" "words inactive" "$(keys) $(is_active globstashd.service)"

# The same for a user's own.
loginctl enable-linger alice
alice_is_there() { as alice systemctl --user is-system-running --wait; }
eventually "alice has a manager" alice_is_there
as alice systemctl --user --quiet enable --now globstashd.socket
alices() { as alice globstash complete fish -- globstash --user get ''; }
alice_told() { [[ $(alices) == "$1" ]]; }
check "alice is told no key" words "$(alices)"
check "and her service is not started" inactive "$(as alice systemctl --user is-active globstashd.service || true)"
as alice globstash --user set hers 1
eventually "while it runs, her keys are told" alice_told $'words\nhers\t1'
