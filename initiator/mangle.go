package initiator

import "lunar/iscsi/pdu"

// Outgoing is a PDU about to be sent, shown to Config.Mangle. Header and Data may
// be changed in place, before digests are computed; lengths may not.
type Outgoing struct {
	// CID is the connection.
	CID       pdu.CID
	Header    *pdu.Header
	AHS, Data []byte
}

// Verdict is what becomes of an outgoing PDU.
type Verdict uint8

// Verdicts.
const (
	// Send sends the PDU as it is.
	Send Verdict = iota
	// Drop does not send it; the session believes that it did.
	Drop
	// Repeat sends it twice.
	Repeat
	// CorruptHeader flips a bit of the header behind the digest's back.
	CorruptHeader
	// CorruptData flips a bit of the data segment behind the digest's back.
	CorruptData
	// Hold sends it after the next PDU, which puts two out of order. A PDU held
	// when another one is held leaves first.
	Hold
)

// mangled appends the PDU as the hook wants it.
func (l *link) mangled(h *pdu.Header, ahs, data []byte) {
	// The hook may write, and data belongs to the caller of a command.
	data = append([]byte(nil), data...)
	v := l.s.cfg.Mangle(&Outgoing{CID: l.cid, Header: h, AHS: ahs, Data: data})
	held := l.held
	l.held = nil
	if v == Drop {
		l.held = held
		return
	}
	wire := appendPDU(nil, h, ahs, data, l.params.HeaderDigest, l.params.DataDigest)
	switch v {
	case CorruptHeader:
		// Byte 45 is part of the CDB or a reserved field: framing survives.
		wire[45] ^= 0x10
	case CorruptData:
		if len(data) > 0 {
			wire[l.dataStart(len(ahs))] ^= 0x10
		}
	case Repeat:
		wire = append(wire, wire...)
	case Hold:
		l.held = wire
		wire = nil
	case Send, Drop:
	}
	l.out.Own = append(append(l.out.Own, wire...), held...)
}

func (l *link) dataStart(ahsBytes int) int {
	n := pdu.HeaderBytes + ahsBytes
	if l.params.HeaderDigest {
		n += pdu.DigestBytes
	}
	return n
}

// Incoming is a PDU of the full feature phase whose header was received, shown to
// Config.MangleIn. Header may not be changed; CID is the connection.
type Incoming struct {
	CID    pdu.CID
	Header *pdu.Header
}

// mangledIn asks the hook about the PDU whose header came. It is true when the PDU is
// to be lost.
func (l *link) mangledIn() bool {
	if l.s.cfg.MangleIn == nil {
		return false
	}
	h := l.in.header
	switch l.s.cfg.MangleIn(&Incoming{CID: l.cid, Header: &h}) {
	case Drop:
		return true
	case CorruptData:
		l.in.spoil = true
	case Send, Repeat, CorruptHeader, Hold:
	}
	return false
}
