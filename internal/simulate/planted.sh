#!/bin/bash
# Shows that the simulation finds what is planted: each patch of testdata/planted is
# applied to a copy of the tree, and one of the first seeds has to fail there.
#   planted.sh [seeds [patch...]]
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
go=${GO:-go}
seeds=${1:-2000}
if [ $# -gt 0 ]; then shift; fi
patches=("$@")
[ ${#patches[@]} -gt 0 ] || patches=(internal/simulate/testdata/planted/*.patch)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -C "$copy" -xf -
missed=0
for patch in "${patches[@]}"; do
	name=$(basename "$patch" .patch)
	patch -s -p1 -d "$copy" <"$patch"
	if out=$(cd "$copy" && timeout 120 "$go" test ./internal/simulate -count=1 -run 'TestSeeds' -seeds "$seeds" 2>&1); then
		printf '%-26s not found by %s seeds\n' "$name" "$seeds"
		missed=1
	else
		found=$(grep -o 'seed [0-9]*: step [0-9]*: [^:]*' <<<"$out" | head -1) || { echo "$out" | tail -20; exit 1; }
		printf '%-26s %s\n' "$name" "$found"
	fi
	patch -s -R -p1 -d "$copy" <"$patch"
done
exit $missed
