# Common part of the scripts that run on a machine with the Linux initiator; they read
# it from their own folder. What the other side is to do is printed as a line
# "@@HOST word", and whoever runs the script gives the word to target.sh there.
PORTAL=${PORTAL:-127.0.0.1:3260}
BASE=iqn.2026-11.lunar
passed=0 failed=0
pass() { passed=$((passed + 1)); echo "PASS $*"; }
fail() { failed=$((failed + 1)); echo "FAIL $*"; }
done_all() { echo "$(basename "$0"): $passed passed, $failed failed"; [ $failed -eq 0 ]; }
host() { echo "@@HOST $*"; }

# works WHAT COMMAND...
works() {
	local what=$1
	shift
	if "$@" >/tmp/said 2>&1; then pass "$what"; else fail "$what: $(tail -2 /tmp/said | tr '\n' ' ')"; fi
}

# refused WHAT WORDS COMMAND...: it fails, and says so with these words.
refused() {
	local what=$1 words=$2
	shift 2
	if ! "$@" >/tmp/said 2>&1 && grep -q "$words" /tmp/said; then pass "$what: $words"; else fail "$what: $(grep -v '^Logging' /tmp/said | tr '\n' ' ')"; fi
}

start_iscsid() {
	pgrep -x iscsid >/dev/null && return
	iscsid
	for _ in $(seq 50); do pgrep -x iscsid >/dev/null && break; sleep 0.1; done
	sleep 0.5
}

node() { local t=$1; shift; iscsiadm -m node -T "$BASE:$t" -p "$PORTAL,1" "$@"; }

# record TARGET KEY=VALUE...: a fresh record of a target.
record() {
	local t=$1 kv
	shift
	node "$t" -o delete >/dev/null 2>&1
	node "$t" -o new >/dev/null
	for kv in "$@"; do
		node "$t" -o update -n "${kv%%=*}" -v "${kv#*=}" || fail "$t: cannot set $kv"
	done
}

login() { timeout 60 iscsiadm -m node -T "$BASE:$1" -p "$PORTAL,1" --login; }
logout() { timeout 60 iscsiadm -m node -T "$BASE:$1" -p "$PORTAL,1" --logout >/dev/null 2>&1; }

# disks TARGET LUN: the block device of each of its sessions.
disks() {
	local s d
	for s in /sys/class/iscsi_session/session*; do
		[ "$(cat "$s/targetname" 2>/dev/null)" = "$BASE:$1" ] || continue
		for d in "$s"/device/target*/*:"$2"/block/*; do
			[ -e "$d" ] && echo "/dev/$(basename "$d")"
		done
	done
}

# disk TARGET LUN [N]: waits for N of them.
disk() {
	local found
	for _ in $(seq 150); do
		found=$(disks "$1" "$2")
		if [ "$(echo "$found" | grep -c sd)" -ge "${3:-1}" ]; then
			ls $found >/dev/null 2>&1 && echo "$found" && return
		fi
		sleep 0.2
	done
	return 1
}

# trip DISK MIB [OFFSET MIB]: random bytes there and back, and a part that is no
# multiple of anything but a block.
trip() {
	local d=$1 n=$2 at=${3:-0} f
	f=$(mktemp)
	dd if=/dev/urandom of="$f" bs=1M count="$n" status=none
	dd if="$f" of="$d" bs=1M seek="$at" oflag=direct status=none || { rm -f "$f"; return 1; }
	dd if="$f" of="$d" bs=11776 count=3 seek=$((at * 1048576)) oflag=direct,seek_bytes status=none || { rm -f "$f"; return 1; }
	blockdev --flushbufs "$d"
	dd if="$d" bs=1M skip="$at" count="$n" iflag=direct status=none | cmp - "$f"
	local result=$?
	rm -f "$f"
	return $result
}

# settled TARGET [N]: waits until N of its sessions are logged in.
settled() {
	for _ in $(seq 300); do
		[ "$(iscsiadm -m session -P 1 2>/dev/null | grep -c 'iSCSI Session State: LOGGED_IN')" -ge "${2:-1}" ] && return
		sleep 0.2
	done
	return 1
}
