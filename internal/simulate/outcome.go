package simulate

import (
	"encoding/binary"
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// respond judges a SCSI Response (RFC 3720 §10.4).
func (t *task) respond(l *link, h *pdu.Header, data []byte) {
	w, p := t.host.w, pdu.AsSCSIResponse(h)
	want := uint32(0)
	if len(t.cuts) > 0 {
		want = uint32(len(t.cuts) + len(t.requests))
	}
	switch {
	case p.ServiceResponse() != pdu.CompletedAtTarget:
		w.fail("response", "%s: service response %d", t, p.ServiceResponse())
	case p.ExpDataSN().Uint32() != want && !(t.reassigned && p.Status() != sam.Good):
		w.fail("ExpDataSN", "%s: ExpDataSN %d, want %d", t, p.ExpDataSN().Uint32(), want)
	}
	t.conclude(l, p.Status(), h.Flags(), p.Residual(), data)
}

// conclude takes the status of a command.
func (t *task) conclude(l *link, s sam.Status, flags byte, residual uint32, sense []byte) {
	w := t.host.w
	if t.owed() > 0 {
		w.fail("early status", "%s: status %d before %d bytes that were asked for", t, s, t.owed())
	}
	at := w.now()
	switch s {
	case sam.Good:
		t.checkResidual(flags, residual)
		t.good(at)
	case sam.CheckCondition:
		t.checkSense(sense, at)
		t.over(at)
	default:
		w.fail("status", "%s: status %#x", t, uint8(s))
	}
	t.close(answered, l, fmt.Sprintf("status %d", s))
}

// checkResidual judges the residual of a command that succeeded (RFC 7143 §11.4.5).
func (t *task) checkResidual(flags byte, residual uint32) {
	wanted, over, under := 0, byte(0), byte(0)
	switch {
	case t.expect > t.edtl:
		wanted, over = t.expect-t.edtl, pdu.ResidualOverflow
	case t.expect < t.edtl:
		wanted, under = t.edtl-t.expect, pdu.ResidualUnderflow
	}
	if flags&(pdu.ResidualOverflow|pdu.ResidualUnderflow) != over|under || int(residual) != wanted {
		t.host.w.fail("residual", "%s: flags %02x residual %d, want %d", t, flags, residual, wanted)
	}
}

// good judges what GOOD promises.
func (t *task) good(at int) {
	w := t.host.w
	if !t.verified() {
		w.fail("unverified", "%s succeeded with damaged data", t)
	}
	if n := min(t.expect, t.edtl); t.op.Kind == Read && len(t.in) != n {
		w.fail("short read", "%s: %d bytes of %d", t, len(t.in), n)
		return
	}
	if t.op.Kind > Unmap {
		return
	}
	d := w.disks[t.op.Unit]
	switch t.op.Kind {
	case Read:
		t.checkRead(d, at)
	case Write, Same, Compare:
		t.checkWritten(d)
	case Sync:
		t.checkFlushed(d)
	default:
		// The others leave nothing to look at.
	}
	if t.op.Kind == Compare {
		for i, id := range t.base {
			if !d.model.read(t.op.LBA+i, id, t.issued, at, t.after) {
				w.fail("model", "%s found %d in block %d", t, id, t.op.LBA+i)
			}
		}
	}
	t.done(at)
}

// after says whether an effect comes before this command by the order of their session.
func (t *task) after(e *effect) bool { return e.t != nil && e.t.excludes(t) && e.t.sn.Less(t.sn) }

func (t *task) checkRead(d *disk, at int) {
	for i := range len(t.in) / blockBytes {
		lba := t.op.LBA + i
		id, ok := identify(t.in[i*blockBytes:][:blockBytes], lba)
		switch {
		case !ok:
			d.w.fail("torn", "%s: block %d is no block of any command", t, lba)
		case !d.model.read(lba, id, t.issued, at, t.after):
			d.w.fail("model", "%s: block %d cannot be %d", t, lba, id)
		}
		if id > 0 && int(id) <= len(d.w.ids) {
			// A read whose answer was lost is carried out again where it is reassigned
			// (docs/deviations.md, D-30).
			if u := d.w.ids[id-1]; u.excludes(t) && t.sn.Less(u.sn) && !t.reassigned {
				d.w.fail("order", "%s returns what %s wrote behind it", t, u)
			}
		}
	}
}

// checkWritten looks whether all of a write is on the medium, and durable if it was to
// be.
func (t *task) checkWritten(d *disk) {
	for i, there := range t.written {
		if !there && !(t.reassigned && t.before[i]) {
			d.w.fail("lost write", "%s: block %d is not on the medium", t, t.op.LBA+i)
			return
		}
		if s := &d.state[t.op.LBA+i]; t.op.FUA != 0 && t.op.Kind != Same && s.id == t.id && !s.durable {
			d.w.fail("durability", "%s: block %d is not durable", t, t.op.LBA+i)
			return
		}
	}
}

// checkFlushed looks whether what had been answered before a SYNCHRONIZE CACHE was sent
// is durable.
func (t *task) checkFlushed(d *disk) {
	for lba := range d.state {
		s := &d.state[lba]
		if s.id == 0 || s.durable {
			continue
		}
		if u := d.w.ids[s.id-1]; u.state == answered && u.ended < t.issued {
			d.w.fail("durability", "%s: block %d of %s is not durable", t, lba, u)
			return
		}
	}
}

// checkSense judges a CHECK CONDITION by its sense: there must be a cause.
func (t *task) checkSense(data []byte, at int) {
	w := t.host.w
	if len(data) < 2+14 {
		w.fail("sense", "%s: %d bytes of sense", t, len(data))
		return
	}
	b := data[2:]
	key, code := sam.SenseKey(b[2]&0xf), binary.BigEndian.Uint16(b[12:])
	ok := false
	switch {
	case key == sam.UnitAttention:
		ok = t.host.attention[t.op.Unit] > 0
		t.host.attention[t.op.Unit]--
		t.nothing()
	case code == 0x4705, code == 0x0c0d:
		ok = t.flipped || t.recoveries >= maxRecoveries
	case code == 0x1113:
		ok = w.recovers() && (t.unavailable || w.forgetful() || t.recut())
	case key == sam.MediumError:
		for _, e := range w.disks[t.op.Unit].errors {
			ok = ok || e.moment > t.issued && e.lba < t.op.LBA+max(t.op.Blocks, 1) && t.op.LBA < e.lba+max(e.blocks, 1)
		}
	case key == sam.Miscompare:
		ok = t.op.Kind == Compare && !t.holds(at)
		t.nothing()
	}
	if !ok {
		w.fail("sense", "%s: key %x code %04x without a cause", t, uint8(key), code)
	}
}

// maxRecoveries is how often a target has to ask again before it may give up.
const maxRecoveries = 5

// recut says whether the length of segments has changed since its data was cut.
func (t *task) recut() bool {
	for i := range t.cuts {
		if t.cuts[i].recv != t.link.recv {
			return true
		}
	}
	return false
}

// nothing judges a command that was refused: it changed nothing.
func (t *task) nothing() {
	for i, there := range t.written {
		if there {
			t.host.w.fail("refused write", "%s was refused and wrote block %d", t, t.op.LBA+i)
		}
	}
	t.undone()
}

// holds says whether what COMPARE AND WRITE expects was there for certain.
func (t *task) holds(at int) bool {
	m := &t.host.w.disks[t.op.Unit].model
	for i, base := range t.base {
		// Its own write does not count.
		own := t.effects[i].last
		t.effects[i].last = -1
		id, ok := m.certain(t.op.LBA+i, t.issued, at)
		t.effects[i].last = own
		if !ok || id != base {
			return false
		}
	}
	return true
}
