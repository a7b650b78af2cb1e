package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Service actions of PERSISTENT RESERVE OUT (SPC-4 §6.16).
const (
	proutRegister     = 0x00
	proutReserve      = 0x01
	proutRelease      = 0x02
	proutClear        = 0x03
	proutPreempt      = 0x04
	proutPreemptAbort = 0x05
	proutIgnore       = 0x06 // REGISTER AND IGNORE EXISTING KEY
	proutMove         = 0x07 // REGISTER AND MOVE
)

// Parameter lists of PERSISTENT RESERVE OUT (SPC-4 §6.16.3, §6.16.4).
const (
	proutListBytes = 24
	proutFlagsAt   = 20
	moveFlagsAt    = 17
	movePortAt     = 18

	specIPTMask  = 0x08
	allPortsMask = 0x04
	aptplMask    = 0x01
	unregMask    = 0x02

	// maxPersistList bounds a list: some thirty TransportIDs with the longest names.
	maxPersistList = 8192
)

// order is a PERSISTENT RESERVE OUT that was decoded.
type order struct {
	action    byte
	nexus     *sam.NexusName
	kind      reservationType
	key, next uint64 // RESERVATION KEY and SERVICE ACTION RESERVATION KEY
	keeps     bool   // APTPL
	everyPort bool   // ALL_TG_PT
	// named are the initiator ports of SPEC_I_PT, or the one that a reservation is moved
	// to, at target port relative; unregisters is UNREG.
	specified   bool
	named       []sam.InitiatorPort
	relative    uint16
	unregisters bool
}

// beginPersistOut serves PERSISTENT RESERVE OUT (SPC-4 §6.16).
func (d *Device) beginPersistOut(c *sam.Command) {
	action, kind := c.CDB[1]&actionMask, reservationType(c.CDB[2]&0x0f)
	length := binary.BigEndian.Uint32(c.CDB[5:])
	typed := action == proutReserve || action == proutRelease || action == proutPreempt || action == proutPreemptAbort
	switch {
	case d.reservation.held:
		// SPC-2 §5.5.1: RESERVE and persistent reservations exclude each other.
		conflict(c)
	case typed && c.CDB[2]>>4 != 0:
		failField(c, 2, 7) // SCOPE: there is the logical unit and nothing else
	case typed && !kind.known():
		failField(c, 2, 3)
	case length < proutListBytes, length > maxPersistList:
		// SPC-4 §6.16.1: a list that is too short, or longer than we take.
		c.Fail(illegal(codeParameterLength).At(5, -1))
	default:
		ask(c, int64(length), 0)
	}
}

// decodeOrder reads the parameter list. It ends c and is false when it is wrong.
func (d *Device) decodeOrder(c *sam.Command) (o order, ok bool) {
	length := int(binary.BigEndian.Uint32(c.CDB[5:]))
	if c.Received < length {
		c.Fail(illegal(codeParameterLength).At(5, -1))
		return o, false
	}
	b := c.Buffer[:length]
	o = order{
		action: c.CDB[1] & actionMask, nexus: d.nameOf(c.Nexus), kind: reservationType(c.CDB[2] & 0x0f),
		key: binary.BigEndian.Uint64(b), next: binary.BigEndian.Uint64(b[8:]),
	}
	if o.action == proutMove {
		return o, o.decodeMove(c, b)
	}
	flags := b[proutFlagsAt]
	o.keeps, o.everyPort, o.specified = flags&aptplMask != 0, flags&allPortsMask != 0, flags&specIPTMask != 0
	switch {
	case o.specified && o.action != proutRegister:
		// SPC-4 §6.16.3: SPEC_I_PT belongs to REGISTER alone.
		c.Fail(illegal(codeInvalidParameter).AtParameter(proutFlagsAt))
	case o.specified:
		return o, o.decodePorts(c, b)
	case length != proutListBytes:
		c.Fail(illegal(codeParameterLength).At(5, -1))
	default:
		return o, true
	}
	return o, false
}

// decodePorts reads the TransportIDs behind a REGISTER with SPEC_I_PT.
func (o *order) decodePorts(c *sam.Command, b []byte) bool {
	rest := b[proutListBytes:]
	if len(rest) < 4 || int64(binary.BigEndian.Uint32(rest)) != int64(len(rest)-4) {
		c.Fail(illegal(codeParameterLength).AtParameter(proutListBytes))
		return false
	}
	for rest = rest[4:]; len(rest) > 0; {
		p, behind, ok := cutTransportID(rest)
		if !ok {
			c.Fail(illegal(codeInvalidParameter).AtParameter(len(b) - len(rest)))
			return false
		}
		o.named, rest = append(o.named, p), behind
	}
	return true
}

// decodeMove reads the list of REGISTER AND MOVE (SPC-4 §6.16.4).
func (o *order) decodeMove(c *sam.Command, b []byte) bool {
	o.keeps, o.unregisters = b[moveFlagsAt]&aptplMask != 0, b[moveFlagsAt]&unregMask != 0
	o.relative = binary.BigEndian.Uint16(b[movePortAt:])
	rest := b[proutListBytes:]
	if int64(binary.BigEndian.Uint32(b[proutFlagsAt:])) != int64(len(rest)) {
		c.Fail(illegal(codeParameterLength).AtParameter(proutFlagsAt))
		return false
	}
	p, behind, ok := cutTransportID(rest)
	if !ok || len(behind) > 0 {
		c.Fail(illegal(codeInvalidParameter).AtParameter(proutListBytes))
		return false
	}
	o.named = []sam.InitiatorPort{p}
	return true
}

// persistOut carries the action out on a copy, which takes its place when it is durable.
// PREEMPT AND ABORT first has its unit end the commands of those it preempts.
func (d *Device) persistOut(c *sam.Command) Program { return d.persist(c, false) }

// Preempted goes on with a PREEMPT AND ABORT whose Victims have no command any more.
func (d *Device) Preempted(c *sam.Command) Program {
	c.Status = sam.Good
	return d.persist(c, true)
}

func (d *Device) persist(c *sam.Command, quiet bool) Program {
	o, ok := d.decodeOrder(c)
	if !ok {
		return Program{}
	}
	if o.keeps && !d.keeps {
		c.Fail(illegal(codeInvalidParameter).AtParameter(proutFlagsAt)) // PTPL_C is 0
		return Program{}
	}
	next := d.persistent.clone()
	told, ok := next.carryOut(&o, c)
	if !ok {
		return Program{}
	}
	if o.action == proutPreemptAbort && !quiet && d.namesVictims(c, &next) {
		return Program{Kind: Preempt}
	}
	n := d.draftOf(c)
	n.persistent, n.told, n.durable = next, told, d.persistent.kept || next.kept
	return d.adopt(n)
}

// carryOut is the action on p. It ends c and is false when it is refused.
func (p *persistent) carryOut(o *order, c *sam.Command) (told tidings, ok bool) {
	own := p.find(o.nexus)
	switch {
	case o.nexus == nil:
		// A nexus without a name has nothing to register under.
		failField(c, 1, 4)
		return told, false
	case o.action == proutIgnore:
	case own == noRegistration && (o.action != proutRegister || o.key != 0),
		own != noRegistration && p.registrations[own].key != o.key:
		// SPC-4 §5.13.7, table 62: only REGISTER may come from who is not registered, and
		// everyone shows the key it has.
		conflict(c)
		return told, false
	}
	switch o.action {
	case proutRegister, proutIgnore:
		return p.register(o, own, c)
	case proutReserve:
		return told, p.reserve(o, own, c)
	case proutRelease:
		return p.giveBack(o, own, c)
	case proutClear:
		p.registrations = nil
		p.release()
		p.generation++
		return tidings{cleared: true}, true
	case proutMove:
		return told, p.move(o, own, c)
	default:
		return p.preempt(o, own, c)
	}
}

// reserve is RESERVE (SPC-4 §5.13.9).
func (p *persistent) reserve(o *order, own int, c *sam.Command) bool {
	switch {
	case p.kind == 0:
		p.kind, p.holder = o.kind, own
		if o.kind.everyRegistrant() {
			p.holder = noRegistration
		}
	case !p.holds(own) || p.kind != o.kind:
		conflict(c)
		return false
	}
	return true
}

// giveBack is RELEASE (SPC-4 §5.13.11.1.2). Who holds nothing gives nothing back, and that
// is GOOD.
func (p *persistent) giveBack(o *order, own int, c *sam.Command) (told tidings, ok bool) {
	if !p.holds(own) {
		return told, true
	}
	if p.kind != o.kind {
		c.Fail(illegal(codeInvalidRelease))
		return told, false
	}
	told.released = p.kind.sparesRegistrants()
	p.release()
	return told, true
}
