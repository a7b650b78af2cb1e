package simulate

import (
	"encoding/binary"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// What is here writes the commands of an initiator and their data.

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
