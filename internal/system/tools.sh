#!/usr/bin/env bash
# Installs the Debian packages that the system tests use, or says which are
# missing. Further names may be given as arguments.
set -euo pipefail
packages=(libiscsi-bin libiscsi-dev qemu-utils qemu-block-extra qemu-system-x86 xfsprogs ipxe gcc libc6-dev "$@")
missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
	echo "installing ${missing[*]}"
	"${as_root[@]}" apt-get update -qq
	DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	exit 0
fi
echo "The tests need these Debian packages: ${missing[*]}" >&2
echo "Install them, for instance: sudo apt-get install ${missing[*]}" >&2
exit 1
