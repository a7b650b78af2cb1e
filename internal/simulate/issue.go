package simulate

import (
	"encoding/binary"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
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
		t.mayVanish = t.mayVanish || o != h && t.scsi() && o.clearing > 0
	}
	for _, f := range h.open {
		// An immediate command has the number of a function in front of it, so that
		// nothing tells which is first once the function had to wait.
		t.mayVanish = t.mayVanish || op.Now != 0 && t.scsi() && f.function() > sam.AbortTask && f.concerns(op.Unit)
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

// prepare lays out what a command moves.
func (t *task) prepare() {
	w, op := t.host.w, t.op
	d := w.disks[op.Unit]
	if op.Kind == Compare {
		op.Blocks = min(op.Blocks, 8)
	}
	n := op.Blocks * blockBytes
	changes := op.Kind == Write || op.Kind == Same || op.Kind == Compare
	if changes {
		t.written = make([]bool, op.Blocks)
		w.ids = append(w.ids, t)
		t.id = uint32(len(w.ids))
	}
	switch op.Kind {
	case Read:
		t.expect, t.edtl = n, n
		if op.N%8 == 0 {
			// The initiator expects a block more, or less.
			t.edtl = max(0, n+(op.N/8%3-1)*blockBytes)
		}
	case Write:
		t.out = make([]byte, n)
		t.fillFrom(0)
	case Compare:
		t.out = make([]byte, 2*n)
		t.chooseBase(d)
		t.fillFrom(n)
	case Same:
		t.out = make([]byte, blockBytes)
		at := int32(everywhere)
		fill(t.out, t.id, int(at))
	case Unmap:
		t.out = make([]byte, 8+16)
		binary.BigEndian.PutUint16(t.out, 8+16-2)
		binary.BigEndian.PutUint16(t.out[2:], 16)
		binary.BigEndian.PutUint64(t.out[8:], uint64(op.LBA))
		binary.BigEndian.PutUint32(t.out[16:], uint32(op.Blocks))
	default:
		// The others move nothing.
	}
	if t.out != nil {
		t.edtl, t.expect = len(t.out), len(t.out)
	}
	if w.recovers() {
		t.intact = make([]bool, len(t.out))
	}
	if changes || op.Kind == Unmap {
		d.model.begin(t, t.id, op.LBA, op.Blocks, t.issued)
	}
}

func (t *task) fillFrom(offset int) {
	for i := range t.op.Blocks {
		fill(t.out[offset+i*blockBytes:][:blockBytes], t.id, t.op.LBA+i)
	}
}

// chooseBase takes as what COMPARE AND WRITE expects what was sent last.
func (t *task) chooseBase(d *disk) {
	for i := range t.op.Blocks {
		lba := t.op.LBA + i
		effects := d.model.blocks[lba]
		id := effects[len(effects)-1].id
		t.base = append(t.base, id)
		switch block := t.out[i*blockBytes:][:blockBytes]; {
		case id == 0:
		case d.w.ids[id-1].op.Kind == Same:
			fill(block, id, everywhere)
		default:
			fill(block, id, lba)
		}
	}
}

// command writes the header of a SCSI Command and returns its immediate data.
func (t *task) command(h *pdu.Header, l *link) []byte {
	op, k := t.op, &t.host.keys
	h.SetOpcode(pdu.OpSCSICommand)
	h.SetLUN(sam.LUNOf(uint16(op.Unit)))
	p := pdu.AsSCSICommand(h)
	p.SetEDTL(uint32(t.edtl))
	flags := byte(sam.Simple)
	if op.Ordered != 0 {
		flags = byte(sam.Ordered)
	}
	t.cdb(p.CDB())
	now := 0
	switch {
	case t.out != nil:
		flags |= pdu.CommandWrite
		limit := min(len(t.out), k.first)
		if k.immediate && op.Data&1 != 0 {
			now = min(limit, l.maxSend)
			if op.N%3 == 0 {
				now = 4 * (now / 8)
			}
		}
		t.asked = now
		if !k.initialR2T && op.Data&2 != 0 && now < limit {
			t.asked = limit
			t.bursts = []burst{{ttt: pdu.NoTag, offset: now, to: limit}}
			h.SetFlags(flags)
			return t.out[:now]
		}
	case t.edtl > 0:
		flags |= pdu.CommandRead
	}
	h.SetFlags(flags | pdu.FlagFinal)
	return t.out[:now]
}

// cdb writes the CDB.
func (t *task) cdb(b *[pdu.CDBFieldBytes]byte) {
	op := t.op
	fua := byte(op.FUA << 3)
	lba, blocks := uint32(op.LBA), uint16(op.Blocks)
	switch op.Kind {
	case Read:
		b[0], b[1] = 0x28, fua
	case Write:
		b[0], b[1] = 0x2a, fua
	case Sync:
		b[0] = 0x35
		return
	case Same:
		b[0] = 0x41
	case Unmap:
		b[0], b[8] = 0x42, 24
		return
	case Compare:
		b[0], b[1], b[13] = 0x89, fua, byte(blocks)
		binary.BigEndian.PutUint64(b[2:], uint64(lba))
		return
	default:
		return // TEST UNIT READY is all zeros
	}
	binary.BigEndian.PutUint32(b[2:], lba)
	binary.BigEndian.PutUint16(b[7:], blocks)
}

// sendData sends the next Data-Out of the first burst a command owes.
func (t *task) sendData() {
	w, l := t.host.w, t.link
	b := &t.bursts[0]
	current := t.current(b) && (b.ttt != pdu.NoTag || len(t.requests) == 0)
	n := min(b.to-b.offset, l.maxSend)
	if w.dice.oneIn(3) && !w.calm {
		// Only the last of a burst need not be whole words (RFC 3720 §10.7.7).
		n = min(n, (w.dice.size(n)+3)&^3)
	}
	var h pdu.Header
	h.SetOpcode(pdu.OpDataOut)
	h.SetITT(t.tag)
	h.SetLUN(sam.LUNOf(uint16(t.op.Unit)))
	p := pdu.AsDataOut(&h)
	p.SetTTT(b.ttt)
	p.SetBufferOffset(uint32(b.offset))
	p.SetDataSN(serial.Data(b.sn))
	b.sn++
	data := t.out[b.offset:][:n]
	b.offset += n
	if b.offset == b.to {
		h.SetFlags(pdu.FlagFinal)
		t.bursts = t.bursts[1:]
	}
	fault := 0
	switch {
	case t.op.Fault == flipData && l.data && !t.hurt && !w.calm:
		fault, t.hurt = flipData, true
		t.flipped, t.damaged = !w.recovers(), !w.recovers()
	case w.loses():
		w.say("   Data-Out of %s is lost", t)
		return
	case current:
		t.sent(b.offset-n, b.offset)
	}
	l.send(&h, data, fault)
}
