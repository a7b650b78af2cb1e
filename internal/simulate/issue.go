package simulate

import (
	"lunar/iscsi/pdu"
)

// do carries out an operation. It is false when it has to wait.
func (h *host) do(op *Op) bool {
	w := h.w
	switch op.Kind {
	case Jump:
		w.jump(op.N)
		return true
	case DiskError:
		w.disks[op.Unit].broken += 1 + op.N%2
		return true
	case Reinstate:
		h.begin(true)
		return true
	case Cut:
		h.cut(op)
		return true
	default:
	}
	links := h.usable()
	if h.over || len(links) == 0 {
		return false
	}
	l := links[op.Conn%len(links)]
	function := op.Kind >= AbortTask && op.Kind <= ResetCold
	switch {
	case op.Now == 0 && !h.sn.AtMost(h.last), op.Kind <= Unmap && len(h.open) >= w.plan.Settings.Depth:
		return false
	case op.Now != 0 && (function && l.functions > 0 || !function && l.immediate > 0), op.Kind == Text && l.texting:
		return false
	}
	h.issue(op, l)
	return true
}

// issue makes the task of an operation and sends it.
func (h *host) issue(op *Op, l *link) {
	w := h.w
	own := *op // what comes of it may differ
	op = &own
	t := &task{op: op, host: h, epoch: h.epoch, tag: pdu.ITT(len(h.tasks) + 1), sn: h.sn, issued: w.now(), sentAt: w.clock()}
	switch {
	case op.Kind <= Unmap:
		t.prepare()
	case op.Kind == Ping:
		t.text = []byte("anyone there")[:op.N%13]
	case op.Kind == Text:
		t.recv = []int{512, 1000, 4096, 65536}[op.N%4]
	case op.Kind <= ResetCold:
		if !t.cover(l) {
			return
		}
		l = t.link
	case op.Kind == LogoutSession:
		h.over, h.shaken = true, true
	default:
		links := h.usable()
		t.removes = h.w.parks() && op.N%2 == 0
		t.closes = links[(op.Conn+op.N)%len(links)]
		t.closes.excuse = "logged out"
		h.logouts[t.closes.cid-1]++
		t.closes.asked++
		h.shaken = true
		h.attend() // the units tell it before the connection ends
	}
	h.send(t, l)
}

// send gives a task its place among those of the session, and sends it.
func (h *host) send(t *task, l *link) {
	op := t.op
	for _, o := range h.w.hosts {
		t.mayVanish = t.mayVanish || o != h && t.scsi() && (o.clearing > 0 || o.clears > h.w.step)
	}
	for _, f := range h.open {
		// An immediate command has the number of a function in front of it, so that
		// nothing tells which is first once the function had to wait.
		t.mayVanish = t.mayVanish || op.Now != 0 && t.scsi() && f.op.Kind > AbortTask && f.op.Kind <= ResetCold && f.concerns(op.Unit)
	}
	h.tasks, h.open = append(h.tasks, t), append(h.open, t)
	if op.Now == 0 {
		h.sn = h.sn.Next()
	}
	if op.Now != 0 {
		l.hold(t)
	}
	h.transmit(t, l, op.Fault)
}

// transmit sends the request of a task over a connection, for the first time or again.
func (h *host) transmit(t *task, l *link, fault int) {
	t.link, t.mute, t.dropped = l, false, false
	t.requested = h.w.clock()
	clear(t.intact)
	var p pdu.Header
	p.SetFlags(pdu.FlagFinal)
	p.SetITT(t.tag)
	var data []byte
	switch k := t.op.Kind; {
	case k <= Unmap:
		data = t.command(&p, l)
	case k == Ping:
		p.SetOpcode(pdu.OpNOPOut)
		pdu.AsNOPOut(&p).SetTTT(pdu.NoTag)
		data = t.text
	case k == Text:
		l.texting = true
		data = t.renegotiation(&p)
	case k <= ResetCold:
		t.request(&p)
	case k == Reassign:
		t.reassignment(&p)
	default:
		t.logout(&p, l)
	}
	if t.op.Now != 0 {
		p.SetImmediate()
	}
	pdu.Request{Header: &p}.SetCmdSN(t.sn)
	switch fault {
	case flipData:
		if !l.data || len(data) == 0 || t.op.Kind > Unmap {
			fault = 0 // perhaps a Data-Out is damaged
		} else {
			t.flipped, t.damaged, t.hurt = true, true, true
		}
	case repeat:
		if t.op.Now != 0 || !p.Final() {
			fault = 0 // data that follows would be of either
		}
	}
	switch {
	case t.op.Now == 0 && t.op.Kind <= ResetCold && l.phase == full && h.w.loses():
		h.w.say("   %s is lost", t)
		t.dropped, t.damaged = true, true
		return
	case fault != flipData:
		t.sent(0, len(data))
	}
	l.send(&p, data, fault)
	switch {
	case t.op.Kind == LogoutSession:
		l.phase = leaving
	case t.op.Kind == LogoutConn && t.closes.phase == full:
		t.closes.phase = leaving
	}
}

// hold counts an immediate request of a connection, release its end.
func (l *link) hold(t *task) {
	if t.function() != 0 {
		l.functions++
	} else {
		l.immediate++
	}
}

func (l *link) release(t *task) {
	if t.function() != 0 {
		l.functions--
	} else {
		l.immediate--
	}
}
