package transport

import (
	"context"
	"log/slog"
	"net/netip"

	"lunar/internal/buf"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/reactor"
	"lunar/scsi/sam"
)

type phase uint8

const (
	gone phase = iota
	loggingIn
	// admitting: the login waits for the keeper; nothing is read meanwhile.
	admitting
	fullFeature
	// leaving: the last PDU is on its way, then the connection closes.
	leaving
	// parked: the socket is gone, its commands wait to be reassigned.
	parked
	// closing: nothing is sent any more; operations under way are awaited.
	closing
)

// Conn is one connection on its reactor. Its place in the stack is used again
// under another generation.
type Conn struct {
	stack      *Stack
	index      int
	generation uint32
	fd         int32
	phase      phase
	portal     *Portal
	address    string

	framer  pdu.Framer
	machine *login.Machine
	// greeted says that a Login Request began, so that a refusal has an addressee.
	greeted    bool
	isAdmitted bool
	// silent says that the session ends with the connection, at its initiator's wish.
	silent bool
	// source is where the connection comes from; through says that it is no login any
	// more.
	source  netip.Addr
	through bool
	// refusal waits until heldUntil, in the loop's time, before it is said.
	refusal     pdu.Header
	refusalText []byte
	heldUntil   int64
	// settled says that the connection is where its session is to be.
	settled bool

	sess *session.Conn
	// spare is what was here before, whose memory the next one takes.
	spare *session.Conn
	// keep is data that may have to be sent again, nil where nothing is; spareKeep the
	// memory for that. stalledAt is since when no answer can be kept, ackedBefore what was
	// acknowledged at the last tick, shown the StatSN that a ping showed.
	keep, spareKeep    *keep
	stalledAt          int64
	ackedBefore, shown serial.StatSN
	tasks              []task
	nexus              sam.Nexus
	nexusName          *sam.NexusName
	units              *lun.Map
	// limits are this session's; firstBytes is what one command may bring unasked; promised is how many
	// buffers for it this session was promised, of the class promisedOf.
	limits                           session.Limits
	firstBytes, promised, promisedOf int

	// The PDU being received.
	current session.Disposition
	head    pdu.Header
	place   []byte // where the rest of its data goes
	segment bool   // it has a data segment, and so a data digest
	crc     uint32
	text    []byte
	// direct is the memory of a receive straight into place that is under way. It
	// stays when place is taken away: the kernel writes there until the receive has
	// ended.
	direct    []byte
	receiving bool
	// held is what was received and may not be looked at yet, in buffer heldBuffer.
	held       []byte
	heldBuffer int32
	// budget is how many PDUs this turn may still take.
	budget int

	queue     []*task // tasks with something to say, in order
	readBytes int     // data-in held in memory
	textBytes int     // data of pings and texts that wait for their answers
	build     *batch  // being filled
	flying    *batch  // being sent
	dirty     bool
	hungry    bool
	arming    bool

	deadline  int64 // of the login, and of the last word
	heard     int64 // when something last came
	pinged    bool
	wantsPing bool
	// newRecv: the initiator is to be asked for a text exchange, in which we declare
	// that we take data segments of this length; 0 when it is not.
	newRecv  uint32
	aborts   int     // tasks that wait for their initiator within a bound
	delayed  []*task // functions among them
	retrying bool    // a KindRetry is to come
	logout   *task   // waits for every other task to end
	// alone says of a connection that logs out that it waits for no other one.
	alone bool
	// removing: a logout for recovery of this connection is being answered; recovered:
	// its commands may be reassigned.
	// seeks are questions for commands that cannot be answered yet, seeking the functions
	// here whose question for one has no answer yet.
	// answering says that the answer goes, recovering that a logout for recovery waits for
	// what ends.
	removing, recovered, answering, recovering bool
	seeks                                      []Seek
	seeking                                    []uint64
	// crowded are functions here that have found a command and no place for it.
	crowded int
	// dropped are connections of the session that were lost, to be announced here.
	dropped []pdu.CID
	// fences are acknowledgements that are waited for, barriers what holds responses up.
	fences   []fence
	barriers []barrier
	// lingering counts tasks that are over but for their places.
	lingering int
	coldReset bool
	// logoutBy is when the initiator must have logged out, 0 when it was not asked to;
	// wantsLogout: the question is to be sent. goodbye: the last Async Message is to be
	// sent, then the connection closes.
	logoutBy             int64
	wantsLogout, goodbye bool

	// tsih is the handle of the session, since when it has been one; the rest is counted
	// for whoever looks (Survey): commands, and bytes of the socket.
	tsih                        pdu.TSIH
	since                       int64
	commands, bytesIn, bytesOut uint64
}

func (c *Conn) token(k reactor.Kind) reactor.Token {
	return reactor.NewToken(k, c.generation, uint32(c.index))
}

func (c *Conn) name() Handle {
	return Handle{Reactor: c.stack.reactor, Index: c.index, Generation: c.generation & 0xffffff}
}

// open starts a connection in a free place.
func (c *Conn) open(fd int32, address string, source netip.Addr, p *Portal) {
	c.reset(fd, address, p)
	c.source = source
	c.machine, c.phase = login.NewMachine(&p.Login, source), loggingIn
	c.deadline = c.heard + c.stack.limits.LoginNanos
	c.armTimer()
	c.arm()
}

// reset makes the place that of another connection, under another generation.
func (c *Conn) reset(fd int32, address string, p *Portal) {
	*c = Conn{
		stack: c.stack, index: c.index, generation: c.generation + 1, tasks: c.tasks, queue: c.queue[:0], spare: c.spare, spareKeep: c.spareKeep,
		fd: fd, portal: p, address: address, heldBuffer: reactor.NoBuffer,
		limits: c.stack.limits.Session, heard: c.stack.loop.Now(),
	}
}

// full starts full feature phase after the final Login Response was built.
func (c *Conn) full(a Admission) {
	c.phase = fullFeature
	c.stack.stats.LoggedIn++
	c.passThrough()
	id := c.machine.Identity()
	var targets session.Targets
	if c.portal.Targets != nil {
		targets = c.portal.Targets(c.address, id.Source)
	}
	c.sess = session.NewConn(session.Start{
		Identity: id, Params: c.machine.Params(), Limits: c.limits, StatSN: c.machine.StatSN(), CmdSN: c.machine.CmdSN(),
		Targets: targets, Shared: a.Order, Old: c.spare,
	})
	c.spare = nil
	if n := c.sess.Retained(); n > 0 {
		c.keep = renewKeep(c.spareKeep, n, c.sess.ExpStatSN())
		c.spareKeep = c.keep
		c.ackedBefore, c.shown = c.keep.acked, c.keep.acked
	}
	c.nexus, c.units = a.Nexus, a.Units
	c.tsih, c.since = a.TSIH, c.stack.loop.Now()
	c.sess.LUN = c.firstLUN()
	// RFC 3720 §12.1 [R-12.1-2]: the first PDU after login carries the digests.
	c.framer.HeaderDigest, c.framer.DataDigest = c.sess.Params.HeaderDigest, c.sess.Params.DataDigest
	for i := range c.sess.Tasks() {
		if i == len(c.tasks) {
			c.tasks = append(c.tasks, task{})
		}
		// Generations go on over the life of the place, so handles stay unique.
		t := &c.tasks[i]
		*t = task{s: c.sess.Task(uint32(i)), generation: t.generation}
		t.s.Owner = c.handle(t)
	}
	if c.units != nil {
		path := c.units.Path()
		c.nexusName = &sam.NexusName{
			Initiator: sam.InitiatorPort{Name: id.Initiator, ISID: id.ISID},
			Target:    sam.TargetPort{Name: path.TargetName, Relative: path.RelativePort, Group: path.PortalGroupTag},
		}
		c.units.Units(func(u *lun.Unit) { c.stack.local.Open(u, c.nexus, c.nexusName) })
	}
	c.machine = nil
}

// close begins the end: the socket is shut, every task ends, and once nothing can
// touch their memory the place is free.
func (c *Conn) close(why string) {
	if c.phase == gone || c.phase == closing {
		return
	}
	c.logClose(why)
	if (c.phase == fullFeature || c.phase == parked) && !c.silent {
		c.interrupted()
	}
	c.phase = closing
	if c.coldReset {
		// Its initiator is gone before the answer was; the others end all the same.
		c.askColdReset()
	}
	c.stack.stats.Dropped++
	c.hangUp()
	c.dropHeld()
	c.place, c.delayed, c.logout = nil, nil, nil
	c.dropBuild()
	c.abortAll(nil)
	c.knock()
	c.gone()
}

// dropBuild throws away what was laid out and not sent.
func (c *Conn) dropBuild() {
	if c.build != nil {
		c.build.drop(c)
		c.stack.putBatch(c.build)
		c.build = nil
	}
}

// logClose tells why a connection ends: an end the protocol asked for only to
// those who look closely.
func (c *Conn) logClose(why string) {
	level := slog.LevelInfo
	if c.phase == leaving {
		level = slog.LevelDebug
	}
	initiator := ""
	if c.sess != nil {
		initiator = c.sess.Identity.Initiator
	}
	slog.Log(context.Background(), level, "connection closed", "why", why, "portal", c.address, "initiator", initiator)
}

// gone frees the place when nothing is under way any more.
func (c *Conn) gone() {
	if c.phase != closing || c.receiving || c.flying != nil {
		return
	}
	if c.sess != nil {
		// A receive into a task's memory may just have ended.
		c.abortAll(nil)
		if c.phase != closing || c.sess.Live() > 0 {
			return
		}
		// What its last commands made due waits on other connections.
		c.knock()
		if c.keep != nil {
			c.dropKept()
			c.keep = nil
		}
	}
	c.phase = gone
	c.passThrough()
	s := c.stack
	if c.fd >= 0 {
		s.loop.Submit(reactor.Op{Code: reactor.Close, Token: c.token(KindEnd), FD: c.fd})
	}
	s.promised[c.promisedOf] -= c.promised
	var id login.Identity
	if c.sess != nil {
		id = c.sess.Identity
	}
	h := c.name()
	for _, q := range c.seeks {
		// Only now: nothing of what is asked for touches a medium any more.
		s.keeper.Found(h, q.Token, Finding{Kind: FoundNothing})
	}
	c.seeks = nil
	c.generation++
	if c.sess != nil {
		c.spare = c.sess
	}
	c.sess, c.machine, c.portal = nil, nil, nil
	s.free = append(s.free, c.index)
	s.keeper.Ended(h, id, c.isAdmitted, c.units)
}

// passThrough ends the time in which the connection counts as a login.
func (c *Conn) passThrough() {
	if !c.through {
		c.through = true
		c.stack.keeper.Through(c.source)
	}
}

// firstLUN is the first LUN that has a unit, LUN 0 when there is none.
func (c *Conn) firstLUN() sam.LUN {
	if c.units == nil || len(c.units.Path().LUNs) == 0 {
		return 0
	}
	return c.units.Path().LUNs[0]
}

// unit finds the unit of a LUN for this connection.
func (c *Conn) unit(l sam.LUN) (lun.Entry, bool) { return c.units.Find(l, c.stack.reactor) }

func release(b *buf.Buf) {
	if b != nil {
		b.Release()
	}
}
