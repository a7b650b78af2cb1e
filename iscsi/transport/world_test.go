package transport

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"lunar/internal/buf"
	"lunar/iscsi/login"
	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/lun/blk"
	"lunar/lun/ram"
	"lunar/reactor"
	"lunar/reactor/fake"
	"lunar/scsi"
	"lunar/scsi/sam"
)

const (
	kindAcceptTest reactor.Kind = 40
	unitBytes                   = 4 << 20
	testTarget                  = "iqn.2026-11.lunar:default"
)

// options of a world; zero values are ample.
type options struct {
	seed   uint64
	limits func(*Limits)
	staged []buf.Class
	// slow media finish a request only in a later turn, in any order.
	slow bool
	// cut divides what is received and sent into pieces of any size.
	cut bool
}

// world is one reactor with a stack and a unit, on a ring in memory.
type world struct {
	testing.TB
	rand            *rand.Rand
	ring            *fake.Ring
	loop            *reactor.Loop
	local           *lun.Local
	stack           *Stack
	unasked, staged *buf.Pool
	unit            *lun.Unit
	units           *lun.Map
	medium          []byte
	queue           *slowQueue
	listener        int32
	portal          *Portal
	// access, when set, answers for the directory.
	access func(login.Query) login.Access
	logins []Application
	ended  int
	// last are the units that the last session to end had.
	last *lun.Map
	// over, when set, takes the ends of logins; through counts connections that are
	// none any more.
	over    func(login.Identity, pdu.LoginStatus) int64
	through int
	nexus   sam.Nexus
	busy    bool
	// joint has sessions that may have several connections, with an order in common.
	joint   bool
	fences  []uint64
	passed  []uint32
	parked  int
	cold    bool   // every session is to be closed
	records string // the answer to SendTargets, if it is not the usual
}

// always keeps the loop from sleeping, so that time passes only when a test says
// so.
type always struct{}

func (always) Empty() bool { return false }

func newWorld(t testing.TB, o options) *world {
	t.Helper()
	w := &world{TB: t, rand: rand.New(rand.NewPCG(o.seed, 7))}
	recv, err := buf.Alloc(8 * 32 << 10)
	w.must(err)
	w.ring = fake.NewWithBuffers(recv, 32<<10)
	if o.cut {
		w.ring.Chunk = func(most int) int { return w.piece(most) }
		w.ring.SendLimit = func(most int) int { return w.piece(most) }
	}
	w.loop, err = reactor.NewLoop(reactor.Config{
		Ring: w.ring, Poll: reactor.Spin, RecvBytes: w.ring.RecvBytes(), RecvBuffers: recv, Clock: w.ring.Clock(), Mailbox: always{},
	})
	w.must(err)
	l := DefaultLimits()
	l.Connections, l.Session = 16, session.Limits{Window: 32, Immediate: 4}
	if o.limits != nil {
		o.limits(&l)
	}
	commands := 8 * int(l.Session.Window+l.Session.Immediate)
	w.unasked, err = buf.NewPool(buf.Class{Bytes: 4096, Count: commands}, buf.Class{Bytes: 64 << 10, Count: commands})
	w.must(err)
	if o.staged == nil {
		o.staged = []buf.Class{{Bytes: 4096, Count: 64}, {Bytes: 64 << 10, Count: 32}, {Bytes: blk.MaxRequestBytes, Count: 32}}
	}
	w.staged, err = buf.NewPool(o.staged...)
	w.must(err)
	w.local = lun.NewLocal(0, w.staged, nil)
	w.stack = New(0, w.loop, w.local, w.unasked, w.staged, w, l)
	w.addUnit(o.slow)
	w.listener = w.ring.Listen()
	w.portal = &Portal{
		Login:   login.Config{Offer: login.DefaultOffer(), Targets: w, PortalGroupTag: 1, StatSN: serial.Stat(0xfffffff0)},
		Targets: func(string, netip.Addr) session.Targets { return w },
	}
	w.loop.Submit(reactor.Op{Code: reactor.Accept, Token: reactor.NewToken(kindAcceptTest, 0, 0), FD: w.listener})
	t.Cleanup(func() {
		w.settle()
		if t.Failed() {
			return
		}
		w.checkEnd()
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// piece is a size from 1 to most: often tiny, sometimes all.
func (w *world) piece(most int) int {
	switch w.rand.IntN(4) {
	case 0:
		return 1 + w.rand.IntN(min(most, 8))
	case 1:
		return most
	}
	return 1 + w.rand.IntN(most)
}

func (w *world) addUnit(slow bool) {
	w.medium = make([]byte, unitBytes)
	b, err := ram.New(ram.Config{Memory: w.medium, BlockBytes: 512})
	w.must(err)
	d := scsi.New(scsi.Config{Info: b.Info()})
	w.unit = lun.NewUnit(0, d, b)
	w.queue = &slowQueue{medium: b.NewQueue(), slow: slow}
	w.local.Attach(w.unit, func(uint32) blk.Queue { return w.queue })
	w.units = lun.NewMap(sam.Path{TargetName: testTarget, PortalGroupTag: 1, RelativePort: 1}, []lun.Entry{{Unit: w.unit}}, lun.NewAbsent(1))
}

// slowQueue holds requests until somebody finishes them.
type slowQueue struct {
	medium  blk.Queue
	slow    bool
	held    bool // nothing finishes by itself
	waiting []*blk.Request
	// fail, when set, says how a request ends instead of being carried out.
	fail func(*blk.Request) blk.Result
}

func (q *slowQueue) Submit(batch, done []*blk.Request) []*blk.Request {
	if q.slow || q.fail != nil {
		q.waiting = append(q.waiting, batch...)
		return done
	}
	return q.medium.Submit(batch, done)
}

func (q *slowQueue) Complete(slot uint32, _ int32, done []*blk.Request) []*blk.Request {
	r := q.waiting[slot]
	q.waiting = append(q.waiting[:slot], q.waiting[slot+1:]...)
	if q.fail != nil {
		if result := q.fail(r); result != blk.OK {
			r.Result = result
			return append(done, r)
		}
	}
	return q.medium.Submit([]*blk.Request{r}, done)
}

func (q *slowQueue) Running() int { return len(q.waiting) }

// testSource is where connections of a world come from.
var testSource = netip.MustParseAddr("192.0.2.77")

// Access implements login.Directory.
func (w *world) Access(q login.Query) login.Access {
	switch {
	case w.access != nil:
		return w.access(q)
	case q.Target != testTarget && !(q.Discovery && q.Target == ""):
		return login.Access{Status: pdu.LoginNotFound}
	}
	return login.Access{}
}

// SendTargets implements session.Targets.
func (w *world) SendTargets(dst []byte, _, _ string) []byte {
	if w.records != "" {
		return append(dst, w.records...)
	}
	return append(dst, "TargetName="+testTarget+"\x00"...)
}

// Admit, Ended and ColdReset implement Keeper.
func (w *world) Admit(a Application) { w.logins = append(w.logins, a) }

func (w *world) Ended(_ Handle, _ login.Identity, _ bool, units *lun.Map) {
	w.ended++
	w.last = units
}

func (w *world) LoginOver(id login.Identity, s pdu.LoginStatus) int64 {
	if w.over == nil {
		return 0
	}
	return w.over(id, s)
}
func (w *world) Through(netip.Addr) { w.through++ }
func (w *world) ColdReset(string)   { w.cold = true }

// A world has one connection in each session, so nobody asks for others.
func (w *world) Send(int, Message) { w.Error("a message to another reactor") }
func (w *world) Cleared(uint32)    { w.Error("a fence") }
func (w *world) Fence(_ Handle, owner uint64, _ Hold) {
	if w.fences = append(w.fences, owner); !w.joint {
		w.Error("a fence")
	}
}

func (w *world) Passed(_ Handle, token uint32) {
	if w.passed = append(w.passed, token); token == 0 {
		w.Error("a fence that nobody put up was passed")
	}
}

func (w *world) Logout(Handle, uint64, pdu.CID, pdu.LogoutReason) {
	w.Error("a logout of another connection")
}

func (w *world) Parked(Handle, bool) {
	if w.parked++; !w.joint {
		w.Error("a connection whose commands wait")
	}
}
func (w *world) EndSession(Handle)             {}
func (w *world) Recovered(Handle)              { w.Error("a logout for recovery") }
func (w *world) Seek(Handle, uint64, Seek)     { w.Error("a search") }
func (w *world) Found(Handle, uint32, Finding) { w.Error("the end of a search") }

// turn is one turn of a reactor, as the engine's.
func (w *world) turn() {
	w.Helper()
	done, err := w.loop.Turn()
	w.must(err)
	w.busy = len(done) > 0
	for i := range done {
		switch x := done[i]; x.Token.Kind() {
		case kindAcceptTest:
			if x.Result < 0 || !w.stack.Accept(x.Result, "192.0.2.1:3260", testSource, w.portal) {
				w.Fatalf("connection not accepted: %d", x.Result)
			}
		default:
			w.stack.Complete(x)
		}
	}
	w.busy = w.busy || len(w.stack.postponed) > 0
	w.stack.Resume()
	if n := len(w.queue.waiting); n > 0 && !w.queue.held {
		w.busy = true
		w.local.Complete(uint32(w.rand.IntN(n)), 0)
	}
	for range 1000 {
		worked := w.local.Flush()
		for _, e := range w.local.Events() {
			worked = true
			w.stack.Event(e)
		}
		worked = w.stack.Flush() || worked
		if !worked && !w.local.Pending() {
			break
		}
		w.busy = true
	}
	if w.cold {
		w.cold, w.busy = false, true
		w.closeAll()
	}
	fences, logins := w.fences, w.logins
	w.fences, w.logins = nil, nil
	for _, owner := range fences {
		// There is no other connection.
		w.busy = true
		w.stack.Fenced(owner, 0)
	}
	for _, a := range logins {
		w.busy = true
		w.nexus++
		x := Admission{TSIH: pdu.TSIH(w.nexus), Nexus: w.nexus, Units: w.units}
		if w.joint || session.Shares(a.Params) {
			x.Order = order.New(a.First, w.stack.limits.Session.Window, true)
		}
		w.stack.Admitted(a.Conn, x)
	}
}

// settle runs turns until nothing happens any more.
func (w *world) settle() {
	w.Helper()
	for idle, n := 0, 0; idle < 3; n++ {
		if n == 200_000 {
			w.Fatal("the reactor never comes to rest")
		}
		w.turn()
		if w.busy {
			idle = 0
		} else {
			idle++
		}
	}
}

// pass lets time go by, in steps, so that timers fall due one after another.
func (w *world) pass(nanos int64) {
	w.Helper()
	for range 20 {
		w.ring.Advance(nanos / 20)
		w.settle()
	}
}

// closeAll ends every connection, as the engine does.
func (w *world) closeAll() {
	for i, c := range w.stack.conns {
		w.stack.Close(Handle{Index: i, Generation: c.generation & 0xffffff}, false)
	}
}

// checkEnd ends every connection and looks whether anything was kept.
func (w *world) checkEnd() {
	w.Helper()
	w.queue.held = false
	w.closeAll()
	w.settle()
	if n := w.stack.Live(); n != 0 {
		w.Errorf("%d connections are left", n)
	}
	if w.unasked.Free() != w.unasked.Bytes() || w.staged.Free() != w.staged.Bytes() {
		w.Errorf("memory is missing: unasked %d, staged %d bytes", w.unasked.Bytes()-w.unasked.Free(), w.staged.Bytes()-w.staged.Free())
	}
	if n := w.unit.Tasks(0); n != 0 {
		w.Errorf("the task set holds %d commands", n)
	}
	if n := w.ring.OpenFDs(); n != 1 {
		w.Errorf("%d descriptors are open besides the listener", n-1)
	}
	if n := w.ring.FreeBuffers(); n != 8 {
		w.Errorf("%d of 8 receive buffers are free", n)
	}
	if s := w.stack.stats; s.Quarantined != 0 {
		w.Errorf("quarantined: %d", s.Quarantined)
	}
}
