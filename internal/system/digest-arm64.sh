#!/usr/bin/env bash
# Runs the tests of digest as arm64: on such a machine directly, elsewhere under
# Debian's qemu-user. Without it they are built and vetted only, and this says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(go env GOHOSTARCH)" = arm64 ]; then
	exec go test ./digest
fi
GOARCH=arm64 go vet ./digest
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
GOARCH=arm64 CGO_ENABLED=0 go test -c -o "$binary" ./digest
if ! command -v qemu-aarch64 >/dev/null; then
	echo "digest-arm64: built, NOT run: qemu-aarch64 is missing (sudo apt-get install qemu-user)" >&2
	exit 0
fi
cd digest # for testdata
qemu-aarch64 "$binary" -test.v=false
echo "digest-arm64: passed under $(qemu-aarch64 --version | head -1)"
