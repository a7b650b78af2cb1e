#!/bin/bash
# Runs as root on a machine with the Linux initiator (open-iscsi, e2fsprogs, fio),
# for instance a guest, against a Lunar that it reaches at $PORTAL:
#
#   PORTAL=10.0.2.2:3260 LUN=0 filesystem.sh
#
# Discovery, login without and with both digests, ext4, verified random I/O, trim,
# fsck, logout, and every byte again after the next login. It overwrites the LUN.
# Exit code 0 and a line "filesystem: passed" when all of it held.
set -eu
PORTAL=${PORTAL:-127.0.0.1:3260}
IQN=${IQN:-iqn.2026-11.lunar:default}
LUN=${LUN:-0}
mnt=$(mktemp -d)
node() { iscsiadm -m node -T "$IQN" -p "$PORTAL,1" "$@"; }
step() { echo "filesystem: $*"; "$@" >/tmp/step 2>&1 || { cat /tmp/step; echo "filesystem: FAILED: $*"; exit 1; }; }
device() { # waits for the disk of the session
	for _ in $(seq 100); do
		d=$(ls /dev/disk/by-path/*"$IQN-lun-$LUN" 2>/dev/null | head -1)
		[ -n "$d" ] && readlink -f "$d" && return
		sleep 0.2
	done
	return 1
}
pgrep -x iscsid >/dev/null || { iscsid; sleep 1; }
step iscsiadm -m discovery -t sendtargets -p "$PORTAL"
grep -q "$IQN" /tmp/step
for digest in None CRC32C; do
	node -o new >/dev/null 2>&1 || true
	step node -o update -n 'node.conn[0].iscsi.HeaderDigest' -v "$digest"
	step node -o update -n 'node.conn[0].iscsi.DataDigest' -v "$digest"
	step node --login
	disk=$(device)
	step mkfs.ext4 -q -F "$disk"
	step mount "$disk" "$mnt"
	step fio --name=v --directory="$mnt" --size=64M --rw=randrw --bs=4k-64k --ioengine=libaio --iodepth=16 \
		--direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_backlog=256 --minimal
	(cd "$mnt" && find . -type f -exec sha256sum {} +) >/tmp/sums
	step fstrim "$mnt"
	step umount "$mnt"
	step fsck.ext4 -f -n "$disk"
	step node --logout
	step node --login
	disk=$(device)
	step mount "$disk" "$mnt"
	(cd "$mnt" && sha256sum -c --quiet /tmp/sums)
	step umount "$mnt"
	step node --logout
	node -o delete >/dev/null 2>&1 || true
done
echo "filesystem: passed"
