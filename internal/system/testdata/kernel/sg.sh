#!/bin/bash
# Runs as root on a machine with the Linux initiator and sg3-utils, for instance a guest,
# against a Lunar that it reaches at $PORTAL and that serves one thin unit of at least
# 64 MiB, which is overwritten:
#
#   lunar serve --portal 127.0.0.1:3260 --lun ram:size=64MiB
#   PORTAL=10.0.2.2:3260 sg.sh
#
# Every tool of sg3-utils that asks or changes something this target has, three nexuses
# that hold persistent reservations of every type against each other, and what is left
# behind when they are gone.
. "$(dirname "$0")/lib.sh"
TARGET=default
start_iscsid

# enter NAME: one more session, by an interface of that name with an ISID of its own.
enter() {
	iscsiadm -m iface -I "$1" -o new >/dev/null 2>&1
	iscsiadm -m iface -I "$1" -o update -n iface.transport_name -v tcp >/dev/null
	iscsiadm -m node -T "$BASE:$TARGET" -p "$PORTAL,1" -I "$1" -o new >/dev/null 2>&1
	timeout 60 iscsiadm -m node -T "$BASE:$TARGET" -p "$PORTAL,1" -I "$1" --login >/dev/null
}
# generics N: the generic devices of N sessions.
generics() {
	local found
	for _ in $(seq 150); do
		found=$(for s in /sys/class/iscsi_session/session*; do
			for g in "$s"/device/target*/*:0/scsi_generic/*; do [ -e "$g" ] && echo "/dev/$(basename "$g")"; done
		done)
		[ "$(echo "$found" | grep -c sg)" -ge "$1" ] && echo "$found" && return
		sleep 0.2
	done
	return 1
}
# ends CODE WHAT COMMAND...: it ends with this code.
ends() {
	local code=$1 what=$2 got
	shift 2
	"$@" >/tmp/said 2>&1
	got=$?
	if [ $got -eq "$code" ]; then pass "$what"; else fail "$what: $got, wanted $code: $(tail -2 /tmp/said | tr '\n' ' ')"; fi
}
# decoded WHAT COMMAND...: it works, and complains of nothing.
decoded() {
	local what=$1
	shift
	if "$@" >/tmp/said 2>&1 && ! grep -qiE 'unable|invalid|truncat|unrecogni|too short|malformed|unexpected' /tmp/said; then
		pass "$what"
	else
		fail "$what: $(grep -iE 'unable|invalid|truncat|unrecogni|too short|malformed|unexpected' /tmp/said | head -2 | tr '\n' ' ')$(tail -1 /tmp/said)"
	fi
}

for i in one two three; do enter $i; done
read -r A B C <<<"$(generics 3 | tr '\n' ' ')"
[ -n "$C" ] || { fail "three sessions: $A $B $C"; done_all; exit 1; }
for g in $A $B $C; do for _ in 1 2 3; do sg_turs "$g" >/dev/null 2>&1; done; done

decoded "sg_inq" sg_inq "$A"
decoded "sg_inq -d" sg_inq -d "$A"
for page in $(sg_vpd -r -p 0 "$A" | tail -c +5 | od -An -v -tx1); do
	decoded "sg_vpd page $page" sg_vpd -p 0x"$page" "$A"
done
decoded "sg_vpd -a" sg_vpd -a "$A"
decoded "sg_modes -a" sg_modes -a "$A"
decoded "sg_modes -6" sg_modes -6 -p 0x3f "$A"
for c in 0 1 2 3; do decoded "sg_modes control $c" sg_modes -c $c -p 8 "$A"; done
decoded "sg_logs -a" sg_logs -a "$A"
decoded "sg_logs -A" sg_logs -A "$A"
decoded "sg_opcodes" sg_opcodes "$A"
decoded "sg_opcodes with timeouts" sg_opcodes -R "$A"
decoded "sg_opcodes of one" sg_opcodes -o 0x9e,0x10 "$A"
decoded "sg_opcodes -t" sg_opcodes -t "$A"
decoded "sg_luns" sg_luns "$A"
decoded "sg_readcap" sg_readcap "$A"
decoded "sg_readcap -l" sg_readcap -l "$A"
decoded "sg_requests" sg_requests "$A"
decoded "sg_senddiag" sg_senddiag -t "$A"
decoded "sg_senddiag -l" sg_senddiag -l "$A"
decoded "sg_ident" sg_ident "$A"
decoded "sg_read_buffer" sg_read_buffer -m desc "$A"
decoded "sg_read_buffer -L" sg_read_buffer -L -m desc "$A"
decoded "sg_referrals" sg_referrals -l 0 "$A"
decoded "sg_timestamp" sg_timestamp "$A"
decoded "sg_timestamp --srep" sg_timestamp --srep "$A"
decoded "sg_timestamp -m" sg_timestamp -m 1234567890123 "$A"
for g in $B $C; do sg_turs "$g" >/dev/null 2>&1; done # it was set by another
decoded "sg_turs" sg_turs "$A"
decoded "sg_start" sg_start --start "$A"
decoded "sg_prevent" sg_prevent -a "$A"

# The medium.
dd if=/dev/urandom of=/tmp/block bs=512 count=1 status=none
decoded "sg_write_same" sg_write_same --in=/tmp/block --lba=0 --num=64 "$A"
decoded "sg_verify" sg_verify --lba=0 --count=64 "$A"
decoded "sg_verify with data" sg_verify --lba=3 --count=1 --ndo=512 --bytchk=512 --in=/tmp/block "$A" 2>/dev/null ||
	decoded "sg_verify with data" sg_verify --lba=3 --count=1 --bytchk=512 --in=/tmp/block "$A"
dd if=/dev/urandom of=/tmp/next bs=512 count=1 status=none
cat /tmp/block /tmp/next >/tmp/both
decoded "sg_compare_and_write" sg_compare_and_write --in=/tmp/both --lba=3 --num=1 --xferlen=1024 "$A"
ends 14 "sg_compare_and_write of another" sg_compare_and_write --in=/tmp/both --lba=3 --num=1 --xferlen=1024 "$A"
decoded "WRITE ATOMIC(16)" sg_raw -s 512 -i /tmp/block "$A" 9c 00 00 00 00 00 00 00 00 05 00 00 00 01 00 00
decoded "sg_unmap" sg_unmap --lba=8 --num=8 --force "$A"
decoded "sg_get_lba_status" sg_get_lba_status --lba=0 "$A"
decoded "sg_write_same --unmap" sg_write_same --unmap --lba=16 --num=8 --xferlen=512 --in=/dev/zero "$A"
decoded "sg_sync" sg_sync "$A"
decoded "sg_sanitize" sg_sanitize --block --quick --wait "$A"
for g in $A $B $C; do for _ in 1 2 3; do sg_turs "$g" >/dev/null 2>&1; done; done

# Third-party copy, within the unit.
dd if=/tmp/next of=/tmp/copied bs=512 count=1 status=none
sg_write_same --in=/tmp/next --lba=0 --num=64 "$A" >/dev/null 2>&1
decoded "sg_copy_results" sg_copy_results --params "$A"
decoded "sg_xcopy" sg_xcopy if="$A" of="$A" bs=512 count=64 skip=0 seek=1024
sg_raw -r 512 -o /tmp/copied "$A" 28 00 00 00 04 3f 00 00 01 00 >/dev/null 2>&1
works "what sg_xcopy copied" cmp /tmp/next /tmp/copied

# Access states.
decoded "sg_rtpg" sg_rtpg -d "$A"
decoded "sg_rtpg -e" sg_rtpg -e -d "$A"
decoded "sg_stpg to standby" sg_stpg --tp=1 --standby "$A" 2>/dev/null || decoded "sg_stpg to standby" sg_stpg --tp 1,s "$A"
ends 2 "not ready in standby" sg_turs "$A"
decoded "sg_stpg back" sg_stpg --tp=1 --optimized "$A" 2>/dev/null || decoded "sg_stpg back" sg_stpg --tp 1,o "$A"
for g in $A $B $C; do for _ in 1 2 3; do sg_turs "$g" >/dev/null 2>&1; done; done

# Persistent reservations: the holder, a registrant and somebody else, of every type.
P="sg_persist --no-inquiry"
read_one() { sg_raw -r 512 "$1" 28 00 00 00 00 00 00 00 01 00; }
write_one() { sg_raw -s 512 -i /dev/zero "$1" 2a 00 00 00 00 00 00 00 01 00; }
decoded "sg_persist capabilities" $P --in --report-capabilities "$A"
for kind in 1 3 5 6 7 8; do
	works "type $kind: register the holder" $P --out --register --param-sark=0xa "$A"
	works "type $kind: register another" $P --out --register --param-sark=0xb "$B"
	works "type $kind: reserve" $P --out --reserve --param-rk=0xa --prout-type=$kind "$A"
	decoded "type $kind: keys" $P --in --read-keys "$C"
	decoded "type $kind: reservation" $P --in --read-reservation "$C"
	decoded "type $kind: full status" $P --in --read-full-status "$C"
	ends 0 "type $kind: the holder reads" read_one "$A"
	ends 0 "type $kind: the holder writes" write_one "$A"
	case $kind in 1) r=0 w=24 ;; 3) r=24 w=24 ;; *) r=0 w=0 ;; esac
	ends $r "type $kind: a registrant reads" read_one "$B"
	ends $w "type $kind: a registrant writes" write_one "$B"
	case $kind in 1 | 5 | 7) r=0 ;; *) r=24 ;; esac
	ends $r "type $kind: another reads" read_one "$C"
	ends 24 "type $kind: another writes" write_one "$C"
	ends 24 "type $kind: another reserves" $P --out --reserve --param-rk=0xc --prout-type=$kind "$C"
	works "type $kind: release" $P --out --release --param-rk=0xa --prout-type=$kind "$A"
	sg_turs "$B" >/dev/null 2>&1
	works "type $kind: clear" $P --out --clear --param-rk=0xa "$A"
	sg_turs "$B" >/dev/null 2>&1
done
works "register and ignore" $P --out --register-ignore --param-sark=0xa "$A"
works "register and ignore" $P --out --register-ignore --param-sark=0xb "$B"
works "reserve" $P --out --reserve --param-rk=0xb --prout-type=1 "$B"
works "preempt" $P --out --preempt --param-rk=0xa --param-sark=0xb --prout-type=3 "$A"
ends 6 "the preempted hears of it" sg_turs "$B"
ends 24 "the preempted is out" read_one "$B"
works "register with APTPL" $P --out --register --param-rk=0xa --param-sark=0xd --param-aptpl "$A"
works "register another again" $P --out --register --param-sark=0xe "$B"
works "preempt and abort" $P --out --preempt-abort --param-rk=0xd --param-sark=0xe --prout-type=3 "$A"
sg_turs "$B" >/dev/null 2>&1
works "clear" $P --out --clear --param-rk=0xd "$A"

decoded "sg_reset of the unit" sg_reset -d "$A"
ends 6 "the reset is told" sg_turs "$B"
for i in one two three; do
	iscsiadm -m node -T "$BASE:$TARGET" -p "$PORTAL,1" -I $i --logout >/dev/null 2>&1
	iscsiadm -m node -T "$BASE:$TARGET" -p "$PORTAL,1" -I $i -o delete >/dev/null 2>&1
done
done_all
