#!/bin/bash
# systemd hears from an idle service that it is well, and starts one anew that hangs.
. ./lib.sh
set_up
# The unit's minute is too long to wait for; but so long a process may not have its turn.
drop_in globstashd.service '[Service]' WatchdogSec=5s
check_true "the service starts" systemctl start globstashd.service

heard=$(property WatchdogTimestampMonotonic)
heard_again() { (($(property WatchdogTimestampMonotonic) > heard + $1)); }
eventually "it is heard of for three times the period" heard_again 15000000
check "and was never started anew" 0 "$(property NRestarts)"

kill -STOP "$(main_pid)"
started_anew() { [[ $(property NRestarts) == 1 ]]; }
eventually "a service that hangs is started anew" started_anew
eventually "and answers" globstash set foo bar
