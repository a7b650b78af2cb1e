#!/bin/sh
# gotgt, a target in Go, as a peer of comparison runs: a RAM-backed unit and, when a
# file is named, one in that file, pinned to one core.
#
#   cat bench/peers/gotgt.sh bench/peers/verbs.sh | sh -s start   builds it if need be; prints the address of LUN 0, and the pid
#   cat bench/peers/gotgt.sh bench/peers/verbs.sh | sh -s stop
#
# LUN 0 is the RAM unit, LUN 1 the file, through the page cache: it has no other
# way. The port comes by flag, since it does not read the one of its configuration,
# and it listens on every address of the machine. Of digests it agrees to CRC32C and
# then sends none, so no session with digests works.
#
# GOTGT_PORT (3272), GOTGT_CORE (0), GOTGT_MIB (256), GOTGT_FILE (none), GOTGT_DIR
# (/dev/shm/lunar-gotgt) and GOTGT_CACHE (lunar-peers in the user's cache directory),
# where the program is kept, move it aside.
set -eu

version=v0.2.2
port=${GOTGT_PORT:-3272}
core=${GOTGT_CORE:-0}
mib=${GOTGT_MIB:-256}
file=${GOTGT_FILE:-}
dir=${GOTGT_DIR:-/dev/shm/lunar-gotgt}
cache=${GOTGT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lunar-peers}
target=iqn.2026-01.lunar:peer-gotgt
program=$cache/gotgt-$version

# A module of its own that requires the one version: go install would also ask for
# the list of all versions, which not every proxy serves.
build() {
	[ -x "$program" ] && return 0
	mkdir -p "$cache/gotgt-module"
	printf 'module peer\n\ngo 1.24\n\nrequire github.com/gostor/gotgt %s\n' "$version" >"$cache/gotgt-module/go.mod"
	(cd "$cache/gotgt-module" && CGO_ENABLED=0 go build -mod=mod -o "$program.new" github.com/gostor/gotgt) >&2
	mv "$program.new" "$program"
}

prepare() {
	build
	units='"0": 1000'
	storages='{"deviceID": 1000, "path": "file:'$dir/unit'", "online": true}'
	if [ -n "$file" ]; then
		units=$units', "1": 1001'
		storages=$storages', {"deviceID": 1001, "path": "file:'$file'", "online": true}'
	fi
	cat >"$dir/config.json" <<CONF
{
  "storages": [$storages],
  "iscsiportals": [{"id": 0, "portal": "127.0.0.1:$port"}],
  "iscsitargets": {"$target": {"tpgts": {"1": [0]}, "luns": {$units}}}
}
CONF
}

launch() {
	GOSTOR_CONFIG=$dir taskset -c "$core" "$program" daemon --log error --host tcp://127.0.0.1:0 --port "$port" >"$dir/log" 2>&1 &
	echo $! >"$dir/pid"
}

ready() { lasts; }

address() { echo "iscsi://127.0.0.1:$port/$target/0"; }
