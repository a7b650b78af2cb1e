#!/bin/bash
# Runs the tests that prove rules and reports which: run.sh [--readme FILE]
set -euo pipefail
go=${GO:-go}
dir=$(mktemp -d)
trap 'rm -rf "$dir" "$dir.log"' EXIT
mapfile -t packages < <("$go" list -f '{{.ImportPath}} {{.TestImports}}{{.XTestImports}}' ./... | grep 'lunar/internal/conform' | cut -d' ' -f1)
if ! LUNAR_CONFORM=$dir "$go" test -count=1 -timeout 10m "${packages[@]}" >"$dir.log" 2>&1; then
	grep -vE '^(ok|[0-9/]+ )' "$dir.log" | tail -60
	exit 1
fi
"$go" run ./internal/conform/report "$dir" "$@"
