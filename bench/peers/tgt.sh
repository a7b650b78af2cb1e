#!/bin/sh
# Debian's tgtd as a peer of comparison runs: one RAM-backed unit on a loopback
# port, pinned to one core.
#
#   bench/peers/tgt.sh start   prints the address of LUN 1, and the pid
#   bench/peers/tgt.sh stop
#
# TGT_DIGESTS=1 has it demand CRC32C for headers and data.
# TGT_PORT (3270), TGT_CORE (0), TGT_MIB (256), TGT_DIR (/dev/shm/lunar-tgt) and
# TGT_CONTROL (70), the number of tgtd's control socket, move it aside.
set -eu

port=${TGT_PORT:-3270}
core=${TGT_CORE:-0}
mib=${TGT_MIB:-256}
dir=${TGT_DIR:-/dev/shm/lunar-tgt}
control=${TGT_CONTROL:-70}
target=iqn.2026-01.lunar:peer-tgt

adm() { tgtadm -C "$control" --lld iscsi "$@"; }

stop() {
	[ -f "$dir/pid" ] || return 0
	pid=$(cat "$dir/pid")
	kill -9 "$pid" 2>/dev/null || true # it ignores gentler signals with a target alive
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	rm -rf "$dir"
}

start() {
	stop
	mkdir -p "$dir" /run/tgtd
	head -c "${mib}M" /dev/zero >"$dir/unit" # written: see run.sh
	taskset -c "$core" tgtd -f -C "$control" --iscsi portal=127.0.0.1:"$port" >"$dir/log" 2>&1 &
	echo $! >"$dir/pid"
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		adm --op show --mode system >/dev/null 2>&1 && break
		sleep 0.1
	done
	adm --op new --mode target --tid 1 -T "$target"
	adm --op new --mode logicalunit --tid 1 --lun 1 -b "$dir/unit"
	if [ -n "${TGT_DIGESTS:-}" ]; then # without, it agrees to none whatever is offered
		adm --op update --mode target --tid 1 --name HeaderDigest --value CRC32C
		adm --op update --mode target --tid 1 --name DataDigest --value CRC32C
	fi
	adm --op bind --mode target --tid 1 -I 127.0.0.1
	echo "iscsi://127.0.0.1:$port/$target/1 $(cat "$dir/pid")"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*)
	echo "usage: $0 start|stop" >&2
	exit 2
	;;
esac
