#!/usr/bin/env bash
# Measures this target and Debian's tgt in interleaved rounds and rewrites
# BENCHMARKS.md. Target on processor 0, load on processor 1, RAM units, loopback.
#
#   ROUNDS (5) and TIME (3s) of each cell, PORT (3291) of the target
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-5} time=${TIME:-3s} port=${PORT:-3291}
state=$(mktemp -d)
./bin/lunar serve --portal 127.0.0.1:"$port" --state "$state" --reactors 0, --lun ram:size=256MiB >"$state/log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null || true; rm -rf "$state"' EXIT
for _ in $(seq 50); do grep -q 'lunar: ready' "$state/log" && break; sleep 0.1; done
url=iscsi://127.0.0.1:$port/iqn.2026-11.lunar:default/0
# Reads of pages that were never written all show the kernel's one page of zeros,
# which is always in the cache: a fifth faster than a unit in use.
./bin/lunar bench "$url" --cpu 1 --rw write --bs 256k --qd 8 --size 256m --time 2s >/dev/null

cell() { # title, then flags of lunar bench compare
	local title=$1
	shift
	printf '### %s\n\n    lunar bench compare URL --cpu 1 --rounds %s --time %s --target-pid PID %s\n\n```\n' "$title" "$rounds" "$time" "$*"
	./bin/lunar bench compare "$url" --cpu 1 --rounds "$rounds" --time "$time" --size 256m --target-pid "$pid" "$@"
	printf '```\n\n'
	echo "measured: $title" >&2
}
idle() { # processor time of the daemon over ten silent seconds, in percent of a core
	sleep 1
	local a b
	a=$(awk '{print $14+$15}' "/proc/$pid/stat")
	sleep 10
	b=$(awk '{print $14+$15}' "/proc/$pid/stat")
	awk -v d=$((b - a)) -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "%.1f %%\n", 100*d/hz/10}'
}
{
	cat <<HEAD
# Benchmarks

Written by \`make bench\`; every figure is from one run of it.

| | |
|---|---|
| commit | $(git rev-parse --short HEAD) |
| date | $(date -u +%F) |
| machine | $(nproc) × $(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), shared and virtual |
| kernel, Go | $(uname -r), $(go version | cut -d' ' -f3) |
| tgt | $(dpkg-query -W -f '${Version}' tgt) (Debian), RAM-backed, 16 threads |

Both targets are pinned to processor 0 and the load, this project's own initiator, to processor 1.
A row is the median of $rounds rounds of $time each, in which the targets take turns; ratios compare
rows of one table. Loopback TCP, 256 MiB units that were written before, one session unless said
otherwise. The machine is shared: absolute figures drift by a fifth between runs, ratios much less.

The row \`floor\` is the machine's limit: a bare server on this target's reactor, pinned as the
targets are, that answers requests of the same sizes and does nothing else. Where a row is marked
generator-bound, the load had no processor time left, and the target could do more.

## Against tgt

HEAD
	cell "4 KiB random read, queue depth 32" --peers tgt,floor --rw randread --qd 32
	cell "4 KiB random write, queue depth 32" --peers tgt,floor --rw randwrite --qd 32
	cell "4 KiB random read, queue depth 1" --peers tgt,floor --rw randread --qd 1
	cell "4 KiB random read, 4 sessions of queue depth 16" --peers tgt,floor --rw randread --qd 16 --sessions 4
	cell "128 KiB sequential read, queue depth 8" --rw read --bs 128k --qd 8
	cell "128 KiB sequential write, queue depth 8" --rw write --bs 128k --qd 8
	TGT_DIGESTS=1 cell "4 KiB random read, queue depth 32, both digests" --rw randread --qd 32 --header-digest --data-digest
	cat <<TAIL
## Idle

Processor time of the daemon over ten seconds without traffic: $(idle)

## Allocations

\`go test -run - -bench Engine -benchmem ./engine\`, target and initiator in one process:

\`\`\`
$(go test -run - -bench Engine -benchmem -benchtime 2s ./engine | grep -E '^Benchmark')
\`\`\`
TAIL
} >BENCHMARKS.new
mv BENCHMARKS.new BENCHMARKS.md
