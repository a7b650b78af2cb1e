#!/bin/bash
# The other side of the scripts of this folder: a Lunar whose process, configuration
# and secrets these words change.
#
#   LUNAR=bin/lunar STATE=/tmp/kernel target.sh start   # and stop
#
# stop, kill      SIGTERM or SIGKILL
# restart, crash  the same, and start again
# pause SECONDS   SIGSTOP, and SIGCONT after so many seconds
# drop SECONDS    a reload without the target "plain", and so much later one with it
# discovery MODE  what discovery must prove: none, chap or mutual
set -eu
LUNAR=${LUNAR:-bin/lunar} STATE=${STATE:-/tmp/lunar-kernel} PORTAL=${LISTEN:-127.0.0.1:3260}
BASE=iqn.2026-11.lunar
mkdir -p "$STATE"
others="large chap mutual md5 sha1 sha256 sha3"
pid() { cat "$STATE/pid"; }

secret() { # a file of its own for each
	[ -f "$STATE/$1" ] || { (umask 077 && echo "the-secret-of-$1" >"$STATE/$1"); }
	echo "{ name = \"$1\", secret = \"file:$STATE/$1\" }"
}

# configure DISCOVERY TARGETS...
configure() {
	local discovery=$1 t
	shift
	{
		echo "state = \"$STATE\""
		echo "[[portal_group]]"
		echo "portals = [\"$PORTAL\"]"
		if [ "$discovery" != none ]; then
			echo "[discovery.chap]"
			echo "users = [$(secret finder)]"
			[ "$discovery" = chap ] || echo "mutual = $(secret directory)"
		fi
		echo "[[unit]]"; echo "name = \"file\""; echo "medium = \"file\""; echo "path = \"$STATE/disk\""; echo "size = \"512MiB\""
		echo "[[unit]]"; echo "name = \"ram\""; echo "medium = \"ram\""; echo "size = \"64MiB\""
		for t in "$@"; do
			echo "[[target]]"; echo "name = \"$BASE:$t\""
			echo "lun = [{ number = 0, unit = \"file\" }, { number = 1, unit = \"ram\" }]"
			case $t in
			plain) ;;
			large) echo "[target.keys]"; echo "max_burst_length = 16776192" ;;
			*) echo "[target.chap]"; echo "users = [$(secret host)]" ;;
			esac
			case $t in
			mutual) echo "mutual = $(secret lunar)" ;;
			md5) echo 'algorithms = ["MD5"]' ;;
			sha1) echo 'algorithms = ["SHA-1"]' ;;
			sha256) echo 'algorithms = ["SHA-256"]' ;;
			sha3) echo 'algorithms = ["SHA3-256"]' ;;
			esac
		done
	} >"$STATE/new.toml"
	mv "$STATE/new.toml" "$STATE/lunar.toml"
}

start() {
	: >"$STATE/out"
	"$LUNAR" serve --config "$STATE/lunar.toml" >"$STATE/out" 2>>"$STATE/log" &
	echo $! >"$STATE/pid"
	for _ in $(seq 100); do
		grep -q '^lunar: ready' "$STATE/out" && return
		sleep 0.1
	done
	echo "target.sh: the daemon is not ready, see $STATE/log" >&2
	exit 1
}

end() {
	# It may have ended by itself; whether it is gone is looked at below.
	kill "-$1" "$(pid)" 2>/dev/null || true
	for _ in $(seq 80); do
		kill -0 "$(pid)" 2>/dev/null || return 0
		sleep 0.1
	done
	echo "target.sh: the daemon did not end" >&2
	exit 1
}

case $1 in
start) configure none plain $others; start ;;
stop) end TERM ;;
kill) end KILL ;;
restart) end TERM; start ;;
crash) end KILL; start ;;
pause) kill -STOP "$(pid)"; sleep "$2"; kill -CONT "$(pid)" ;;
drop)
	configure none $others; kill -HUP "$(pid)"; sleep "$2"
	configure none plain $others; kill -HUP "$(pid)"
	;;
discovery) configure "$2" plain $others; kill -HUP "$(pid)" ;;
*) echo "target.sh: unknown word $1; see the head of this file" >&2; exit 2 ;;
esac
