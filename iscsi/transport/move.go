package transport

import (
	"net/netip"

	"lunar/iscsi/login"
	"lunar/reactor"
)

// Parcel is a connection on its way to another reactor, at the step to full feature
// phase: its login has said all but the last word, nothing is in flight, and the
// initiator waits.
type Parcel struct {
	fd      int32
	address string
	machine *login.Machine
	// left is what is left of the time a login may take; clocks of reactors differ.
	left int64
	// unread is what came behind the last request. It is on the heap: receive buffers
	// stay with their ring.
	unread []byte
}

// Detach takes a connection that waits for its admission off this reactor. It is
// false when the connection is gone, or cannot go now and stays.
func (s *Stack) Detach(h Handle) (p Parcel, ok bool) {
	c := s.find(h.Generation, h.Index)
	if c == nil || c.phase != admitting || c.receiving || c.flying != nil || c.build != nil && c.build.n > 0 {
		return p, false
	}
	p = Parcel{
		fd: c.fd, address: c.address, machine: c.machine, left: c.deadline - s.loop.Now(),
		unread: append([]byte(nil), c.held...),
	}
	c.dropHeld()
	s.promised[c.promisedOf] -= c.promised
	if c.build != nil {
		s.putBatch(c.build)
	}
	s.loop.Submit(reactor.Op{Code: reactor.Forget, Token: c.token(KindEnd), FD: c.fd})
	c.phase = gone
	c.generation++
	c.machine, c.portal, c.build = nil, nil, nil
	s.free = append(s.free, c.index)
	return p, true
}

// Adopt takes a connection that was detached elsewhere and asks for its admission
// anew. Portal is its portal group on this reactor: what that of the other one asks
// belongs there. It is false when there is no room; the caller keeps the descriptor,
// Parcel.FD.
func (s *Stack) Adopt(p Parcel, portal *Portal) bool {
	c := s.place()
	if c == nil {
		return false
	}
	c.reset(p.fd, p.address, portal)
	c.source = p.Source()
	c.machine, c.deadline, c.greeted, c.phase, c.settled = p.machine, c.heard+p.left, true, admitting, true
	c.armTimer()
	if len(p.unread) > 0 {
		c.held = p.unread
	}
	c.askAdmission()
	return true
}

// Source is where the connection comes from.
func (p *Parcel) Source() netip.Addr { return p.machine.Identity().Source }

// PortalGroupTag is the portal group that the connection came in at.
func (p *Parcel) PortalGroupTag() uint16 { return p.machine.Identity().PortalGroupTag }

// FD is the descriptor of the connection.
func (p *Parcel) FD() int32 { return p.fd }

// Stay asks anew for the admission of a connection that could not be detached.
func (s *Stack) Stay(h Handle) {
	if c := s.find(h.Generation, h.Index); c != nil && c.phase == admitting {
		c.settled = true
		c.apply()
	}
}
