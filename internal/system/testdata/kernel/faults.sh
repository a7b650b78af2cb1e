#!/bin/bash
# What a network and an operator do to sessions at work: sixteen at once, silence,
# cut connections, a stopped and a killed target, one that is taken away. Every byte
# that was acknowledged is read back. PART names one part or several. See lib.sh.
here=$(dirname "$0")
. "$here/lib.sh"
start_iscsid

# attach KEY=VALUE...: one session with a disk, which waits long for its target.
attach() {
	record plain node.session.timeo.replacement_timeout=120 "$@"
	login plain >/dev/null 2>&1
	d=$(disk plain 0) || fail "no disk"
	dmesg -C
}
errors() { dmesg | grep -c 'detected conn error'; }

# at_work SECONDS: writes to the disk that go on for so long. Their verdict is in
# /tmp/verdict.
at_work() { python3 "$here/journal.py" "$d" "$1" >/tmp/verdict 2>&1 & worker=$!; sleep 3; }

# verdict WHAT ERRORS: no byte is lost, and the connection failed so often at least.
verdict() {
	if wait $worker; then pass "$1: $(tail -1 /tmp/verdict)"; else fail "$1: $(tail -2 /tmp/verdict | tr '\n' ' ')"; fi
	settled || fail "$1: the session does not come back"
	works "$1: the session goes on after $(errors) errors of its connection" trip "$d" 2 400
	[ "$(errors)" -ge "$2" ] || fail "$1: $(errors) errors of its connection, want $2"
}

sessions() {
	record plain node.session.nr_sessions=16
	works "16 sessions" login plain
	local all at=0 trips=() bad=0 p
	all=$(disk plain 0 16) || fail "16 sessions: $(disks plain 0 | wc -l) disks"
	for d in $all; do
		trip "$d" 4 $at & trips+=($!)
		at=$((at + 4))
	done
	for p in "${trips[@]}"; do wait "$p" || bad=$((bad + 1)); done
	[ $bad = 0 ] && pass "16 sessions write and read at once" || fail "16 sessions: $bad differ"
	logout plain
}

silence() {
	attach 'node.conn[0].timeo.noop_out_interval=1' 'node.conn[0].timeo.noop_out_timeout=2'
	at_work 18
	host pause 9
	verdict "9 s of silence, pings every second" 1
	dmesg | grep -q 'ping timeout of 2 secs expired' && pass "the ping was missed" || fail "no ping was missed: $(dmesg | tail -3)"
	logout plain

	attach
	at_work 16
	host pause 9
	verdict "9 s of silence" 0
	logout plain
}

cut() {
	attach
	at_work 20
	for _ in 1 2 3; do
		ss -K dst "${PORTAL%:*}" dport = ":${PORTAL##*:}" >/dev/null 2>&1
		sleep 5 # it comes back two seconds later
	done
	verdict "the connection cut three times" 3
	logout plain
}

stop() {
	attach
	at_work 12
	host restart
	verdict "a stop and a start" 0 # asked to log out, it fails at nothing
	logout plain
}

kill9() {
	attach
	for i in 1 2 3; do
		at_work 12
		host crash
		verdict "kill -9, the $i. time" $i
	done
	logout plain
}

drop() {
	local seconds
	for seconds in 1 5; do
		attach
		at_work 16
		host drop $seconds
		verdict "the target taken away for $seconds s" $((seconds > 2))
		logout plain
	done
}

for part in ${PART:-sessions silence cut stop kill9 drop}; do
	case $part in
	sessions | silence | cut | stop | kill9 | drop) $part ;;
	*) fail "unknown part $part" ;;
	esac
done
done_all
