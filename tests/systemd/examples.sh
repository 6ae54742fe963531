#!/bin/bash
# The examples of the README and the manual pages that need a systemd, or varlinkctl. Each stands on
# a line of its own, as it is there: tests/examples looks for them.
. ./lib.sh
systemd-sysusers
systemctl daemon-reload

# example [COMMAND...]: runs what is on standard input, as somebody would type it.
example() { run "$@" bash -c "$(cat)"; }
# What varlinkctl prints for people, as a line.
reply() { jq --compact-output --sort-keys . <<<"$out"; }

# globstashd(8)
example <<'EXAMPLE'
systemctl enable --now globstashd.socket
EXAMPLE
check "the machine has variables" "0 globstashd.socket" "$status $(systemctl list-units --plain --no-legend --state=listening globstashd.socket | cut --delimiter=' ' --fields=1)"
loginctl enable-linger alice
alice_is_there() { as alice systemctl --user is-system-running --wait; }
eventually "alice has a manager" alice_is_there
example as alice <<'EXAMPLE'
systemctl --user enable --now globstashd.socket
EXAMPLE
check "and so has alice" "0 1" "$status $(as alice bash -c 'globstash --user set k 1; globstash --user get k')"

# The README
globstash set player/volume 0.5
example <<'EXAMPLE'
varlinkctl call unix:/run/globstash io.globstash.Get '{"key":"player/volume"}'
EXAMPLE
check "a variable is read" '{"defined":true,"revision":1,"value":"0.5"}' "$(reply)"
example <<'EXAMPLE'
varlinkctl introspect unix:/run/globstash io.globstash
EXAMPLE
check_like "the interface tells of itself" "*interface io.globstash*method Set*" "$out"
example <<'EXAMPLE'
varlinkctl call unix:/run/globstash io.globstash.Set '{"key":"foo","value":"bar"}'
EXAMPLE
check "a variable is set" '{"revision":2}' "$(reply)"
example <<'EXAMPLE'
varlinkctl call unix:/run/globstash io.globstash.Get '{"key":"foo"}'
EXAMPLE
check "and read" '{"defined":true,"revision":2,"value":"bar"}' "$(reply)"
example <<'EXAMPLE'
varlinkctl call --more unix:/run/globstash io.globstash.List '{"patterns":["player/"]}'
EXAMPLE
check_like "variables are listed" '*"key":"player/volume"*' "$out"

# What varlinkctl asks of ssh is to connect it with a socket of the host.
cat >/usr/local/bin/ssh <<'SSH'
#!/bin/bash
echo "$*" >/tmp/ssh
exec socat STDIO UNIX-CONNECT:/run/globstash
SSH
chmod +x /usr/local/bin/ssh
example <<'EXAMPLE'
varlinkctl call ssh-unix:host:/run/globstash io.globstash.Get '{"key":"foo"}'
EXAMPLE
check "also on another machine" '{"defined":true,"revision":2,"value":"bar"}' "$(reply)"
check_like "by ssh" '*host*' "$(</tmp/ssh)"

# globstashd(8) again
example <<'EXAMPLE'
systemctl reload globstashd
EXAMPLE
check "a reload keeps the variables" "0 bar" "$status $(globstash get foo)"
example <<'EXAMPLE'
systemctl restart globstashd
EXAMPLE
check "a restart forgets them" "0 " "$status $(globstash get foo)"
example <<'EXAMPLE' &
globstashd --address unix:@example
EXAMPLE
elsewhere() { globstash --address unix:@example set k v; }
eventually "it serves elsewhere without systemd" elsewhere
pkill --exact --full "globstashd --address unix:@example"
wait %1
passed "and ends when asked to"
