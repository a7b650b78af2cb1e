package session

import (
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// command takes the header of a SCSI Command (RFC 3720 §10.3).
func (c *Conn) command(h *pdu.Header, ahs []byte) Disposition {
	p := pdu.AsSCSICommand(h)
	if p.Attribute() > sam.ACA {
		// §10 [R-10-3]: attributes 5 to 7 are reserved codes, a protocol error.
		return c.refuse(pdu.RejectProtocolError, h, ahs)
	}
	if !p.Write() && !h.Final() {
		// §10.3.1 [R-10.3.1-1]: at least one of W and F (RFC 7143 [N-29]).
		return c.refuse(pdu.RejectInvalidField, h, ahs)
	}
	extra, whole := readAHS(ahs)
	if !whole {
		// §6.6 [R-6.6-1]: lengths that contradict each other are a format error.
		return Disposition{Verdict: Drop}
	}
	if extra.reserved {
		return c.refuse(pdu.RejectProtocolError, h, ahs)
	}
	t, d := c.request(KindSCSI, h, ahs)
	if t == nil {
		return d
	}
	t.LUN, t.Attribute = h.LUN(), p.Attribute()
	if c.Params.ProtocolLevel >= protocolLevel2 {
		// RFC 7144 §5.1.1 [N-25]: below it the field is reserved.
		t.Priority = p.Priority()
	}
	t.Read, t.Write, t.EDTL = p.Read(), p.Write(), p.EDTL()
	t.CDBBytes = uint8(copy(t.CDB[:], p.CDB()[:]) + copy(t.CDB[pdu.CDBFieldBytes:], extra.cdb))
	t.BidiRead = extra.bidiRead
	c.kept.begin(t)
	c.openDataOut(t, h)
	return c.immediateData(t, h)
}

// commandAHS is what the AHS of a command say: the rest of a long CDB, and the
// read length of a bidirectional command in bytes.
type commandAHS struct {
	cdb      []byte
	bidiRead uint32
	// reserved: one has a type that no standard gives a meaning (RFC 3720 §10
	// [R-10-3]).
	reserved bool
}

// readAHS reads the AHS of a command. It is false when they do not fill their
// total length.
func readAHS(ahs []byte) (x commandAHS, whole bool) {
	for len(ahs) > 0 {
		a, rest, ok := pdu.NextAHS(ahs)
		if !ok {
			return x, false
		}
		ahs = rest
		cdb, isCDB := a.ExtendedCDB()
		n, isLength := a.BidiReadBytes()
		switch {
		case isCDB:
			x.cdb = cdb
		case isLength:
			x.bidiRead = n
		case a.Type != pdu.AHSExtendedCDB && a.Type != pdu.AHSBidiRead:
			x.reserved = true
		}
	}
	return x, true
}

// openDataOut starts the plan of a write. Whether the initiator may send unasked
// is InitialR2T and ImmediateData (RFC 3720 §12.10, §12.11).
func (c *Conn) openDataOut(t *Task, h *pdu.Header) {
	if !t.Write {
		return
	}
	p := &c.Params
	t.Out.Total = t.EDTL
	t.Out.limit = min(t.EDTL, p.FirstBurstLength)
	if h.Final() {
		// F=1: nothing but this PDU's data comes unasked (§10.3.1 [R-10.3.1-3]).
		return
	}
	t.Out.unsolicited = true
	if p.InitialR2T {
		// §10.8 [R-10.8-1], §12.11 [R-12.11-1]: it may not, but it will; what comes is
		// thrown away and the command fails when it has ended.
		t.FailData(senseUnexpectedData)
	}
}

// immediateData says where the data segment behind a command goes.
func (c *Conn) immediateData(t *Task, h *pdu.Header) Disposition {
	n := uint32(h.DataBytes())
	if n == 0 {
		return Disposition{Verdict: Skip, Task: t}
	}
	p := &c.Params
	// §12.11 [R-12.11-1], §10.4.7.2: data we did not agree to, or more than the
	// first burst or the transfer.
	if !t.Write || !p.ImmediateData || n > t.Out.limit {
		t.FailData(senseUnexpectedData)
		return Disposition{Verdict: Skip, Task: t}
	}
	if t.Out.unsolicited && n == t.Out.limit {
		// The initiator kept F=0 though nothing may follow; the empty Data-Out that
		// ends the burst is still accepted (§10.7.7 [R-10.7.7-1]).
		t.Out.sn = 0
	}
	c.open.bytes = n
	return Disposition{Verdict: Place, Task: t, Bytes: n}
}

// Begun takes the device server's decision on a task: how much data the command
// really takes and returns.
func (c *Conn) Begun(t *Task) {
	switch t.Action {
	case sam.Complete:
		// Nothing more is asked for; what still comes unasked is awaited (§10.4.2
		// [R-10.4.2-1]).
		t.Out.Total = min(t.Out.Total, t.Out.Received)
	case sam.Execute, sam.ReadMedium, sam.WriteMedium, sam.CompareMedium:
		t.Out.Total = uint32(min(t.DataOutBytes, t.ExpectOut()))
		t.In.Total = uint32(min(t.DataInBytes, t.ExpectIn()))
	}
}

// DataInReady fixes how many bytes go to the initiator once an Execute has said
// what it returns.
func (c *Conn) DataInReady(t *Task) {
	t.In.Total = uint32(min(t.DataInBytes, t.ExpectIn()))
}
