package session

import (
	"fmt"

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
	out     []string
	dropped bool
	// gone: data that was sent is not there to be sent again.
	gone bool
	// noisy sets every reserved bit of the requests; faults are what is wrong with
	// what was said, whoever listens.
	noisy  bool
	faults []string
	spoken map[pdu.Opcode]bool
	// numbered are the CmdSNs of the requests that were numbered and not answered.
	numbered map[pdu.ITT]serial.CmdSN
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
	return &play{
		c: NewConn(Start{
			Identity: login.Identity{Initiator: "iqn.2026-11.test:a", Target: "iqn.2026-11.lunar:default", Discovery: s.discovery, CID: 1},
			Params:   s.params, Limits: Limits{Window: s.window, Immediate: s.immediate},
			CmdSN: serial.Cmd(s.cmdSN), StatSN: serial.Stat(s.statSN), Targets: records(s.records),
		}),
		devices: map[pdu.ITT]device{}, held: map[pdu.ITT]bool{},
		spoken: map[pdu.Opcode]bool{}, numbered: map[pdu.ITT]serial.CmdSN{},
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
	before := p.c.Live()
	d := p.c.Header(h, ahs)
	if p.c.Live() > before {
		// The tag may have been that of a request that was refused.
		delete(p.numbered, h.ITT())
		if !h.Immediate() {
			p.numbered[h.ITT()] = pdu.Request{Header: h}.CmdSN()
		}
	}
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
		t := p.c.NextReady()
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
		if p.c.RunLogout(t) != LogoutHere {
			p.respond(t)
			return
		}
		p.delayed = nil
		for i := range p.c.Tasks() {
			if o := p.c.Task(uint32(i)); o != t && o.Kind != KindFree {
				p.end(o)
			}
		}
		p.respond(t)
	case KindFree:
		panic("a free task was delivered")
	}
}

func (p *play) manage(t *Task) {
	if p.c.MustWait(t) {
		p.delayed = append(p.delayed, t)
		return
	}
	step, ref := p.c.RunManage(t)
	switch step {
	case ManageTask:
		p.end(ref)
	case ManageUnit, ManageTarget:
		for i := range p.c.Tasks() {
			o := p.c.Task(uint32(i))
			// CLEAR ACA ends only what its unit let in during one (SAM-5 §7.4).
			spared := t.Function == sam.ClearACA && o.Attribute != sam.ACA
			if o.Kind == KindSCSI && (o.LUN == t.LUN || step == ManageTarget) && o.Phase != Waiting && !spared {
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
		p.c.StopWaiting(t, false)
	}
	for i, q := range p.queue {
		if q == t {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			break
		}
	}
	p.c.Release(t)
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
	for p.c.Resending() && p.again() {
	}
	for p.mayAnswer() {
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
		if !p.mayAnswer() {
			p.queue = append(p.queue, t)
			continue
		}
		p.emit(t)
	}
	if p.c.LoggedOut() {
		p.out = append(p.out, "close")
		p.dropped = true
	}
}

func (p *play) mayAnswer() bool { return p.c.kept == nil || !p.c.Full() }

// again says the next PDU that a SNACK asks for.
func (p *play) again() bool {
	var h pdu.Header
	a, ok := p.c.EmitAgain(&h, make([]byte, MaxInlineBytes))
	switch {
	case !ok:
		return false
	case a.Lost, p.gone && (a.Rewind || a.Bytes > 0):
		if t := p.c.Unserved(); t != nil {
			p.progress(t)
		}
	case a.Rewind:
		p.c.Rewind(a.Task)
		p.queue = append(p.queue, a.Task)
	case a.Bytes > 0:
		p.said(&h, make([]byte, a.Bytes))
	case len(a.Inline) > 0:
		p.said(&h, a.Inline)
	default:
		p.said(&h, a.Text)
	}
	return true
}

// wait is one tick.
func (p *play) wait(quiet bool) {
	for i := range p.c.Tasks() {
		if t := p.c.Task(uint32(i)); p.c.Late(t, quiet) {
			p.progress(t)
		}
	}
	p.pump()
}

func (p *play) emit(t *Task) {
	var h pdu.Header
	params := &p.c.Params
	for t.Phase == Running && !t.Failed() && t.Out.MayAsk(params.MaxOutstandingR2T) {
		p.c.EmitR2T(t, &h, t.Out.Within(min(t.Out.Total-t.Out.Asked(), params.MaxBurstLength)))
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
