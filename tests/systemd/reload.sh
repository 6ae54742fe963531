#!/bin/bash
# A reload puts in another program, loses nothing and turns nobody away; and where the other could
# not take over, nothing happens but a sentence.
. ./lib.sh
set_up
globstash set foo bar
before=$(main_pid)
instance=$(call GetStatus | jq --raw-output .instance)

check_true "a reload succeeds" systemctl reload globstashd.service
check "the next call finds everything as it was" bar "$(globstash get foo)"
check "in the same process" "$before" "$(main_pid)"
check "which is the same instance" "$instance" "$(call GetStatus | jq --raw-output .instance)"
check "and another program: it has answered only these calls" 1 \
    $(($(call GetStatus | jq .calls) < 6))

# Two versions, which take turns from here on: the second is the first with another number.
version=$(globstashd --version | cut --delimiter=' ' --fields=2)
newer=${version%.*}.$((${version##*.} + 1))
cp /usr/bin/globstashd /usr/bin/globstashd.0
sed "s/${version//./\\.}/$newer/g" /usr/bin/globstashd.0 >/usr/bin/globstashd.1
chmod 755 /usr/bin/globstashd.1
# put_in N: puts in one of them, as a package manager does.
put_in() { ln "/usr/bin/globstashd.$1" /usr/bin/globstashd.new && mv /usr/bin/globstashd.new /usr/bin/globstashd; }
serving() { call GetStatus | jq --raw-output .version; }
put_in 1
check "a program that is put in does nothing yet" "$version" "$(serving)"
check_true "until a reload" systemctl reload globstashd.service
check "then the newer version serves, with all variables" "$newer bar" "$(serving) $(globstash get foo)"

# A watch that goes on over reloads.
globstash watch --changes 'seen/*' >/tmp/seen &
watch=$!
eventually "a watch begins" sh -c 'globstash status --json | jq --exit-status ".watches == 1"'

loads=()
for how in "" "" --keep --keep; do
    # shellcheck disable=SC2086 # no word is no argument
    ./load.py $how >"/tmp/load.${#loads[@]}" &
    loads+=($!)
done
for ((i = 0; i < 100; i++)); do
    globstash set "seen/$i" "$i"
    put_in $((i % 2))
    systemctl reload globstashd.service
done
kill -TERM "${loads[@]}"
wait "${loads[@]}"
outcome() { jq --slurp "map(.$1) | add" /tmp/load.*; }
check "of $(outcome answered) calls during 100 reloads none was refused" 0 "$(outcome refused)"
check "and none that was sent went unanswered" 0 "$(outcome unanswered)"
check "it is still the same process" "$before" "$(main_pid)"
check "with all values" "100 bar" "$(globstash list 'seen/*' | wc -l) $(globstash get foo)"
eventually "the watch has seen all changes" sh -c '[ "$(wc -l </tmp/seen)" -ge 100 ]'
check "each of them once" 100 "$(sort -u /tmp/seen | wc -l)"
check "and no other" 100 "$(wc -l </tmp/seen)"
kill "$watch"

mv /usr/bin/globstashd /usr/bin/globstashd.good
for broken in 'exit 1' 'echo "cannot take over" >&2; exit 1'; do
    printf '#!/bin/sh\n%s\n' "$broken" >/usr/bin/globstashd
    chmod 755 /usr/bin/globstashd
    run systemctl reload globstashd.service
    check "a reload to a broken program fails" 1 "$status"
    check "and the old one goes on" "$before bar" "$(main_pid) $(globstash get foo)"
done
rm /usr/bin/globstashd
run systemctl reload globstashd.service
check "so does one to a program that is missing" "1 bar" "$status $(globstash get foo)"
kill -HUP "$before"
eventually "even if nobody has checked" \
    sh -c 'journalctl --unit=globstashd.service | grep "going on, as no other program could take over"'
check "nothing is lost" "$before bar" "$(main_pid) $(globstash get foo)"
mv /usr/bin/globstashd.good /usr/bin/globstashd
check_true "with the program back, a reload works" systemctl reload globstashd.service
check "and keeps everything" "$before bar" "$(main_pid) $(globstash get foo)"
kill -KILL "$before"
check "also over a crash afterwards" bar "$(globstash get foo)"

MAINPID=$$ run globstashd --check
check "what is no service cannot be taken over" 1 "$status"
check_like "and that is said" "*globstashd: process $$ is no service*" "$err"
