package session

import (
	"lunar/iscsi/login"
	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Verdict says what the transport does with the PDU whose header it gave.
type Verdict uint8

// Verdicts.
const (
	// Drop: the connection ends now (RFC 3720 §6.6 [R-6.6-1]).
	Drop Verdict = iota + 1
	// Skip: the data segment is received and thrown away, then End is called.
	Skip
	// Place: Bytes of the data segment belong to Task at Offset; what is behind
	// them is thrown away. Then End is called.
	Place
	// Collect: the data segment is kept for Task as Text; then End is called.
	Collect
)

// Disposition is the answer to a header.
type Disposition struct {
	Verdict Verdict
	Task    *Task
	Offset  uint32
	Bytes   uint32
}

// maxRejects bounds the Rejects that wait to be sent; a peer that earns more
// without reading any is dropped.
const maxRejects = 64

type reject struct {
	reason pdu.RejectReason
	header []byte
	// dataSN is the next number of the data that a refused SNACK asked for.
	dataSN uint32
}

// Conn is one connection in full feature phase.
type Conn struct {
	slab
	Identity login.Identity
	// Params are the session's, and of it the digests and lengths that are this
	// connection's own.
	Params login.Params
	State  State
	CID    pdu.CID
	// LUN is one of the target's, which PDUs name that carry a tag of ours and
	// belong to no command (RFC 3720 §10.19.3 [R-10.19.3-1]).
	LUN sam.LUN

	// window is the order of a session with one connection, shared of one that may
	// have several; offered says that a Knock at it is due.
	window  window
	shared  *order.Sequencer
	offered bool

	targets Targets
	statSN  serial.StatSN
	// expStatSN is what the initiator acknowledged last.
	expStatSN serial.StatSN
	// toldMax is the MaxCmdSN that was sent last.
	toldMax serial.CmdSN
	rejects []reject
	text    textExchange
	texting bool // a Text Request was delivered and is not answered yet
	// newRecv is what the next text exchange is to declare as our
	// MaxRecvDataSegmentLength; 0 is nothing new.
	newRecv uint32
	// terminations are units whose tasks were ended by FastAbort, until the initiator has
	// acknowledged that.
	terminations []termination
	// fences: see Fences.
	fences bool
	// dataCame: a Data-Out came since Quiet was asked.
	dataCame bool
	// kept is what waits for its acknowledgement, nil where nothing is kept.
	kept *retention

	// open is the PDU between Header and End.
	open struct {
		kind  openKind
		task  *Task
		final bool
		bytes uint32
		// offset is where the data of a Data-Out belongs.
		offset uint32
		head   pdu.Header
		ahs    []byte
		// refused: a Reject for it is queued.
		refused bool
	}
}

type openKind uint8

const (
	openNothing openKind = iota
	openCommand          // a request that becomes a task when it ends well
	openData             // a Data-Out of a task
)

// Start is what a connection enters full feature phase with.
type Start struct {
	Identity login.Identity
	Params   login.Params
	Limits   Limits
	// StatSN is the first status number: it follows the final Login Response. CmdSN is
	// the first command's: the leading login carries it (RFC 3720 §10.12.8
	// [R-10.12.8-1]).
	StatSN  serial.StatSN
	CmdSN   serial.CmdSN
	Targets Targets
	// Shared is the order of a session that may have several connections; it counts
	// instead of CmdSN and the window of Limits.
	Shared *order.Sequencer
	// Old is a connection that has ended, whose memory this one may take; or nil.
	Old *Conn
}

// NewConn returns the connection a login ended with.
func NewConn(s Start) *Conn {
	c := &Conn{
		Identity: s.Identity, Params: s.Params, State: LoggedIn, CID: s.Identity.CID, targets: s.Targets,
		statSN: s.StatSN, expStatSN: s.StatSN, shared: s.Shared, fences: fences(&s),
	}
	if s.Old != nil {
		c.slab = s.Old.slab.renew(s.Limits)
	} else {
		c.slab = newSlab(s.Limits)
	}
	if c.shared == nil {
		c.window = newWindow(s.CmdSN, s.Limits.Window)
		c.toldMax = c.window.last
	}
	var old *retention
	if s.Old != nil {
		old = s.Old.kept
	}
	c.kept = renewRetention(old, c)
	return c
}

// Header takes a header that is complete and whose digest is right, with its
// additional segments.
func (c *Conn) Header(h *pdu.Header, ahs []byte) Disposition {
	c.open.kind, c.open.task, c.open.final, c.open.bytes = openNothing, nil, h.Final(), 0
	c.open.head, c.open.refused = *h, false
	c.open.ahs = append(c.open.ahs[:0], ahs...)
	// RFC 3720 §12.12: a segment beyond what we declared is a format error, and
	// with it the framing is in doubt.
	if h.DataBytes() > int(c.Params.MaxRecv) {
		return Disposition{Verdict: Drop}
	}
	if c.LoggingOut() {
		// §10.14 [R-10.14-7]: nothing new comes after a Logout Request; what comes all
		// the same, data of ended tasks included, is thrown away.
		return Disposition{Verdict: Skip}
	}
	row := &opcodes[h.Opcode()]
	if row.header == nil {
		// §10.2.1.2 [R-10.2.1.2-1]: unknown opcodes are refused, the connection stays.
		return c.refuse(pdu.RejectNotSupported, h, ahs)
	}
	if c.Identity.Discovery && !row.discovery {
		// §3.3 [R-3.3-2]: everything else is refused; the session survives. DEVIATION
		// [D-6]: the standard leaves the reason open.
		return c.refuse(pdu.RejectProtocolError, h, ahs)
	}
	if row.drop {
		return Disposition{Verdict: Drop}
	}
	c.acknowledge(pdu.Request{Header: h}.ExpStatSN())
	return row.header(c, h, ahs)
}

// acknowledge notes how far the initiator has received our status (RFC 3720
// §3.2.2.2 [R-3.2.2.2-2]). A number beyond what was sent acknowledges nothing.
func (c *Conn) acknowledge(n serial.StatSN) {
	if c.expStatSN.Less(n) && n.AtMost(c.statSN) {
		if c.kept != nil {
			c.kept.forget(c.expStatSN, n)
		}
		c.expStatSN = n
	}
}

// request takes the header of a request that has a CmdSN. It draws a task, or
// says how the PDU ends without one.
func (c *Conn) request(k Kind, h *pdu.Header, ahs []byte) (*Task, Disposition) {
	n := pdu.Request{Header: h}.CmdSN()
	if _, live := c.Find(h.ITT()); live {
		// §6.2.1 [R-6.2.1-1]: a retry of a live command is ignored. The same tag
		// under a new number is another task in its way (§10.17.1 [R-10.17.1-3]).
		if !h.Immediate() && !c.accepts(n) {
			return nil, Disposition{Verdict: Skip}
		}
		return nil, c.refuse(pdu.RejectTaskInProgress, h, ahs)
	}
	if !h.Immediate() && !c.accepts(n) {
		// §3.2.2.1 [R-3.2.2.1-7]: outside the window or a duplicate: silently ignored.
		return nil, Disposition{Verdict: Skip}
	}
	if h.ITT() == pdu.NoTag {
		// RFC 7143 [N-29]: the reserved tag never names a task.
		return nil, c.refuse(pdu.RejectInvalidField, h, ahs)
	}
	t := c.take(k, h)
	if t == nil {
		// §3.2.2.1 [R-3.2.2.1-3]: the window keeps room for numbered commands, so only
		// immediate ones can find none.
		return nil, c.refuse(pdu.RejectImmediate, h, ahs)
	}
	c.open.kind, c.open.task = openCommand, t
	return t, Disposition{}
}

// End takes the end of the PDU whose header came last: its data segment is where
// Header said, and intact tells whether the data digest was right.
func (c *Conn) End(intact bool) Verdict {
	t := c.open.task
	kind := c.open.kind
	c.open.kind, c.open.task = openNothing, nil
	switch {
	case kind == openCommand && !intact:
		// §6.7 [R-6.7-1], [R-6.7-5]: the PDU is refused and dropped; its CmdSN is not
		// received, so a retry brings everything again.
		c.Release(t)
		return c.refuse(pdu.RejectDataDigest, &c.open.head, c.open.ahs).Verdict
	case kind == openCommand:
		t.Out.Received = c.open.bytes
		c.arrive(t)
	case kind == openData:
		return c.endData(t, intact)
	case !intact && !c.open.refused:
		// One Reject for one PDU: what was refused by its header stays refused for that.
		return c.refuse(pdu.RejectDataDigest, &c.open.head, c.open.ahs).Verdict
	}
	return Skip
}

// Forget takes the PDU whose header came last away from its task, which ends
// before the PDU does; End then concerns nobody.
func (c *Conn) Forget() { c.open.kind, c.open.task = openNothing, nil }

// refuse queues a Reject (RFC 3720 §10.17). The number of a refused command is
// not received (§6.3 [R-6.3-3]).
func (c *Conn) refuse(r pdu.RejectReason, h *pdu.Header, ahs []byte) Disposition {
	if !c.reject(r, h, ahs) {
		return Disposition{Verdict: Drop}
	}
	c.open.refused = true
	return Disposition{Verdict: Skip}
}

// reject queues a Reject of a PDU. It is false when there is no room.
func (c *Conn) reject(r pdu.RejectReason, h *pdu.Header, ahs []byte) bool {
	if len(c.rejects) == maxRejects {
		return false
	}
	bad := append(append(make([]byte, 0, pdu.HeaderBytes+len(ahs)), h[:]...), ahs...)
	c.rejects = append(c.rejects, reject{reason: r, header: bad})
	return true
}

// EmitReject writes the next Reject and returns its data segment.
func (c *Conn) EmitReject(h *pdu.Header) (data []byte, ok bool) {
	if len(c.rejects) == 0 {
		return nil, false
	}
	r := c.rejects[0]
	c.rejects = append(c.rejects[:0], c.rejects[1:]...)
	c.begin(h, pdu.OpReject, pdu.NoTag)
	p := pdu.AsReject(h)
	p.SetReason(r.reason)
	p.SetDataSN(serial.Data(r.dataSN))
	h.SetDataBytes(len(r.header))
	c.status(p.Response)
	c.kept.attach(r.header)
	return r.header, true
}

// Rejecting says whether Rejects wait to be sent.
func (c *Conn) Rejecting() bool { return len(c.rejects) > 0 }

// begin clears a header and sets what every PDU of ours has.
func (c *Conn) begin(h *pdu.Header, o pdu.Opcode, t pdu.ITT) {
	*h = pdu.Header{}
	h.SetOpcode(o)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(t)
}

// numbers writes the window and shows the next StatSN without consuming it.
func (c *Conn) numbers(p pdu.Response) {
	p.SetStatSN(c.statSN)
	c.credits(p)
}

// credits writes ExpCmdSN and MaxCmdSN.
func (c *Conn) credits(p pdu.Response) {
	if q := c.shared; q != nil {
		exp, last := q.Expected(), q.Last()
		q.Tell(exp, last)
		p.SetWindow(exp, last)
		return
	}
	c.toldMax = c.window.last
	p.SetWindow(c.window.exp, c.toldMax)
}

// WindowUntold says whether the window has moved on and no answer is to come that
// would tell: then a NOP-In does (RFC 3720 §10.4.11 [R-10.4.11-1]).
func (c *Conn) WindowUntold() bool {
	switch {
	case c.Live() > 0:
		return false
	case c.shared != nil:
		return c.shared.Untold()
	}
	return c.toldMax != c.window.last
}

// status writes the window and consumes a StatSN (RFC 3720 §3.2.2.2).
func (c *Conn) status(p pdu.Response) {
	c.numbers(p)
	if c.kept != nil {
		c.kept.put(c.statSN, c.expStatSN, p.Header)
	}
	c.statSN = c.statSN.Next()
}

// Acknowledged is the number up to which the initiator has received our status.
func (c *Conn) Acknowledged() serial.StatSN { return c.expStatSN }

// StatSN is the next status number.
func (c *Conn) StatSN() serial.StatSN { return c.statSN }

// sense for the conditions of RFC 3720 §10.4.7.2.
var (
	senseUnexpectedData = sam.NewSense(sam.AbortedCommand, 0x0c0c)
	senseAmountOfData   = sam.NewSense(sam.AbortedCommand, 0x0c0d)
	senseServiceCRC     = sam.NewSense(sam.AbortedCommand, 0x4705)
	senseSNACK          = sam.NewSense(sam.AbortedCommand, 0x1113)
)
