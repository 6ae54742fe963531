#!/bin/bash
# Reloads, crashes and stops that come together.
. ./lib.sh
set_up

# pid: the process, without asking systemd, which takes longer than what is to be hit.
pid() { pgrep --exact --oldest globstashd; }
# moment: less time than a reload takes.
moment() { sleep "0.0$(printf '%02d' $((RANDOM % 30)))"; }
# survives: the last value is there, and takes the next.
survives() {
    local value
    value=$(globstash get count)
    [[ $value == "$count" ]] || failed "$1 keeps the value" "$count" "$value"
    count=$((count + 1))
    globstash set count "$count"
}
globstash set count 0
count=0

for _ in {1..20}; do
    kill -HUP "$(pid)"
    moment
    kill -KILL "$(pid)" || true
    survives "a kill in the midst of a reload"
done
passed "a kill in the midst of a reload keeps the values, 20 times"

for _ in {1..20}; do
    systemctl reload globstashd.service 2>/dev/null &
    moment
    kill -KILL "$(pid)" || true
    wait $! || true
    survives "a kill during systemctl reload"
done
passed "a kill during systemctl reload keeps the values, 20 times"

before=$(main_pid)
for _ in {1..20}; do
    for _ in {1..3}; do kill -HUP "$before"; done
    survives "three SIGHUP in a row"
done
check "three SIGHUP in a row keep the values, 20 times, in the same process" "$before" "$(main_pid)"

# The next process does not know SIGHUP yet when it comes.
for _ in {1..20}; do
    dead=$(pid)
    kill -KILL "$dead"
    until next=$(pid) && [[ $next != "$dead" ]]; do :; done
    kill -HUP "$next" || true
    survives "a SIGHUP at the very beginning"
done
passed "a SIGHUP at the very beginning keeps the values, 20 times"

for _ in {1..20}; do
    systemctl --quiet stop globstashd.service 2>/dev/null
    globstash set count 1
    kill -HUP "$(pid)"
    moment
    kill -TERM "$(pid)"
    until [[ $(property ActiveState) == inactive ]]; do sleep 0.005; done
    [[ $(property Result) == success ]] || failed "a SIGTERM after a SIGHUP ends it in good order" success "$(property Result)"
    value=$(globstash get count)
    [[ -z $value ]] || failed "a SIGTERM in the midst of a reload forgets" "" "$value"
done
passed "a SIGTERM in the midst of a reload forgets, 20 times"

# Stop and restart under load: nobody sees what was there before, and nobody is refused.
globstash set count 1
loads=()
for how in "" --keep; do
    # shellcheck disable=SC2086 # no word is no argument
    ./load.py $how >"/tmp/load.${#loads[@]}" &
    loads+=($!)
done
for how in stop restart stop restart stop restart; do
    globstash set before "$how"
    systemctl --quiet "$how" globstashd.service 2>/dev/null
    check "after a $how under load nothing is there" "" "$(globstash get before)"
done
kill -TERM "${loads[@]}"
wait "${loads[@]}"
outcome() { jq --slurp "map(.$1) | add" /tmp/load.*; }
check "of $(outcome answered) calls meanwhile none was refused" 0 "$(outcome refused)"
check "and none that was sent went unanswered" 0 "$(outcome unanswered)"

# Whoever watches is told of all of it.
globstash watch --changes count >/tmp/seen &
watch=$!
eventually "a watch begins" sh -c 'globstash status --json | jq --exit-status ".watches == 1"'
for n in {1..20}; do
    globstash set count "$n"
    case $((n % 4)) in
        0) kill -KILL "$(pid)" ;;
        1) systemctl reload globstashd.service ;;
        2) kill -HUP "$(pid)" ;;
    esac
done
globstash set count end
eventually "a watch goes on over crashes and reloads" grep --quiet 'end$' /tmp/seen
kill "$watch"
check "it is told what is newer, and nothing twice" "$(sort --numeric-sort --unique --field-separator== --key=2 <(grep -v end /tmp/seen))" "$(grep -v end /tmp/seen)"
check "nothing has failed" "" "$(systemctl list-units --failed --no-legend)"
check "systemd keeps the map, and nothing else" "map view" \
    "$(systemd-analyze --json=short fdstore globstashd.service | jq --raw-output '[.[].fdname] | sort | join(" ")')"
