package transport

import (
	"net/netip"

	"lunar/internal/buf"
	"lunar/iscsi/login"
	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/reactor"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// Kinds of tokens this package submits; others belong to others.
const (
	KindRecv reactor.Kind = iota + 1
	KindSend
	KindTimer
	KindRetry // functions that wait for other connections are looked at again
	KindEnd   // shutdown, close and cancel, whose results mean nothing
)

// Limits of a stack.
type Limits struct {
	// Connections is how many there may be at once on this reactor.
	Connections int
	Session     session.Limits
	// LoginNanos bounds a login from accept to full feature (RFC 3720 §7.1.2
	// [R-7.1.2-1]); PingNanos is how long a connection may be silent before it is
	// asked for a sign of life, and again before it is dropped.
	LoginNanos, PingNanos int64
	// AbortNanos is how long an aborted task waits for data its initiator still
	// owes before it ends without (RFC 3720 §10.5.1 [R-10.5.1-5]; without a bound an
	// initiator that stopped sending would block task management for ever). It is
	// also the tick of a connection's clock, so a bound may be late by as much.
	AbortNanos int64
	// SharesLeft is how many sessions the unasked memory that is left must still do
	// for: one is promised that part of it, at most its whole command window.
	SharesLeft int
	// ReadBytes bounds the data-in that one connection holds in memory, so that a
	// peer that does not read cannot take all of it.
	ReadBytes int
	// KeepBytes bounds the data-in that one connection keeps until it is acknowledged,
	// where recovery is negotiated; what is older is not sent again.
	KeepBytes int
}

// DefaultLimits are the limits without configuration.
func DefaultLimits() Limits {
	return Limits{
		Connections: 4096,
		Session:     session.Limits{Window: 128, Immediate: 16},
		LoginNanos:  10e9, PingNanos: 15e9, AbortNanos: 2e9,
		SharesLeft: 1, ReadBytes: 8 << 20, KeepBytes: 4 << 20,
	}
}

// Portal is where a connection arrived.
type Portal struct {
	Login login.Config
	// Targets answers SendTargets; address is our side of the connection, source the
	// other.
	Targets func(address string, source netip.Addr) session.Targets
}

// Admission is the answer to a login that asks to become a session.
type Admission struct {
	Status pdu.LoginStatus
	TSIH   pdu.TSIH
	Nexus  sam.Nexus
	// Units are the target's; nil in a discovery session.
	Units *lun.Map
	// Session are the parameters of the session that this connection joins, or whose
	// connection it reinstates; nil for a new session, which has those of its login.
	Session *login.Params
	// Order is the order of commands of a session that may have several connections, nil
	// for another.
	Order *order.Sequencer
}

// Keeper decides on sessions and is told of their end. Its methods return at
// once; an answer comes by Stack.Admitted.
type Keeper interface {
	// Admit asks for a session for the login of a connection. The answer is Admitted,
	// or Detach to have the connection elsewhere, where it asks again. One that is
	// placed stays.
	Admit(a Application)
	// Ended says that a connection is gone, with everything that was its own. Units are
	// those it had last, nil when it had none.
	Ended(h Handle, id login.Identity, admitted bool, units *lun.Map)
	// LoginOver says how a login was answered, and returns how long a refusal is held
	// back, in nanoseconds.
	LoginOver(id login.Identity, status pdu.LoginStatus) (hold int64)
	// Through says that a connection, accepted or adopted here, is no login any more:
	// it is in full feature phase, or gone without.
	Through(source netip.Addr)
	// ColdReset asks to close every session of a target (RFC 3720 §10.5.1
	// [R-10.5.1-12]).
	ColdReset(target string)
	// Send gives the stack of another reactor a message, in order.
	Send(reactor int, m Message)
	// Fence asks that every other connection of the session of h is asked whether its
	// status was acknowledged, and holds back what hold says (Stack.Fence); the answer is
	// Stack.Fenced with the owner.
	Fence(h Handle, owner uint64, hold Hold)
	// Passed says that a connection has passed a fence.
	Passed(h Handle, token uint32)
	// Cleared says that the response behind a fence that holds was acknowledged, or will
	// never be sent; every other connection hears Stack.Unfence.
	Cleared(token uint32)
	// Logout asks to close one other connection of the session of h, or all of them, or
	// to remove one for recovery; the answer is Stack.LoggedOut with the owner.
	Logout(h Handle, owner uint64, cid pdu.CID, reason pdu.LogoutReason)
	// EndSession asks to close every connection of the session of h.
	EndSession(h Handle)
	// Parked says that a connection is lost and its commands wait, Recovered that they
	// may be reassigned.
	Parked(h Handle, removed bool)
	Recovered(h Handle)
	// Seek asks every other connection of the session of h for a command; the answer is
	// Stack.Sought with the owner. Found answers for one of them.
	Seek(h Handle, owner uint64, q Seek)
	Found(h Handle, token uint32, f Finding)
}

// Application is a login that asks for a session.
type Application struct {
	Conn     Handle
	Identity login.Identity
	// Params are what the login settled, First the number of its first command, and
	// Window how many commands there is memory for.
	Params login.Params
	First  serial.CmdSN
	Window uint32
	// Placed says that the connection is where it is to be.
	Placed bool
}

// Handle names a connection of a stack, and no later one in its place.
type Handle struct {
	Reactor, Index int
	Generation     uint32
}

// Stack is all connections of one reactor.
type Stack struct {
	loop    *reactor.Loop
	local   *lun.Local
	keeper  Keeper
	reactor int
	limits  Limits

	// unasked holds data that comes with commands. Each session reserves its share
	// at login, so a command that may come always finds memory and a connection is
	// never stopped from reading: what unblocks it may lie behind.
	unasked *buf.Pool
	// promised counts, for each class of unasked, the buffers that sessions were
	// promised.
	promised []int
	// staged holds everything asked for: reads, bursts, parameter lists. Whoever
	// finds none waits in hungry.
	staged *buf.Pool
	hungry []*Conn
	// kept is how much of it holds data that may have to be sent again, mayKeep the most,
	// evicted the place of the connection that gave some up last.
	kept, mayKeep, evicted int

	conns  []*Conn
	free   []int
	dirty  []*Conn
	arming []*Conn
	// postponed are connections that received more than a turn takes of one.
	postponed, resumed []*Conn

	batches []*batch
	stats   Stats
	// active is the connection being served, for Quarantine.
	active *Conn
	// draining: the target stops, and nothing waits any more.
	draining bool
}

// Stats are counts since the start.
type Stats struct {
	Accepted, LoggedIn, Dropped uint64
	Commands                    uint64
	// Quarantined connections broke an invariant of ours.
	Quarantined uint64
}

// New returns the stack of one reactor. Unasked and staged belong to it; staged
// has buffers of blk.MaxRequestBytes.
func New(r int, loop *reactor.Loop, local *lun.Local, unasked, staged *buf.Pool, k Keeper, l Limits) *Stack {
	return &Stack{
		loop: loop, local: local, keeper: k, reactor: r, limits: l, staged: staged,
		unasked: unasked, promised: make([]int, unasked.Classes()), mayKeep: staged.Bytes() / stagedShare,
	}
}

// Inherit takes over the memory that a stack without connections sends from. That one
// is not used any more.
func (s *Stack) Inherit(old *Stack) { s.batches, old.batches = old.batches, nil }

// Stats are the counts so far.
func (s *Stack) Stats() Stats { return s.stats }

// Live is the number of connections.
func (s *Stack) Live() int { return len(s.conns) - len(s.free) }

// Accept takes a connected socket, address our side of it and source the other. It
// is false when there is no room; the caller keeps the descriptor.
func (s *Stack) Accept(fd int32, address string, source netip.Addr, p *Portal) bool {
	c := s.place()
	if c == nil {
		return false
	}
	s.stats.Accepted++
	c.open(fd, address, source, p)
	return true
}

// place takes a free place for a connection, nil when there is none.
func (s *Stack) place() *Conn {
	if len(s.free) == 0 {
		if len(s.conns) == s.limits.Connections {
			return nil
		}
		s.free = append(s.free, len(s.conns))
		s.conns = append(s.conns, &Conn{stack: s, index: len(s.conns)})
	}
	c := s.conns[s.free[len(s.free)-1]]
	s.free = s.free[:len(s.free)-1]
	return c
}

func (s *Stack) find(generation uint32, index int) *Conn {
	if index >= len(s.conns) || s.conns[index].generation&0xffffff != generation {
		return nil
	}
	return s.conns[index]
}

// Complete takes a completion whose kind is of this package.
func (s *Stack) Complete(x reactor.Completion) {
	c := s.find(x.Token.Generation(), int(x.Token.Index()))
	if c == nil {
		// A timer of a connection that is gone. Operations are awaited before a
		// connection's place is used again.
		return
	}
	s.active = c
	switch x.Token.Kind() {
	case KindRecv:
		c.received(x)
	case KindSend:
		c.sent(x.Result)
	case KindTimer:
		c.tick()
	case KindRetry:
		c.retrying = false
		c.retryDelayed()
	}
}

// Event takes an event of a unit for a task of this stack.
func (s *Stack) Event(e lun.Event) {
	switch e.Kind {
	case lun.Begun:
		if c, t := s.owner(e.Command.Owner); c != nil {
			c.begun(t)
		}
	case lun.Executed:
		if c, t := s.owner(e.Command.Owner); c != nil {
			c.executed(t)
		}
	case lun.Moved:
		if c, t := s.owner(e.Request.Tag); c != nil {
			c.moved(t, int(e.Request.Tag>>chunkShift)&chunkMask)
		}
	case lun.Abort:
		if c, t := s.owner(e.Owner); c != nil {
			c.abortFor(t, e.Management)
		}
	case lun.Managed:
		if c, t := s.owner(e.Management.Owner); c != nil {
			c.managed(t)
		}
	case lun.Vouched, lun.Disowned: // of copies, which no stack owns
	}
	if c := s.active; c != nil && c.phase == parked {
		c.recoverReady()
	}
	if c := s.active; c != nil && len(c.seeks) > 0 {
		c.handOut()
	}
}

// Admitted brings the answer to Keeper.Admit.
func (s *Stack) Admitted(h Handle, a Admission) {
	if c := s.find(h.Generation, h.Index); c != nil && c.phase == admitting {
		c.admitted(a)
	}
}

// Close ends a connection from outside: reinstatement, reset, or the daemon's
// stop. Its end is told by Keeper.Ended. Silent says that the whole session ends, so
// that the nexus hears of that and not of single commands (RFC 3720 §5.3.5
// [R-5.3.5-2]).
func (s *Stack) Close(h Handle, silent bool) {
	if c := s.find(h.Generation, h.Index); c != nil {
		c.silent = silent
		c.close("closed by the engine")
	}
}

// Quarantine ends the connection that was being served when an invariant of ours
// broke, so that one broken connection does not take the others along. Its initiator
// hears of it if that can be said at once. It is false when there was none.
func (s *Stack) Quarantine() bool {
	c := s.active
	if c == nil {
		return false
	}
	s.active = nil
	s.stats.Quarantined++
	if !c.announce() {
		c.close("internal error")
	}
	return true
}

// Drain asks every initiator to log out and closes the connections of those that
// have not within a second (RFC 3720 §10.9.1 [R-10.9.1-1], §3.2.5 [R-3.2.5-2]).
// Discovery sessions know no Async Message (RFC 7143 §7.4 [N-10]) and are closed, as
// are logins.
func (s *Stack) Drain() {
	s.draining = true
	for _, c := range s.conns {
		switch c.phase {
		case gone, closing:
		case parked:
			c.close("the target stops")
		case fullFeature:
			if !c.sess.Identity.Discovery {
				c.askForLogout()
				continue
			}
			c.close("the target stops")
		default:
			c.close("the target stops")
		}
	}
}

// Resume goes on with the connections that had received more than the last turn
// took. It is called once in a turn, when the completions have been.
func (s *Stack) Resume() {
	s.postponed, s.resumed = s.resumed[:0], s.postponed
	for _, c := range s.resumed {
		if c.phase == fullFeature && c.held != nil {
			s.active = c
			c.resumeParse()
			c.arm()
		}
	}
}

// postpone leaves what c has received to the next turn, which then comes at once.
func (s *Stack) postpone(c *Conn) {
	s.postponed = append(s.postponed, c)
	s.loop.Wake()
}

// Flush ends the turn: everything that can be said goes out, one send for each
// connection. It is true when anything was submitted.
func (s *Stack) Flush() (worked bool) {
	s.feed()
	for i := 0; i < len(s.dirty); i++ {
		c := s.dirty[i]
		c.dirty = false
		s.active = c
		worked = c.flush() || worked
	}
	s.dirty = s.dirty[:0]
	for _, c := range s.arming {
		c.listen()
	}
	s.arming = s.arming[:0]
	return worked
}

func (s *Stack) touch(c *Conn) {
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// starve queues a connection that found no buffer.
func (s *Stack) starve(c *Conn) {
	if !c.hungry {
		c.hungry = true
		s.hungry = append(s.hungry, c)
	}
}

// feed lets the connections that waited for buffers try again, in order, as long
// as there are any.
func (s *Stack) feed() {
	for n := len(s.hungry); n > 0 && s.staged.Free() > 0; n-- {
		c := s.hungry[0]
		s.hungry = append(s.hungry[:0], s.hungry[1:]...)
		c.hungry = false
		if c.phase == fullFeature {
			c.resume()
		}
	}
}

// View is what a session finds at its target: its LUN map, and the longest data
// segment we take there, in bytes.
type View struct {
	Units   *lun.Map
	MaxRecv uint32
}

// Revise asks for the view of every session that has one. A session that gets no
// units ends; one that gets others goes on with them, and what it asks of units that
// are not among them any more ends as usual. Another length of data segments is
// negotiated anew (RFC 3720 §10.9.1, event 4).
func (s *Stack) Revise(view func(login.Identity) View) {
	for _, c := range s.conns {
		if c.phase != fullFeature && c.phase != parked || c.units == nil {
			continue
		}
		v := view(c.sess.Identity)
		if c.phase == parked {
			c.reviseParked(v.Units)
			continue
		}
		switch m := v.Units; {
		case m == nil:
			c.farewell()
			continue
		case m.Same(c.units):
			c.units = m
		default:
			c.remap(m)
		}
		c.renegotiate(v.MaxRecv)
	}
}

// reviseParked ends the commands of a lost connection whose session has another LUN map
// now: the units they are for may go.
func (c *Conn) reviseParked(m *lun.Map) {
	if m == nil || !m.Same(c.units) {
		c.close("its units have changed")
	}
}

// remap gives a session another LUN map. Its units say so, those it had and those
// that are new to it (SPC-4 §5.5: REPORTED LUNS DATA HAS CHANGED). Those it had and has
// no more have lost this nexus: what it holds there it could never give back.
func (c *Conn) remap(m *lun.Map) {
	c.units.Units(func(u *lun.Unit) {
		if !m.Leads(u) {
			c.stack.local.Lose(u, c.nexus)
		}
	})
	c.units = m
	m.Units(func(u *lun.Unit) {
		c.stack.local.Open(u, c.nexus, c.nexusName)
		c.stack.local.Attend(u, c.nexus, scsi.LUNsChanged)
	})
}
