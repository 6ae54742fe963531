#!/bin/bash
# Without systemd, in a container whose first process is a shell, all is as with it: the first call
# starts the service, a crash loses nothing, and what is in the way is told.
. ./lib.sh

# without_runtime USER COMMAND...: as after `su`, without $XDG_RUNTIME_DIR.
without_runtime() { runuser --user "$1" -- env --chdir=/ --unset=XDG_RUNTIME_DIR "${@:2}"; }
supervisors() { pgrep --full --count 'globstashd --supervise' || true; }
supervisor() { pgrep --full 'globstashd --supervise'; }
service() { pgrep --parent "$(supervisor)"; }
# has_ended PROCESS: a process that was killed is there until it has had its turn. What has ended, and
# only nobody has asked how, does not count.
has_ended() { [[ $(ps --pid "$1" --format state=) == @(|Z) ]]; }
is_over() { ! pgrep --runstates D,R,S,T globstashd >/dev/null; }

check "the first process is a shell" bash "$(</proc/1/comm)"
check "and there is no systemd" "" "$(find /run -path /run/systemd/system)"

# ---- who may start it ----

run without_runtime alice globstash get foo
check "the machine's service is not an ordinary user's to start" "3 " "$status $out"
check_like "who is told what to do" \
    "globstash: no service at $socket*globstashd --supervise, as root*globstash --user*" "$err"
run globstash --address "$address" get foo
check "at an address given by hand nothing is started" "3 " "$status $out"

# readme NUMBER [AS...]: plays a session of the README's part about this, word for word.
readme() {
    local line said='' expected=''
    while IFS= read -r line; do
        if [[ $line == '$ '* ]]; then
            run "${@:2}" bash -c "${line#'$ '}"
            check "README: $line" "0 " "$status $err"
            said+=${out:+$out$'\n'}
        else
            expected+=$line$'\n'
        fi
    done < <(sed -n '/^## Without systemd/,/^## Use it/p' README.md |
        awk -v "number=$1" '/^```$/ { inside = 0 } inside == number { print } /^```console/ { getline line; if (line ~ /^\$ /) { inside = ++count; if (inside == number) print line } }')
    check "it printed what the README says" "$expected" "$said"
    [[ -n $expected ]]
}
readme 1 env
check "now one supervises the machine's service" 1 "$(supervisors)"
check "everybody may connect to it" "srw-rw-rw- root:root" "$(stat --format='%A %U:%G' "$socket")"
check "an ordinary user too" "0.5" "$(without_runtime alice globstash get player/volume)"
check "stop ends it" 0 "$(globstashd --stop && supervisors)"
check_true "at once" is_over
check "and takes its socket away" "" "$(find /run -name 'globstash*')"

# ---- all at once ----

for ((i = 0; i < 100; i++)); do globstash incr count >/dev/null & done
wait
check "a hundred commands at once are all answered" 100 "$(globstash get count)"
by_one() { (($(supervisors) == 1)); }
# Those who found that others were faster may be about to end.
eventually "by one service" by_one

# ---- crashes ----

workers=()
for name in one two three; do
    ./workers.py "$name" >"/tmp/worker.$name" &
    workers+=($!)
done
for ((i = 1; i <= 100; i++)); do
    globstash set counter "$i" 2>/tmp/lost || true
    ((i % 5)) || sleep "0.0$((RANDOM % 10))"
    kill -KILL "$(service)" 2>/dev/null || true
done
kill -TERM "${workers[@]}"
wait "${workers[@]}"
seen() { jq --slurp "map(.$1) | $2" /tmp/worker.*; }
check "in 100 crashes and $(seen calls add) calls, $(seen lost add) of them lost, nobody was refused" \
    0 "$(seen refused add)"
check "and nothing acknowledged was lost, halved or older than before" "[]" \
    "$(seen broken 'add | .[0:5]' | jq --compact-output .)"
passed "the longest wait was $(seen longest max) s"
check "what nobody touched is as it was" 100 "$(globstash get count)"

orphan=$(service) keeper=$(supervisor)
kill -KILL "$keeper"
eventually "nobody supervises the service any longer" has_ended "$keeper"
check "without its supervisor the service goes on" 100 "$(globstash get count)"
check_like "status tells" "*a process that is gone*" "$(globstash status)"
# Which may still listen when the command calls.
kill -KILL "$orphan"
check "its next crash loses the variables, and the next command starts another" "" "$(globstash get count)"
eventually "one" by_one
kill -TERM "$(service)"
eventually "SIGTERM to the service ends both" is_over
globstash set foo bar
kill -TERM "$(supervisor)"
eventually "SIGTERM to the supervisor ends both" is_over

# ---- users ----

readme 2 without_runtime alice
own=/tmp/globstash-1000
check "her folder is hers alone" "drwx------ alice:alice" "$(stat --format='%A %U:%G' "$own")"
check "so is the socket" "srw------- alice:alice" "$(stat --format='%A %U:%G' "$own/socket")"
without_runtime alice globstash --user set foo hers
check "bob has another service" "" "$(without_runtime bob globstash --user get foo)"
run without_runtime bob globstash --address "$own/socket" get foo
check "and does not get into hers" "3 " "$status $out"
without_runtime bob globstashd --stop --user
check "his stop is not hers" hers "$(without_runtime alice globstash --user get foo)"

# The examples of globstashd(8).
example() { run without_runtime bob bash -c "$(cat)"; }
example <<'EXAMPLE'
globstashd --supervise --user
EXAMPLE
check "bob starts his before anything calls" "0 " "$status $err"
check "it is there" "" "$(without_runtime bob globstash --user get foo)"
example <<'EXAMPLE'
globstashd --stop --user
EXAMPLE
check "and ends it" "0 " "$status $err"

script --quiet --return --command "su - alice -c 'globstash --user set from/terminal yes'" /dev/null >/dev/null
check "what began in a terminal goes on after it" yes "$(without_runtime alice globstash --user get from/terminal)"
without_runtime alice globstashd --stop --user
script --quiet --return --command "su - alice -c 'globstash --user set from/terminal yes; kill -HUP 0'" \
    /dev/null >/dev/null || true
check "also if all that was started there is ended" yes "$(without_runtime alice globstash --user get from/terminal)"
without_runtime alice globstashd --stop --user

# ---- what is in the way ----

# refused SENTENCE PATTERN COMMAND...
refused() {
    run "${@:3}"
    check "$1: exit status 3, and nothing printed" "3 " "$status $out"
    check_like "$1: a sentence" "globstash: *$2*" "$err"
    # Who has said the sentence may be about to end.
    eventually "$1: nothing is left behind" is_over
}
rm -r "$own"
without_runtime bob mkdir "$own"
refused "a folder that bob has made for alice" "$own is not trusted*" without_runtime alice globstash --user get foo
rm -r "$own"
without_runtime bob ln -s /home/bob "$own"
refused "a link that bob has made for alice" "$own is not trusted*" without_runtime alice globstash --user get foo
rm "$own"
refused "another user's runtime directory" "/home/bob is not trusted*" \
    without_runtime alice env XDG_RUNTIME_DIR=/home/bob globstash --user get foo
refused "a runtime directory that is not there" "*cannot listen at /none/globstash: No such file*" \
    without_runtime alice env XDG_RUNTIME_DIR=/none globstash --user get foo

mkdir /tmp/small
mount -t tmpfs -o nr_inodes=1,mode=0700 small /tmp/small
refused "a full disk" "*cannot listen at /tmp/small/globstash: No space left on device*" \
    env XDG_RUNTIME_DIR=/tmp/small globstash --user get foo
mount -o remount,ro /tmp/small
refused "a folder that is read-only" "*cannot listen at /tmp/small/globstash: Read-only file system*" \
    env XDG_RUNTIME_DIR=/tmp/small globstash --user get foo
mv /usr/bin/globstashd /root
refused "a service that is not installed" "globstashd is not installed*" globstash get foo
mv /root/globstashd /usr/bin
check "when nothing is in the way it starts" "" "$(globstash get foo)"
