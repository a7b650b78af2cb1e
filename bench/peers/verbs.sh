# The end of the script of every peer: what they do alike. It expects dir and the
# functions prepare, which makes what the peer reads, launch, which starts it and
# writes its process to $dir/pid, ready, which waits until it serves, and address.

stop() {
	[ -f "$dir/pid" ] || return 0
	pid=$(cat "$dir/pid")
	kill -9 "$pid" 2>/dev/null || true # some ignore gentler signals with a session alive
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	rm -rf "$dir"
}

lasts() { # for a peer that opens its portal within half a second, or has said why not
	sleep 0.5
	if ! kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
		cat "$dir/log" >&2
		exit 1
	fi
}

start() {
	stop
	mkdir -p "$dir"
	head -c "${mib}M" /dev/zero >"$dir/unit" # written: holes all read the one page of zeros
	prepare
	launch
	ready
	echo "$(address) $(cat "$dir/pid")"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*)
	echo "usage: start|stop" >&2
	exit 2
	;;
esac
