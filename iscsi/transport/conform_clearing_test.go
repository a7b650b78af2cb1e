package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// scene is a session in the middle of everything that appendix F lists: a write with
// an R2T open of which one PDU came and half of another (incomplete TTT, data,
// DataSN, partial PDU), an immediate and a numbered read on the medium, and a read
// behind a gap in CmdSN.
type scene struct {
	w        *world
	c, other *client
	write    pdu.ITT
	ttt      pdu.TTT
	missing  uint32
	before   numbers
	rest     []byte // of the partial PDU
}

func newScene(t *testing.T, partial bool) *scene {
	w := newWorld(t, options{slow: true})
	s := &scene{w: w, c: w.login("InitialR2T=Yes", "ImmediateData=No"), other: w.login()}
	c := s.c
	s.write = c.write10(100, 32, nil, true)
	r2t := c.one(pdu.OpR2T)
	s.ttt = pdu.AsR2T(&r2t.h).TTT()
	w.queue.held = true
	h := c.request(pdu.OpSCSICommand, true)
	h.SetFlags(pdu.FlagFinal | pdu.CommandRead)
	pdu.AsSCSICommand(h).SetEDTL(512)
	copy(pdu.AsSCSICommand(h).CDB()[:], cdb10(0x28, 0, 1))
	c.send(h, nil)
	c.read10(8, 8)
	s.missing = c.gap()
	c.read10(16, 8)
	c.dataOut(s.write, s.ttt, 0, 0, ones(4096), false)
	if partial {
		wire := c.wire(dataOutHeader(s.write, s.ttt, 1, 4096, false), ones(4096))
		c.peer.Write(wire[:1000])
		s.rest = wire[1000:]
	}
	if a := c.answers(); len(a) != 0 {
		t.Fatalf("answers %s", names(a))
	}
	s.before = *c.numbers
	if w.unit.Tasks(0) != 3 || w.stack.conns[0].sess.Live() != 4 {
		t.Fatalf("%d tasks begun, %d live", w.unit.Tasks(0), w.stack.conns[0].sess.Live())
	}
	return s
}

func ones(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 1
	}
	return b
}

// event is a row of the table. Its cells stand in the order of the standard: IT IC CT
// ST PP, DC DD SS CS DS; "-" does not apply.
type event struct {
	name    string
	cells   string
	partial bool
	happens func(s *scene)
	// answer is what the session that caused the event hears.
	answer pdu.Opcode
}

// events are the rows that exist at level 0 with one connection. A connection that
// fails is a session that fails, and nothing of it is retained (DEVIATION [D-21]), so
// it has the row of session timeout.
var events = []event{
	{"connection and session failure", "YYYYY YYYY-", true, func(s *scene) { s.c.peer.Reset() }, 0},
	{"session timeout", "YYYYY YYYY-", true, func(s *scene) {
		s.w.pass(s.w.stack.limits.PingNanos + s.w.stack.limits.AbortNanos)
		s.other.pong()
		s.w.pass(s.w.stack.limits.PingNanos + s.w.stack.limits.AbortNanos)
		s.other.pong()
	}, 0},
	{"session closure", "YYYY- YYYY-", false, func(s *scene) { s.c.logoutFor(pdu.CloseSession, 0, true) }, pdu.OpLogoutResp},
	{"connection close logout", "YYYY- YYYY-", false, func(s *scene) { s.c.logoutFor(pdu.CloseConnection, 0, true) }, pdu.OpLogoutResp},
	{"TARGET COLD RESET", "YYYYY YYYY-", true, func(s *scene) { s.reset(sam.TargetColdReset) }, pdu.OpTaskResponse},
	// DEVIATION [D-22]: commands that wait for a gap have reached no unit, and stay.
	{"TARGET WARM RESET", "YYYYY NYNN-", true, func(s *scene) { s.reset(sam.TargetWarmReset) }, pdu.OpTaskResponse},
	{"LU RESET", "YYYYY NYNNN", true, func(s *scene) { s.reset(sam.LogicalUnitReset) }, pdu.OpTaskResponse},
}

func (s *scene) reset(f sam.Function) { s.other.manage(f, pdu.NoTag, 0) }

// pong answers our ping.
func (c *client) pong() {
	for _, a := range c.answers() {
		if p := pdu.AsNOPIn(&a.h); a.h.Opcode() == pdu.OpNOPIn && p.TTT() != pdu.NoTag {
			h := c.request(pdu.OpNOPOut, true)
			h.SetITT(pdu.NoTag)
			pdu.AsNOPOut(h).SetTTT(p.TTT())
			c.send(h, nil)
		}
	}
	c.w.settle()
}

// TestClearing_Table is the table of RFC 3720 appendix F.1.
func TestClearing_Table(t *testing.T) {
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			conform.Covers(t, "R-F.1-1")
			conform.Trap(t, 40)
			s := newScene(t, e.partial)
			e.happens(s)
			s.w.settle()
			// What the unit and the medium have of the session is awaited, no more.
			s.w.queue.held = false
			if s.rest != nil && !s.c.peer.Ended() {
				s.c.peer.Write(s.rest)
			}
			s.w.settle()
			s.w.pass(2 * s.w.stack.limits.AbortNanos)
			if e.cells[8] == 'Y' {
				s.ended(t, &e)
			} else {
				s.goesOn(t, &e)
			}
			// IC, CT, ST and DD: no task is left, and nothing of the write was carried out.
			if s.w.unit.Tasks(0) != 0 || string(s.w.medium[100*512:132*512]) != string(make([]byte, 32*512)) {
				t.Errorf("%d tasks are left, or their data was written", s.w.unit.Tasks(0))
			}
			if s.w.staged.Free() != s.w.staged.Bytes() || s.w.unasked.Free() != s.w.unasked.Bytes() {
				t.Error("data of the session is kept")
			}
		})
	}
}

// ended checks the cells of an event that ends the session: all of it is gone, and
// the numbers of the next one are new.
func (s *scene) ended(t *testing.T, e *event) {
	t.Helper()
	if e.cells[:4] != "YYYY" || e.cells[6:10] != "YYYY" {
		t.Fatal("the row says otherwise")
	}
	a := s.c.answers()
	if e.answer == pdu.OpLogoutResp && (len(a) != 1 || a[0].h.Opcode() != pdu.OpLogoutResp) ||
		e.answer == 0 && len(dataIn(a)) != 0 || !s.c.peer.Ended() {
		t.Errorf("answers %s, ended %v", names(a), s.c.peer.Ended())
	}
	next := s.w.dial()
	next.cmdSN = 4711
	next.send(next.loginRequest())
	r := next.one(pdu.OpLoginResp)
	p := pdu.AsLoginResponse(&r.h)
	if p.Status() != pdu.LoginSuccess || p.StatSN() != s.w.portal.Login.StatSN || p.ExpCmdSN() != serial.Cmd(4711) {
		t.Errorf("status %04x, StatSN %v, ExpCmdSN %v", uint16(p.Status()), p.StatSN(), p.ExpCmdSN())
	}
	next.attention()
	next.check(0, s.w.medium[:512])
}

// goesOn checks the cells of an event that leaves the session alive: its tasks end
// without an answer, its tags are stale, and its numbers go on.
func (s *scene) goesOn(t *testing.T, e *event) {
	t.Helper()
	if e.cells[:10] != "YYYYY NYNN" {
		t.Fatal("the row says otherwise")
	}
	if a := s.other.one(e.answer); pdu.AsTaskResponse(&a.h).Result() != pdu.FunctionComplete {
		t.Error("result", pdu.AsTaskResponse(&a.h).Result())
	}
	// IT: data for the old tag is thrown away without a word. SS: nothing consumed a
	// StatSN. CS: the gap is where it was.
	s.c.answers() // at most word of the window
	s.c.dataOut(s.write, s.ttt, 2, 8192, ones(8192), true)
	if a := s.c.answers(); len(a) != 0 {
		t.Fatalf("late data is answered: %s", names(a))
	}
	p := pdu.AsNOPIn(&s.c.ping().h)
	if p.StatSN() != s.before.stat || p.ExpCmdSN() != serial.Cmd(s.missing) {
		t.Errorf("StatSN %v after %v, ExpCmdSN %v, missing %d", p.StatSN(), s.before.stat, p.ExpCmdSN(), s.missing)
	}
	// DC: the command behind the gap starts when the gap is closed.
	late := s.c.cmdSN
	s.c.cmdSN = s.missing
	s.c.command(make([]byte, 6), pdu.FlagFinal, 0, nil) // takes the unit attention
	s.c.cmdSN = late
	if a := s.c.answers(); len(dataIn(a)) != 8*512 {
		t.Errorf("answers %s behind the gap", names(a))
	}
}

// A leading login makes its numbers, and takes what was agreed to from nowhere else:
// not from the session before it, and not from a target that was switched off.
func TestClearing_LoginAndPowerCycle(t *testing.T) {
	conform.Covers(t, "R-F.1-1", "R-3.2.7-1", "R-F.2-1")
	conform.Trap(t, 40)
	w := newWorld(t, options{})
	c := w.login("MaxRecvDataSegmentLength=512", "MaxBurstLength=512", "FirstBurstLength=512")
	c.write10(0, 1, ones(512), true)
	c.answers()
	segment := func(c *client) (int, uint16) {
		attention := c.attention()
		c.read10(8, 8)
		return len(c.answers()[0].data), attention
	}
	if n, _ := segment(c); n != 512 {
		t.Fatalf("segments of %d bytes", n)
	}
	c.logout()
	c.one(pdu.OpLogoutResp)
	if n, a := segment(w.again()); n != 4096 || a != 0 {
		t.Errorf("another session: segments of %d bytes, attention %04x", n, a)
	}
	if n, a := segment(newWorld(t, options{}).again()); n != 4096 || a != 0x2900 {
		t.Errorf("after a power cycle: segments of %d bytes, attention %04x", n, a)
	}
}
