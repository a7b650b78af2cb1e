#!/bin/bash
# Every offer of digests and ten of burst and segment lengths, each with bytes that go
# there and back; PART=digests or PART=lengths does half. See lib.sh.
. "$(dirname "$0")/lib.sh"
start_iscsid
negotiated() { iscsiadm -m session -P 2 | sed -n "s/^[[:space:]]*$1: //p" | head -1; }

# attempt WHAT KEY=VALUE...: logs in at $t and moves $mib MiB to the RAM unit and back.
attempt() {
	local what=$1
	shift
	record $t "$@"
	login $t >/tmp/said 2>&1 || { fail "$what: login: $(tail -1 /tmp/said)"; return 1; }
	d=$(disk $t 1) || { fail "$what: no disk"; logout $t; return 1; }
	trip "$d" $mib 3 || { fail "$what: bytes differ"; logout $t; return 1; }
}

digests() {
	mib=4 t=plain
	for header in None CRC32C None,CRC32C CRC32C,None; do
		for data in None CRC32C None,CRC32C CRC32C,None; do
			what="HeaderDigest=$header DataDigest=$data"
			attempt "$what" "node.conn[0].iscsi.HeaderDigest=$header" "node.conn[0].iscsi.DataDigest=$data" || continue
			h=$(negotiated HeaderDigest) d=$(negotiated DataDigest)
			if [ "$h" = "${header%%,*}" ] && [ "$d" = "${data%%,*}" ]; then pass "$what: $h, $d"; else fail "$what: got $h, $d"; fi
			logout plain
		done
	done
}

# Target, ImmediateData, InitialR2T, FirstBurstLength, MaxBurstLength and
# MaxRecvDataSegmentLength as offered; the rest is what must come of it. The target
# takes 64 KiB unasked and 256 KiB in a segment; its bursts are of 1 MiB, or of 16 MiB
# at the target "large". The initiator rounds its segment down to words.
lengths() {
	while read -r t immediate r2t first burst segment first1 burst1 segment1; do
		# Each of the smallest segments is work of its own for both sides.
		mib=8
		[ "$segment" -gt 8192 ] || mib=1
		what="$t: ImmediateData=$immediate InitialR2T=$r2t First=$first Max=$burst MaxRecv=$segment"
		attempt "$what" node.session.iscsi.ImmediateData=$immediate node.session.iscsi.InitialR2T=$r2t \
			node.session.iscsi.FirstBurstLength=$first node.session.iscsi.MaxBurstLength=$burst \
			"node.conn[0].iscsi.MaxRecvDataSegmentLength=$segment" || continue
		got="$(negotiated ImmediateData) $(negotiated InitialR2T) $(negotiated FirstBurstLength) $(negotiated MaxBurstLength)"
		got="$got $(negotiated MaxRecvDataSegmentLength) $(negotiated MaxXmitDataSegmentLength)"
		if [ "$got" = "$immediate $r2t $first1 $burst1 $segment1 262144" ]; then pass "$what: $got"; else fail "$what: got $got"; fi
		logout $t
	done <<'OFFERS'
large Yes No 262144 16776192 262144 65536 16776192 262144
plain Yes Yes 65536 262144 512 65536 262144 512
plain No No 512 512 512 512 512 512
plain No Yes 8192 16384 4096 8192 16384 4096
plain Yes No 65536 1048576 65536 65536 1048576 65536
large No No 16776192 16776192 16776192 65536 16776192 16776192
plain Yes Yes 512 512 512 512 512 512
plain Yes No 4096 65536 1024 4096 65536 1024
plain No Yes 262144 262144 8192 65536 262144 8192
plain Yes No 131072 16776192 16777215 65536 1048576 16777212
OFFERS
}
case ${PART:-all} in
digests | lengths) $PART ;;
all) digests; lengths ;;
*) echo "negotiate.sh: unknown PART=$PART: digests, lengths or nothing" >&2; exit 2 ;;
esac
done_all
