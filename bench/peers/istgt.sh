#!/bin/sh
# Debian's istgt as a peer of comparison runs: a RAM-backed unit and, when a file is
# named, one in that file, on a loopback port, pinned to one core.
#
#   cat bench/peers/istgt.sh bench/peers/verbs.sh | sh -s start   prints the address of LUN 0, and the pid
#   cat bench/peers/istgt.sh bench/peers/verbs.sh | sh -s stop
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

prepare() {
	cat >"$dir/conf" <<CONF
[Global]
  NodeBase "iqn.2026-01.lunar"
  PidFile $dir/istgt.pid
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

launch() {
	taskset -c "$core" istgt -D -c "$dir/conf" >"$dir/log" 2>&1 &
	echo $! >"$dir/pid"
}

ready() { lasts; }

address() { echo "iscsi://127.0.0.1:$port/$target/0"; }
