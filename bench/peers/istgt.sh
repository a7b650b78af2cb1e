#!/bin/sh
# Debian's istgt as a peer of comparison runs: a RAM-backed unit and, when a file is
# named, one in that file, on a loopback port, pinned to one core.
#
#   bench/peers/istgt.sh start   prints the address of LUN 0, and the pid
#   bench/peers/istgt.sh stop
#
# LUN 0 is the RAM unit, LUN 1 the file, through the page cache: it has no other
# way. Digests are the initiator's choice. InitialR2T stays Yes: it knows nothing
# else. The lengths are the largest of its own example.
#
# ISTGT_PORT (3271), ISTGT_CONTROL (3281), a port that it insists on, ISTGT_CORE (0),
# ISTGT_MIB (256), ISTGT_FILE (none) and ISTGT_DIR (/dev/shm/lunar-istgt) move it
# aside.
set -eu

port=${ISTGT_PORT:-3271}
control=${ISTGT_CONTROL:-3281}
core=${ISTGT_CORE:-0}
mib=${ISTGT_MIB:-256}
file=${ISTGT_FILE:-}
dir=${ISTGT_DIR:-/dev/shm/lunar-istgt}
target=iqn.2026-01.lunar:peer-istgt

stop() {
	[ -f "$dir/child" ] || return 0
	pid=$(cat "$dir/child")
	kill -9 "$pid" 2>/dev/null || true
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	rm -rf "$dir"
}

configure() {
	cat >"$dir/conf" <<CONF
[Global]
  NodeBase "iqn.2026-01.lunar"
  PidFile $dir/pid
  AuthFile $dir/auth
  MediaDirectory $dir
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod None
  MaxSessions 64
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
  InitialR2T Yes
  ImmediateData Yes
  DataPDUInOrder Yes
  DataSequenceInOrder Yes
  ErrorRecoveryLevel 0
[UnitControl]
  AuthMethod None
  Portal UC1 127.0.0.1:$control
  Netmask 127.0.0.1
[PortalGroup1]
  Portal P1 127.0.0.1:$port
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.1/32
[LogicalUnit1]
  TargetName $target
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod None
  UseDigest Auto
  UnitType Disk
  QueueDepth 128
  LUN0 Storage $dir/unit ${mib}MB
CONF
	if [ -n "$file" ]; then
		echo "  LUN1 Storage $file Auto" >>"$dir/conf"
	fi
	: >"$dir/auth"
	chmod 600 "$dir/auth"
}

start() {
	stop
	mkdir -p "$dir"
	head -c "${mib}M" /dev/zero >"$dir/unit" # written: holes all read the one page of zeros
	configure
	taskset -c "$core" istgt -D -c "$dir/conf" >"$dir/log" 2>&1 &
	echo $! >"$dir/child"
	sleep 0.5 # it opens its portal within this, or has said why not
	if ! kill -0 "$(cat "$dir/child")" 2>/dev/null; then
		cat "$dir/log" >&2
		exit 1
	fi
	echo "iscsi://127.0.0.1:$port/$target/0 $(cat "$dir/child")"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*)
	echo "usage: $0 start|stop" >&2
	exit 2
	;;
esac
