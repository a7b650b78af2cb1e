package session

import (
	"fmt"
	"strings"
	"testing"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// play is a connection with the smallest transport and device server that carry
// out what it decides.
type play struct {
	c *Conn
	// devices say how a command with a tag behaves; held ones go on by themselves
	// only when told.
	devices map[pdu.ITT]device
	held    map[pdu.ITT]bool
	queue   []*Task
	delayed []*Task
	logout  *Task
	out     []string
	dropped bool
}

// device is one command's behaviour.
type device struct {
	action sam.Action
	bytes  int64
	in     int64
	sense  uint16
}

// settings of a session under test.
type settings struct {
	params    login.Params
	window    uint32
	immediate uint32
	cmdSN     uint32
	statSN    uint32
	discovery bool
	records   int
}

func defaults() settings {
	p := login.DefaultParams()
	p.MaxRecv = 262144
	return settings{params: p, window: 8, immediate: 4, cmdSN: 10, statSN: 100, records: 1}
}

func newPlay(s settings) *play {
	ses := newSession(login.Identity{Initiator: "iqn.2026-11.test:a", Target: "iqn.2026-11.lunar:default", Discovery: s.discovery},
		s.params, serial.Cmd(s.cmdSN), Limits{Window: s.window, Immediate: s.immediate})
	return &play{
		c:       NewConn(ses, 1, serial.Stat(s.statSN), records(s.records)),
		devices: map[pdu.ITT]device{}, held: map[pdu.ITT]bool{},
	}
}

// records is a node with that many targets of long names.
type records int

func (n records) SendTargets(dst []byte, _, name string) []byte {
	for i := range int(n) {
		target := "iqn.2026-11.lunar:default"
		if i > 0 {
			target = fmt.Sprintf("iqn.2026-11.lunar:%0200d", i)
		}
		if name == "" || name == target {
			dst = append(dst, "TargetName="+target+"\x00TargetAddress=192.0.2.1:3260,1\x00"...)
		}
	}
	return dst
}

// take plays one PDU of the initiator.
func (p *play) take(h *pdu.Header, ahs, data []byte, intact bool) {
	if p.dropped || p.c.LoggingOut() {
		return
	}
	h.SetAHSBytes(len(ahs))
	h.SetDataBytes(len(data))
	d := p.c.Header(h, ahs)
	if d.Verdict == Drop {
		p.drop()
		return
	}
	if d.Verdict == Collect {
		d.Task.Text = append([]byte(nil), data[:d.Bytes]...)
	}
	if d.Verdict == Place && int(d.Bytes) > len(data) {
		panic("more is placed than came")
	}
	if p.c.End(intact) == Drop {
		p.drop()
		return
	}
	if d.Task != nil && d.Task.Kind == KindSCSI {
		p.progress(d.Task)
	}
	p.start()
	p.pump()
}

func (p *play) drop() {
	p.dropped = true
	p.out = append(p.out, "drop")
}

func (p *play) start() {
	for !p.c.LoggingOut() {
		t := p.c.S.NextReady()
		if t == nil {
			break
		}
		p.run(t)
	}
	waiting := p.delayed
	p.delayed = nil
	for _, t := range waiting {
		p.run(t)
	}
}

func (p *play) run(t *Task) {
	switch t.Kind {
	case KindSCSI:
		d := p.devices[t.ITT]
		t.Action, t.DataInBytes, t.DataOutBytes = d.action, 0, 0
		switch d.action {
		case sam.ReadMedium:
			t.DataInBytes = d.bytes
		case sam.WriteMedium:
			t.DataOutBytes = d.bytes
		case sam.Execute:
			t.DataInBytes, t.DataOutBytes = d.in, d.bytes
		case sam.Complete, sam.CompareMedium, 0:
			t.Action = sam.Complete
		}
		if d.sense != 0 {
			t.Fail(sam.NewSense(sam.IllegalRequest, d.sense))
		}
		p.c.Begun(t)
		p.progress(t)
	case KindManage:
		p.manage(t)
	case KindPing:
		p.respond(t)
	case KindText:
		if p.c.RunText(t) {
			p.queue = append(p.queue, t)
		}
	case KindLogout:
		if !p.c.RunLogout(t) {
			p.queue = append(p.queue, t)
			return
		}
		p.delayed = nil
		for i := range p.c.S.Tasks() {
			if o := p.c.S.Task(uint32(i)); o != t && o.Kind != KindFree {
				p.end(o)
			}
		}
		p.respond(t)
	case KindFree:
		panic("a free task was delivered")
	}
}

func (p *play) manage(t *Task) {
	if p.c.S.MustWait(t) {
		p.delayed = append(p.delayed, t)
		return
	}
	step, ref := p.c.RunManage(t)
	switch step {
	case ManageTask:
		p.end(ref)
	case ManageUnit, ManageTarget:
		for i := range p.c.S.Tasks() {
			if o := p.c.S.Task(uint32(i)); o.Kind == KindSCSI && (o.LUN == t.LUN || step == ManageTarget) && o.Phase != Waiting {
				p.end(o)
			}
		}
	case ManageDone:
	}
	p.respond(t)
	p.start()
}

// end ends a task without an answer.
func (p *play) end(t *Task) {
	if t.Phase == Waiting {
		p.c.S.StopWaiting(t)
	}
	for i, q := range p.queue {
		if q == t {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			break
		}
	}
	p.c.S.Release(t)
}

func (p *play) respond(t *Task) {
	p.c.Responded(t)
	p.queue = append(p.queue, t)
}

// progress goes on with a command as a transport does.
func (p *play) progress(t *Task) {
	switch {
	case t.Phase == Responding:
		p.queue = append(p.queue, t)
	case t.Phase != Running || t.Action == 0 || p.held[t.ITT]:
	case t.Failed(), t.Action == sam.Complete:
		p.respond(t)
	case !t.Out.Complete():
		p.queue = append(p.queue, t)
	default:
		if t.Action == sam.Execute {
			p.c.DataInReady(t)
		}
		t.Status = sam.Good
		p.respond(t)
	}
}

// pump lets everything be said that may be.
func (p *play) pump() {
	var h pdu.Header
	for {
		data, ok := p.c.EmitReject(&h)
		if !ok {
			break
		}
		p.said(&h, data)
	}
	queue := p.queue
	p.queue = nil
	for _, t := range queue {
		if t.Kind == KindFree {
			continue
		}
		p.emit(t)
	}
	if p.c.LoggedOut() {
		p.out = append(p.out, "close")
		p.dropped = true
	}
}

func (p *play) emit(t *Task) {
	var h pdu.Header
	params := &p.c.S.Params
	for t.Phase == Running && !t.Failed() && t.Out.MayAsk(params.MaxOutstandingR2T) {
		p.c.EmitR2T(t, &h, min(t.Out.Total-t.Out.Asked(), params.MaxBurstLength))
		p.said(&h, nil)
	}
	if t.Phase == Responding && t.Status == sam.Good {
		for {
			s, done, ok := p.c.EmitDataIn(t, &h, t.In.Total)
			if !ok {
				break
			}
			p.said(&h, make([]byte, s.Bytes))
			if done {
				return
			}
		}
	}
	if t.MayRespond() {
		data := p.c.EmitResponse(t, &h, make([]byte, MaxInlineBytes))
		p.said(&h, data)
	}
}

// said renders a PDU of the target: its name with its flags, then fields.
func (p *play) said(h *pdu.Header, data []byte) {
	r := pdu.Response{Header: h}
	s := fmt.Sprintf("%s itt=%d stat=%d win=%d..%d", strings.ReplaceAll(strings.ToLower(h.Opcode().String()), " ", "-"),
		int32(h.ITT()), r.StatSN().Uint32(), r.ExpCmdSN().Uint32(), r.MaxCmdSN().Uint32())
	if h.DataBytes() != len(data) {
		panic("DataSegmentLength and the data differ")
	}
	flags := ""
	for _, f := range []struct {
		bit  byte
		name string
	}{{0x80, "F"}, {0x40, "A"}, {0x10, "o"}, {0x08, "u"}, {0x04, "O"}, {0x02, "U"}, {0x01, "S"}} {
		if h.Flags()&f.bit != 0 {
			flags += f.name
		}
	}
	s += " flags=" + flags + fmt.Sprintf(" len=%d", len(data))
	switch h.Opcode() {
	case pdu.OpDataIn:
		d := pdu.AsDataIn(h)
		s += fmt.Sprintf(" dsn=%d off=%d res=%d status=%d ttt=%x", d.DataSN().Uint32(), d.BufferOffset(), d.Residual(), d.Status(), uint32(d.TTT()))
	case pdu.OpSCSIResponse:
		d := pdu.AsSCSIResponse(h)
		s += fmt.Sprintf(" status=%d res=%d bidi=%d expdsn=%d", d.Status(), d.Residual(), d.BidiResidual(), d.ExpDataSN().Uint32())
		if len(data) > 2+13 {
			s += fmt.Sprintf(" sense=%x/%02x%02x", data[2+2]&0xf, data[2+12], data[2+13])
		}
	case pdu.OpR2T:
		d := pdu.AsR2T(h)
		s += fmt.Sprintf(" r2tsn=%d off=%d want=%d ttt=%x", d.R2TSN().Uint32(), d.BufferOffset(), d.DesiredBytes(), uint32(d.TTT()))
	case pdu.OpReject:
		s += fmt.Sprintf(" reason=%d of=%x", pdu.AsReject(h).Reason(), data[0]&0x3f)
	case pdu.OpTaskResponse:
		s += fmt.Sprintf(" result=%d", pdu.AsTaskResponse(h).Result())
	case pdu.OpLogoutResp:
		s += fmt.Sprintf(" result=%d", pdu.AsLogoutResponse(h).Result())
	case pdu.OpTextResp:
		s += fmt.Sprintf(" ttt=%x text=%s", uint32(pdu.AsTextResponse(h).TTT()), strings.ReplaceAll(string(data), "\x00", ";"))
	case pdu.OpNOPIn:
		s += fmt.Sprintf(" ttt=%x", uint32(pdu.AsNOPIn(h).TTT()))
	default:
	}
	p.out = append(p.out, s)
}

// check looks at what must always hold: every place of the slab is free or live.
func (p *play) check(t *testing.T) {
	t.Helper()
	s := p.c.S
	live := 0
	for i := range s.tasks {
		if s.tasks[i].Kind != KindFree {
			live++
			if found, ok := s.Find(s.tasks[i].ITT); !ok || found != &s.tasks[i] {
				t.Fatalf("live task %d is not in the directory", i)
			}
		}
	}
	if live+len(s.free) != len(s.tasks) || live != s.Live() {
		t.Fatalf("%d live and %d free of %d tasks", live, len(s.free), len(s.tasks))
	}
	if s.functions+s.others > s.immediate || len(p.c.rejects) > maxRejects {
		t.Fatal("a limit is exceeded")
	}
	// RFC 3720 §3.2.2.1 [R-3.2.2.1-6]: never MaxCmdSN < ExpCmdSN-1.
	w := &s.window
	if w.last.Next().Less(w.exp) || w.last.Uint32()-w.exp.Uint32()+1 > uint32(len(w.early)) {
		t.Fatalf("window %v..%v", w.exp, w.last)
	}
}
