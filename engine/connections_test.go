package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// together is one session of several connections, numbered over all of them.
type together struct {
	t     *testing.T
	e     *Engine
	conns []*raw
	tsih  pdu.TSIH
	cmdSN uint32
	itt   uint32
}

// joined opens a session of n connections with the default target.
func joined(t *testing.T, e *Engine, n int, keys ...string) *together {
	t.Helper()
	s := &together{t: t, e: e, cmdSN: 123}
	lead := dialRaw(t, e, 0)
	if !slices.Contains(keys, "MaxConnections=1") {
		keys = append(keys, "MaxConnections=8")
	}
	l := lead.login(0, append([]string{"TargetName=" + DefaultTarget, "InitialR2T=No"}, keys...)...)
	if l.Status() != pdu.LoginSuccess {
		t.Fatalf("leading login: %v", l.Status())
	}
	s.tsih, s.conns = l.TSIH(), []*raw{lead}
	for len(s.conns) < n {
		s.join(pdu.CID(len(s.conns)))
	}
	s.pass(s.conns[0])
	return s
}

// join adds a connection.
func (s *together) join(cid pdu.CID) *raw {
	s.t.Helper()
	r := dialRaw(s.t, s.e, 0)
	r.cid, r.cmdSN = cid, s.cmdSN
	l := r.login(s.tsih, "TargetName="+DefaultTarget)
	if l.Status() != pdu.LoginSuccess || l.TSIH() != s.tsih {
		s.t.Fatalf("connection %d: %v, TSIH %d of %d", cid, l.Status(), l.TSIH(), s.tsih)
	}
	s.conns = append(s.conns, r)
	return r
}

// pass hears the unit attention of a new nexus.
func (s *together) pass(r *raw) {
	s.t.Helper()
	h := s.command(sam.Simple, make([]byte, 6), 0, 0)
	r.send(h, nil)
	r.answered(h, sam.CheckCondition)
}

// number gives a request the next tag and CmdSN of the session.
func (s *together) number(h *pdu.Header) *pdu.Header {
	s.itt++
	h.SetITT(pdu.ITT(s.itt))
	pdu.Request{Header: h}.SetCmdSN(serial.Cmd(s.cmdSN))
	if !h.Immediate() {
		s.cmdSN++
	}
	return h
}

// command is a numbered SCSI command that writes out bytes or reads in bytes.
func (s *together) command(a sam.Attribute, cdb []byte, out, in uint32) *pdu.Header {
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpSCSICommand)
	c := pdu.AsSCSICommand(h)
	flags := pdu.FlagFinal | byte(a)
	switch {
	case out > 0:
		flags |= pdu.CommandWrite
		c.SetEDTL(out)
	case in > 0:
		flags |= pdu.CommandRead
		c.SetEDTL(in)
	}
	h.SetFlags(flags)
	copy(c.CDB()[:], cdb)
	return s.number(h)
}

func (s *together) write(a sam.Attribute, lba byte) *pdu.Header {
	return s.command(a, []byte{0x2a, 0, 0, 0, 0, lba, 0, 0, 1}, 512, 0)
}

func (s *together) read(a sam.Attribute, lba byte) *pdu.Header {
	return s.command(a, []byte{0x28, 0, 0, 0, 0, lba, 0, 0, 1}, 0, 512)
}

// stamp is a block that says who wrote it.
func stamp(n uint32) []byte {
	b := make([]byte, 512)
	binary.BigEndian.PutUint32(b, n)
	return b
}

// answered waits for the status of a command and returns its data.
func (r *raw) answered(h *pdu.Header, want sam.Status) (data []byte) {
	r.t.Helper()
	for {
		p, err := r.conn.Receive()
		if err != nil {
			r.t.Fatalf("connection %v: no answer to %x: %v", r, uint32(h.ITT()), err)
		}
		status, done := sam.Good, false
		switch p.Header.Opcode() {
		case pdu.OpDataIn:
			d := pdu.AsDataIn(&p.Header)
			data = append(data, p.Data...)
			done = p.Header.Flags()&pdu.DataStatus != 0
			status = d.Status()
		case pdu.OpSCSIResponse:
			done, status = true, pdu.AsSCSIResponse(&p.Header).Status()
		case pdu.OpNOPIn:
			continue
		default:
			r.t.Fatalf("connection %v: %v", r, p.Header.Opcode())
		}
		if done {
			if p.Header.ITT() != h.ITT() || status != want {
				r.t.Fatalf("connection %v: status %02x of %x, want %02x of %x", r, status, uint32(p.Header.ITT()), want, uint32(h.ITT()))
			}
			return data
		}
	}
}

// Commands run in the order of their numbers whichever connections they come over: what
// came too early waits.
func TestConnections_OneOrder(t *testing.T) {
	conform.Covers(t, "R-3.2.1-3", "R-3.2.2.1-5", "R-3.2.4.1-1", "R-3.2.4.1-3")
	conform.Trap(t, 34)
	for _, reactors := range []int{1, 2, 3} {
		e := oneUnit(t, reactors)
		s := joined(t, e, 4)
		last := s.write(sam.Simple, 0)
		for lap := uint32(0); lap < 50; lap++ {
			// Four numbers, sent backwards over four connections: write, read, write, read
			// of one block, each behind the one before (ORDERED).
			hs := []*pdu.Header{last, s.read(sam.Ordered, 0), s.write(sam.Ordered, 0), s.read(sam.Simple, 0)}
			data := [][]byte{stamp(2 * lap), nil, stamp(2*lap + 1), nil}
			turn := rand.New(rand.NewPCG(uint64(lap), uint64(reactors))).Perm(4)
			for i := range slices.Backward(hs) {
				s.conns[turn[i]].send(hs[i], data[i])
			}
			for i, h := range hs {
				got := s.conns[turn[i]].answered(h, sam.Good)
				if i%2 == 1 && !slices.Equal(got, stamp(2*lap+uint32(i/2))) {
					t.Fatalf("%d reactors, lap %d: read %d returned %x", reactors, lap, i, got[:8])
				}
			}
			last = s.write(sam.Ordered, 0)
		}
		s.conns[0].send(last, stamp(0))
		s.conns[0].answered(last, sam.Good)
	}
}

// A connection that ends takes its own commands along; the numbers it left undelivered
// come again over another one, and the session goes on.
func TestConnections_OneDies_NumbersComeAgain(t *testing.T) {
	conform.Covers(t, "R-10.14-5", "R-7.1.2-2")
	conform.Trap(t, 34)
	e := oneUnit(t, 3)
	s := joined(t, e, 3)
	missing := s.write(sam.Simple, 1)
	behind := s.write(sam.Simple, 2)
	lost := s.conns[2]
	lost.send(behind, stamp(7))
	ping := s.ping(lost)
	lost.send(ping, nil)
	lost.receive(pdu.OpNOPIn) // so the write was received
	_ = lost.conn.Close()
	eventuallyEnds(t, e, 2)
	// The number it brought is expected again, behind the missing one.
	again := s.conns[1]
	behind.SetITT(999)
	again.send(behind, stamp(8))
	s.conns[0].send(missing, stamp(9))
	s.conns[0].answered(missing, sam.Good)
	again.answered(behind, sam.Good)
	h := s.read(sam.Simple, 2)
	s.conns[0].send(h, nil)
	if got := s.conns[0].answered(h, sam.Good); !slices.Equal(got, stamp(8)) {
		t.Errorf("block 2 holds %x", got[:8])
	}
	// Its identifier may be used again at once.
	s.join(2)
	h = s.read(sam.Simple, 2)
	s.conns[3].send(h, nil)
	s.conns[3].answered(h, sam.Good)
}

// What is no SCSI command gives its number back in the same way.
func TestConnections_OneDies_NumbersOfPingsComeAgain(t *testing.T) {
	conform.Covers(t, "R-10.14-5")
	e := oneUnit(t, 3)
	s := joined(t, e, 3)
	missing := s.write(sam.Simple, 1)
	behind := s.number(s.conns[2].request(pdu.OpNOPOut))
	lost := s.conns[2]
	lost.send(behind, nil)
	ping := s.ping(lost)
	lost.send(ping, nil)
	lost.receive(pdu.OpNOPIn) // so what came before it was received
	_ = lost.conn.Close()
	eventuallyEnds(t, e, 2)
	again := s.conns[1]
	again.send(behind, nil)
	s.conns[0].send(missing, stamp(9))
	s.conns[0].answered(missing, sam.Good)
	if got := again.receive(pdu.OpNOPIn).Header.ITT(); got != behind.ITT() {
		t.Errorf("a ping with tag %x is answered, want %x", got, behind.ITT())
	}
}

// ping is an immediate NOP-Out that is answered.
func (s *together) ping(*raw) *pdu.Header {
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
	return s.number(h)
}

// eventuallyEnds waits until so many connections are left.
func eventuallyEnds(t *testing.T, e *Engine, left int) {
	t.Helper()
	if !e.eventually(func() bool { return len(mustStatus(t, e).Sessions) == left }) {
		t.Fatalf("%d connections are left", len(mustStatus(t, e).Sessions))
	}
}

func mustStatus(t *testing.T, e *Engine) *Status {
	t.Helper()
	s, err := e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A format error ends every connection of the session (RFC 3720 §6.6).
func TestConnections_FormatError(t *testing.T) {
	conform.Covers(t, "R-6.6-1")
	for _, keys := range [][]string{nil, {level2}} {
		e := oneUnit(t, 3)
		s := joined(t, e, 3, keys...)
		h := s.write(sam.Simple, 0)
		h.SetFlags(pdu.FlagFinal | pdu.CommandWrite)
		h[4] = 1 // an additional header segment
		wrong := make([]byte, 4)
		wrong[1] = 200 // longer than all of them
		if err := s.conns[1].conn.Send(h, wrong, nil); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.conns {
			r.closed(pdu.OpAsync)
		}
		eventuallyEnds(t, e, 0)
	}
}

// What a login may ask of a session that exists (RFC 3720 §5.3.1, §12.2).
func TestConnections_WhoMayJoin(t *testing.T) {
	conform.Trap(t, 34)
	e := oneUnit(t, 2)
	s := joined(t, e, 8)
	ask := func(tsih pdu.TSIH, cid pdu.CID, keys ...string) pdu.LoginStatus {
		r := dialRaw(t, e, 0)
		r.cid, r.cmdSN = cid, s.cmdSN
		return r.login(tsih, append([]string{"TargetName=" + DefaultTarget}, keys...)...).Status()
	}
	if got := ask(s.tsih, 8); got != pdu.LoginTooManyConnections {
		t.Errorf("the ninth of eight: %v", got)
	}
	if got := ask(s.tsih+1, 8); got != pdu.LoginNoSession {
		t.Errorf("an unknown handle: %v", got)
	}
	_ = s.conns[7].conn.Close()
	eventuallyEnds(t, e, 7)
	// What the leading login settled for all of the session is not asked again.
	if got := ask(s.tsih, 7, "MaxBurstLength=65536"); got != pdu.LoginInitiatorError {
		t.Errorf("a key of the leading login: %v", got)
	}
	if got := ask(s.tsih, 7, "HeaderDigest=CRC32C", "MaxRecvDataSegmentLength=4096"); got != pdu.LoginSuccess {
		t.Errorf("keys of the connection: %v", got)
	}
}

// A connection that logs in again under its identifier takes its own place: its
// commands end, the others' do not.
func TestConnections_Reinstatement(t *testing.T) {
	conform.Covers(t, "R-10.14-6")
	e := oneUnit(t, 3)
	s := joined(t, e, 3)
	open := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
	s.conns[1].send(open, nil) // F=1: the data is asked for
	r2t := pdu.AsR2T(&s.conns[1].receive(pdu.OpR2T).Header)
	old := s.conns[2]
	h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 6, 0, 0, 1}, 512, 0)
	old.send(h, nil)
	old.receive(pdu.OpR2T)
	s.join(2)
	old.closed(pdu.OpAsync)
	if n := len(mustStatus(t, e).Sessions); n != 3 {
		t.Errorf("%d connections", n)
	}
	s.conns[1].finish(r2t, 11)
	s.conns[1].answered(open, sam.Good)
}

// finish sends the data that an R2T asked for: one block.
func (r *raw) finish(r2t pdu.R2T, n uint32) {
	r.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpDataOut)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(r2t.Header.ITT())
	h.SetLUN(r2t.Header.LUN())
	pdu.AsDataOut(h).SetTTT(r2t.TTT())
	r.send(h, stamp(n))
}

// A logout may name another connection of the session, dead or alive, and one of the
// session closes all of them first.
func TestConnections_Logout(t *testing.T) {
	conform.Covers(t, "R-10.14-1", "R-10.14-4", "R-10.15.1-1", "R-7.1.2-2")
	conform.Trap(t, 30)
	e := oneUnit(t, 3)
	s := joined(t, e, 4)
	logout := func(r *raw, reason pdu.LogoutReason, cid pdu.CID) pdu.LogoutResult {
		return s.logout(r, reason, cid).Result()
	}
	h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 6, 0, 0, 1}, 512, 0)
	s.conns[3].send(h, nil)
	s.conns[3].receive(pdu.OpR2T)
	if got := logout(s.conns[0], pdu.CloseConnection, 3); got != pdu.LogoutDone {
		t.Errorf("of a living connection: %v", got)
	}
	s.conns[3].closed(pdu.OpAsync)
	if got := logout(s.conns[0], pdu.CloseConnection, 3); got != pdu.LogoutCIDNotFound {
		t.Errorf("of one that is logged out: %v", got)
	}
	_ = s.conns[2].conn.Close()
	eventuallyEnds(t, e, 2)
	if got := logout(s.conns[0], pdu.CloseConnection, 2); got != pdu.LogoutDone {
		t.Errorf("of a dead connection: %v", got)
	}
	if got := logout(s.conns[0], pdu.CloseConnection, 2); got != pdu.LogoutCIDNotFound {
		t.Errorf("of a dead connection again: %v", got)
	}
	if got := logout(s.conns[0], pdu.RemoveForRecovery, 1); got != pdu.LogoutRecoveryNotSupported {
		t.Errorf("for recovery: %v", got)
	}
	if got := logout(s.conns[0], pdu.CloseSession, 0); got != pdu.LogoutDone {
		t.Errorf("of the session: %v", got)
	}
	s.conns[1].closed(pdu.OpAsync)
	s.conns[0].closed(pdu.OpAsync)
	eventuallyEnds(t, e, 0)
}

// The response of a function over many tasks goes when the status sent over the other
// connections was acknowledged, which a ping asks for.
func TestConnections_FunctionWaitsForAcknowledgement(t *testing.T) {
	conform.Covers(t, "R-10.6.1-1", "R-10.6.2-1")
	conform.Trap(t, 15)
	e := oneUnit(t, 3)
	s := joined(t, e, 3)
	other := s.conns[1]
	h := s.read(sam.Simple, 0)
	other.send(h, nil)
	other.answered(h, sam.Good) // and not acknowledged
	reset := new(pdu.Header)
	reset.SetOpcode(pdu.OpTaskRequest)
	reset.SetImmediate()
	f := pdu.AsTaskRequest(reset)
	f.SetFunction(sam.LogicalUnitReset)
	f.SetReferencedTag(pdu.NoTag)
	s.conns[0].send(s.number(reset), nil)
	ping := other.receive(pdu.OpNOPIn)
	// Nothing comes before the acknowledgement: an answer to a ping overtakes.
	s.conns[0].send(s.ping(s.conns[0]), nil)
	s.conns[0].receive(pdu.OpNOPIn)
	s.acknowledge(other, ping)
	answer := s.conns[0].receive(pdu.OpTaskResponse)
	if got := pdu.AsTaskResponse(&answer.Header).Result(); got != pdu.FunctionComplete {
		t.Errorf("result %v", got)
	}
}

// acknowledge answers a ping of the target, and with it acknowledges all status.
func (s *together) acknowledge(r *raw, ping *initiator.PDU) {
	s.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(pdu.NoTag)
	h.SetLUN(ping.Header.LUN())
	pdu.AsNOPOut(h).SetTTT(pdu.AsNOPIn(&ping.Header).TTT())
	q := pdu.Request{Header: h}
	q.SetCmdSN(serial.Cmd(s.cmdSN))
	q.SetExpStatSN(pdu.Response{Header: &ping.Header}.StatSN())
	r.send(h, nil)
}

// Four connections at once, writes and reads in random runs, each number once.
func TestConnections_Stress(t *testing.T) {
	conform.Trap(t, 34)
	for _, reactors := range []int{1, 2, 3} {
		e := oneUnit(t, reactors)
		s := joined(t, e, 4)
		r := rand.New(rand.NewPCG(1, uint64(reactors)))
		for range 40 {
			n := 1 + r.IntN(24)
			sent := make([][]*pdu.Header, len(s.conns))
			for range n {
				i := r.IntN(len(s.conns))
				a := sam.Simple
				if r.IntN(5) == 0 {
					a = sam.Ordered
				}
				h, data := s.read(a, byte(r.IntN(8))), []byte(nil)
				if r.IntN(2) == 0 {
					s.cmdSN, s.itt = s.cmdSN-1, s.itt-1
					h, data = s.write(a, byte(r.IntN(8))), stamp(s.cmdSN)
				}
				s.conns[i].send(h, data)
				sent[i] = append(sent[i], h)
			}
			for i, c := range s.conns {
				c.collect(sent[i])
			}
		}
	}
}

// collect waits for the status GOOD of each of the commands, in any order.
func (r *raw) collect(sent []*pdu.Header) {
	r.t.Helper()
	left := map[pdu.ITT]bool{}
	for _, h := range sent {
		left[h.ITT()] = true
	}
	for len(left) > 0 {
		p, err := r.conn.Receive()
		if err != nil {
			r.t.Fatalf("connection %v: %v with %d commands left", r, err, len(left))
		}
		over := p.Header.Opcode() == pdu.OpSCSIResponse || p.Header.Opcode() == pdu.OpDataIn && p.Header.Flags()&pdu.DataStatus != 0
		if !over {
			continue
		}
		if !left[p.Header.ITT()] || p.Header.Opcode() == pdu.OpSCSIResponse && pdu.AsSCSIResponse(&p.Header).Status() != sam.Good {
			r.t.Fatalf("connection %v: an answer nobody waits for, or a bad one: %x", r, p.Header)
		}
		delete(left, p.Header.ITT())
	}
}

// An immediate function waits for the commands numbered before it, which come over
// other connections.
func TestConnections_FunctionWaitsForEarlierNumbers(t *testing.T) {
	conform.Covers(t, "R-10.6.2-1", "R-10.5.1-3")
	e := oneUnit(t, 3)
	s := joined(t, e, 3)
	early := s.write(sam.Simple, 1)
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpTaskRequest)
	h.SetImmediate()
	f := pdu.AsTaskRequest(h)
	f.SetFunction(sam.AbortTaskSet)
	f.SetReferencedTag(pdu.NoTag)
	h.SetLUN(sam.LUNOf(9)) // there is none, so that nothing is ended
	s.conns[0].send(s.number(h), nil)
	s.conns[0].send(s.ping(s.conns[0]), nil)
	s.conns[0].receive(pdu.OpNOPIn) // the function came, and waits
	began := time.Now()
	s.conns[1].send(early, stamp(1))
	s.conns[1].answered(early, sam.Good)
	p := s.conns[0].receive(pdu.OpTaskResponse)
	if got := pdu.AsTaskResponse(&p.Header).Result(); got != pdu.LUNDoesNotExist {
		t.Errorf("result %v", got)
	}
	if waited := time.Since(began); waited > time.Second {
		t.Errorf("it waited %v, as if the number had not come", waited)
	}
}
