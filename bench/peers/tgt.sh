#!/bin/sh
# Debian's tgtd as a peer of comparison runs: a RAM-backed unit and, when a file is
# named, one in that file, on a loopback port, pinned to one core.
#
#   cat bench/peers/tgt.sh bench/peers/verbs.sh | sh -s start   prints the address of LUN 1, and the pid
#   cat bench/peers/tgt.sh bench/peers/verbs.sh | sh -s stop
#
# LUN 1 is the RAM unit, LUN 2 the file, past the page cache. The same units are
# behind two more targets, whose names end in -header and -both: tgtd agrees to no
# digest whatever is offered unless it demands one, which it does for a whole target.
#
# TGT_DIGESTS=1 has the first target demand CRC32C for headers and data.
# TGT_PORT (3270), TGT_CORE (0), TGT_MIB (256), TGT_FILE (none), TGT_DIR
# (/dev/shm/lunar-tgt) and TGT_CONTROL (70), the number of tgtd's control socket,
# move it aside.
set -eu

port=${TGT_PORT:-3270}
core=${TGT_CORE:-0}
mib=${TGT_MIB:-256}
file=${TGT_FILE:-}
dir=${TGT_DIR:-/dev/shm/lunar-tgt}
control=${TGT_CONTROL:-70}
target=iqn.2026-01.lunar:peer-tgt

adm() { tgtadm -C "$control" --lld iscsi "$@"; }

export_as() { # tid, name, what it demands CRC32C for
	adm --op new --mode target --tid "$1" -T "$2"
	adm --op new --mode logicalunit --tid "$1" --lun 1 -b "$dir/unit"
	if [ -n "$file" ]; then
		adm --op new --mode logicalunit --tid "$1" --lun 2 --bstype rdwr --bsoflags direct -b "$file"
	fi
	for digest in $3; do
		adm --op update --mode target --tid "$1" --name "$digest" --value CRC32C
	done
	adm --op bind --mode target --tid "$1" -I 127.0.0.1
}

prepare() { mkdir -p /run/tgtd; }

launch() {
	taskset -c "$core" tgtd -f -C "$control" --iscsi portal=127.0.0.1:"$port" >"$dir/log" 2>&1 &
	echo $! >"$dir/pid"
}

ready() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		adm --op show --mode system >/dev/null 2>&1 && break
		sleep 0.1
	done
	if [ -n "${TGT_DIGESTS:-}" ]; then
		export_as 1 "$target" "HeaderDigest DataDigest"
	else
		export_as 1 "$target" ""
	fi
	export_as 2 "$target-header" "HeaderDigest"
	export_as 3 "$target-both" "HeaderDigest DataDigest"
}

address() { echo "iscsi://127.0.0.1:$port/$target/1"; }
