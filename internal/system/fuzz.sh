#!/usr/bin/env bash
# Runs every native fuzz target for the given time; go runs one at a time.
set -euo pipefail
time=${1:-20s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# found says whether a failed run found something. At the end of its time go's
# coordinator may report its own deadline as a failure (golang/go#75804, until go 1.27): then this
# line stands where the input would be, and nothing was written.
found() {
	grep -q 'Failing input written' "$out" || ! grep -qE '^ +context deadline exceeded$' "$out"
}

fuzz() { # package, target
	echo "== $1 $2"
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" >"$out" 2>&1; then
		tail -1 "$out"
	elif found; then
		cat "$out"
		return 1
	else
		echo "ended by go's own deadline; nothing was found"
	fi
}

# Lists first: what runs in a pipe's last part must not read the pipe.
mapfile -t files < <(grep -rlE --include='*_test.go' '^func Fuzz' . | sort)
for file in "${files[@]}"; do
	for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | cut -d' ' -f2); do
		fuzz "$(dirname "$file")" "$target"
	done
done
