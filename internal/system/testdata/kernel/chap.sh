#!/bin/bash
# Discovery and CHAP of the Linux initiator: one way and mutual, every hash that it
# knows, wrong secrets, and discovery that asks for proof. See lib.sh.
. "$(dirname "$0")/lib.sh"
start_iscsid

denied="authorization failure" unproved="non-retryable iSCSI login failure"
discover() { timeout 60 iscsiadm -m discovery -t sendtargets -p "$PORTAL"; }
for i in 1 2 3; do
	works "discovery $i" discover
	for t in plain chap mutual; do
		grep -q ",1 $BASE:$t\$" /tmp/said || fail "discovery does not name $t: $(cat /tmp/said)"
	done
done

auth() { # TARGET HASH SECRET [PROOF]
	record "$1" node.session.auth.authmethod=CHAP node.session.auth.chap_algs="$2" \
		node.session.auth.username=host node.session.auth.password="$3" \
		${4:+node.session.auth.username_in=lunar node.session.auth.password_in=$4}
}
in_and_out() { login "$1" && disk "$1" 1 >/tmp/disk && trip "$(cat /tmp/disk)" 1 && logout "$1"; }

# Each hash alone at a target that takes no other one, then all of them in order.
while read -r t hash other; do
	auth "$t" "$hash" the-secret-of-host
	works "$hash, one way" in_and_out "$t"
	auth "$t" "$hash" the-secret-of-nobody
	refused "$hash, one way, wrong secret" "$denied" login "$t"
	if [ -n "$other" ]; then
		auth "$t" "$other" the-secret-of-host
		refused "$other at a target of $hash" "$denied" login "$t"
	fi
	auth mutual "$hash" the-secret-of-host the-secret-of-lunar
	works "$hash, mutual" in_and_out mutual
	auth mutual "$hash" the-secret-of-host the-secret-of-nobody
	refused "$hash, mutual, target cannot prove itself" "$unproved" login mutual
	auth mutual "$hash" the-secret-of-nobody the-secret-of-lunar
	refused "$hash, mutual, wrong secret" "$denied" login mutual
	host restart # what was refused waits longer every time
	sleep 3
done <<'HASHES'
md5 MD5 SHA1
sha1 SHA1 SHA256
sha256 SHA256 SHA3-256
sha3 SHA3-256 MD5
chap SHA3-256,SHA256,SHA1,MD5
HASHES
record chap
refused "no CHAP at all" "$denied" login chap

# The database of discovery has its own record.
finder() { # SECRET [PROOF]
	iscsiadm -m discoverydb -t st -p "$PORTAL" -o delete >/dev/null 2>&1
	iscsiadm -m discoverydb -t st -p "$PORTAL" -o new >/dev/null
	local kv
	for kv in authmethod=CHAP username=finder password="$1" ${2:+username_in=directory password_in=$2}; do
		iscsiadm -m discoverydb -t st -p "$PORTAL" -o update -n "discovery.sendtargets.auth.${kv%%=*}" -v "${kv#*=}" ||
			fail "cannot set $kv"
	done
}
find() { timeout 60 iscsiadm -m discoverydb -t st -p "$PORTAL" --discover; }
for mode in chap mutual; do
	host discovery $mode
	sleep 3
	finder the-secret-of-finder
	works "discovery asks ($mode), answered one way" find
	finder the-secret-of-nobody
	refused "discovery asks ($mode), wrong secret" "$denied" find
	finder the-secret-of-host
	refused "discovery asks ($mode), another user's secret" "$denied" find
	iscsiadm -m discoverydb -t st -p "$PORTAL" -o delete >/dev/null 2>&1
	refused "discovery asks ($mode), no answer" "$denied" discover
	[ $mode = chap ] && continue
	host restart
	sleep 3
	finder the-secret-of-finder the-secret-of-directory
	works "discovery proves itself" find
	finder the-secret-of-finder the-secret-of-nobody
	refused "discovery cannot prove itself" "$unproved" find
done
host discovery none
sleep 2
works "discovery asks no more" discover
done_all
