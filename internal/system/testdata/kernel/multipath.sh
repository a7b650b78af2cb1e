#!/bin/bash
# Runs as root on a machine with the Linux initiator and multipath-tools, for instance a
# guest, against a Lunar with two portal groups that it reaches at $PORTAL and $SECOND. The
# way to the second one goes through something that the host cuts ("@@HOST cut") and mends
# ("@@HOST mend"), and the host changes its access state ("@@HOST standby", "@@HOST optimized").
# The unit, of at least 256 MiB, is overwritten.
#
# Verified I/O goes on while a path is lost, within ten seconds, and comes back; a file system
# survives it; a path that is told to be in standby is not used.
. "$(dirname "$0")/lib.sh"
SECOND=${SECOND:-127.0.0.1:3261}
TARGET=default
LIMIT=10
start_iscsid
cat >/etc/multipath.conf <<-'C'
	defaults {
		user_friendly_names yes
		find_multipaths no
		polling_interval 2
		path_grouping_policy group_by_prio
		prio alua
		hardware_handler "1 alua"
		path_checker tur
		failback immediate
		no_path_retry 30
		detect_prio yes
	}
C
modprobe dm_multipath 2>/dev/null
modprobe scsi_dh_alua 2>/dev/null
join_path() { # PORTAL TAG
	iscsiadm -m node -T "$BASE:$TARGET" -p "$1,$2" -o new >/dev/null 2>&1
	for kv in node.session.timeo.replacement_timeout=3 'node.conn[0].timeo.noop_out_interval=1' 'node.conn[0].timeo.noop_out_timeout=2'; do
		iscsiadm -m node -T "$BASE:$TARGET" -p "$1,$2" -o update -n "${kv%%=*}" -v "${kv#*=}" >/dev/null
	done
	timeout 60 iscsiadm -m node -T "$BASE:$TARGET" -p "$1,$2" --login >/dev/null
}
join_path "$PORTAL" 1
join_path "$SECOND" 2
disk $TARGET 0 2 >/dev/null || fail "two disks"
multipathd 2>/dev/null || multipathd -B 2>/dev/null
map() { multipath -ll 2>/dev/null | awk '/dm-[0-9]/ { print "/dev/mapper/" $1; exit }'; }
paths() { multipath -ll 2>/dev/null | grep -cE "sd[a-z]+ .*$1"; }
reaches() { # WHAT COUNT PATTERN SECONDS
	local began=$SECONDS
	while [ "$(paths "$3")" -ne "$2" ]; do
		[ $((SECONDS - began)) -gt "$4" ] && { fail "$1: $(multipath -ll | tr '\n' ' ')"; return; }
		sleep 0.5
	done
	pass "$1 after $((SECONDS - began)) s"
}
for _ in $(seq 60); do multipath >/dev/null 2>&1; [ -n "$(map)" ] && [ "$(paths 'active ready')" -eq 2 ] && break; sleep 0.5; done
M=$(map)
[ -b "$M" ] || { fail "no map: $(multipath -ll 2>&1 | tr '\n' ' ')"; done_all; exit 1; }
reaches "two paths" 2 'active ready' 20

# What the map answers, and how long the longest answer takes.
longest() {
	local began now worst=0
	while [ -e /tmp/watch ]; do
		began=$(date +%s%N)
		dd if="$M" of=/dev/null bs=4k count=1 iflag=direct status=none || echo "read failed" >>/tmp/trouble
		now=$((($(date +%s%N) - began) / 1000000))
		[ $now -gt $worst ] && worst=$now
		sleep 0.1
	done
	echo $worst >/tmp/worst
}
touch /tmp/watch
: >/tmp/trouble
longest &
fio --name=v --filename="$M" --offset=128M --size=96M --direct=1 --ioengine=libaio --iodepth=8 --rw=randrw --bs=4k --verify=crc32c \
	--verify_fatal=1 --do_verify=1 --verify_backlog=256 --time_based --runtime=45 --output=/tmp/fio &
F=$!
sleep 6
host cut
reaches "a path fails" 1 'failed faulty' 20
reaches "the other serves" 1 'active ready' 5
sleep 8
host mend
reaches "it comes back" 2 'active ready' 30
works "verified I/O over all of it" wait $F
rm /tmp/watch
wait
[ -s /tmp/trouble ] && fail "$(sort /tmp/trouble | uniq -c)"
if [ "$(cat /tmp/worst)" -le $((LIMIT * 1000)) ]; then pass "the longest read took $(cat /tmp/worst) ms"; else fail "a read took $(cat /tmp/worst) ms"; fi

# The operator says which way is good.
host standby
reaches "a path in standby" 1 'ghost' 20
works "I/O past it" dd if=/dev/zero of="$M" bs=1M count=8 oflag=direct
host optimized
reaches "both again" 2 'active ready' 20

# File systems on the map.
for fs in ext4 xfs; do
	mkdir -p /tmp/mnt
	case $fs in ext4) mk="mkfs.ext4 -q -F" ck="fsck.ext4 -f -n" ;; xfs) mk="mkfs.xfs -q -f" ck="xfs_repair -n" ;; esac
	works "$fs: make" $mk "$M"
	works "$fs: mount" mount "$M" /tmp/mnt
	works "$fs: verify" fio --name=v --directory=/tmp/mnt --size=32M --rw=randwrite --bs=4k-64k --ioengine=libaio --iodepth=8 --direct=1 \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --output=/tmp/fio
	works "$fs: trim" fstrim /tmp/mnt
	works "$fs: unmount" umount /tmp/mnt
	works "$fs: check" $ck "$M"
done
multipath -f "$(basename "$M")" >/dev/null 2>&1
multipathd shutdown >/dev/null 2>&1
iscsiadm -m node -u >/dev/null 2>&1
done_all
