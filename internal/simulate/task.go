package simulate

import (
	"encoding/binary"
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// task is one request of an initiator, and what may still be said about it.
type task struct {
	op    *Op
	host  *host
	epoch int
	link  *link
	tag   pdu.ITT
	sn    serial.CmdSN
	// id is the number in the blocks of a command that changes the medium, 0 for others;
	// base are those that COMPARE AND WRITE expects.
	id     uint32
	base   []uint32
	issued int
	state  state
	how    string
	// ended is when it was concluded; by says which link told it.
	ended   int
	endedBy *link

	out []byte
	in  []byte
	// expect is how many bytes of data-in the command returns, edtl what the initiator
	// says it expects.
	expect, edtl int
	asked        int // bytes asked for and unasked
	dataSN       uint32
	r2tSN        uint32
	sequence     int // bytes of the sequence of Data-In under way
	bursts       []burst
	// flipped says that data of it was damaged on the way and not sent again, damaged that
	// this happened at some time; mayVanish that no answer need
	// come; loose that a bound of time may have cut what its function promises.
	flipped, damaged, mayVanish, loose bool
	// mute says that its initiator sends no more data of it.
	mute bool
	// waits counts the seconds for which everything stood still and it was open.
	waits     int
	written   []bool
	submitted bool
	effects   []*effect
	// covered are the tasks that a function ends, ref the only one of ABORT TASK.
	covered []*task
	ref     *task
	closes  *link // the connection that a logout closes
	text    []byte
	recv    int // what a text offers
	sentAt  int64
}

type state int

const (
	open state = iota
	answered
	// gone: it ended without an answer.
	gone
)

// burst is data that an initiator owes.
type burst struct {
	ttt        pdu.TTT
	offset, to int
	sn         uint32
}

func (t *task) concluded() bool { return t.state != open && !t.loose }

// String names a task by its operation and tag.
func (t *task) String() string {
	return fmt.Sprintf("%s %d/%x (sn=%d unit=%d lba=%d blocks=%d ordered=%d)", kindNames[t.op.Kind], t.host.n, t.tag, t.sn.Uint32(), t.op.Unit, t.op.LBA, t.op.Blocks, t.op.Ordered)
}

// scsi says whether it is a command of a unit.
func (t *task) scsi() bool { return t.op.Kind <= Unmap }

// excludes says whether two commands must not run beside each other: of one session
// and unit, both in its order, one of them ORDERED (SAM-5 §8.5.3).
func (t *task) excludes(u *task) bool {
	return t != u && t.host == u.host && t.epoch == u.epoch && t.op.Unit == u.op.Unit && t.op.Now == 0 && u.op.Now == 0 &&
		(t.op.Ordered != 0 || u.op.Ordered != 0)
}

// reaches judges a block of it that the medium takes, in place of what was there.
func (t *task) reaches(d *disk, lba int, before uint32) {
	w, i := d.w, lba-t.op.LBA
	switch {
	case d.unit != t.op.Unit || i < 0 || i >= t.op.Blocks:
		w.fail("misplaced", "%s writes block %d of unit %d", t, lba, d.unit)
		return
	case t.written[i]:
		w.fail("twice", "%s writes block %d again", t, lba)
	case t.concluded():
		w.fail("late write", "%s changes block %d though it is over: %s", t, lba, t.how)
	case t.op.Kind == Compare && before != t.base[i]:
		w.fail("divided", "%s compared block %d with %d and replaces %d", t, lba, t.base[i], before)
	}
	t.written[i] = true
}

// owed is how many bytes its initiator has to send before it may be answered.
func (t *task) owed() (n int) {
	for _, b := range t.bursts {
		n += b.to - b.offset
	}
	return n
}

// dataIn judges a Data-In (RFC 3720 §10.7).
func (t *task) dataIn(l *link, h *pdu.Header, data []byte) {
	w, p := t.host.w, pdu.AsDataIn(h)
	k := &t.host.keys
	switch {
	case p.DataSN().Uint32() != t.dataSN:
		w.fail("DataSN", "%s: Data-In %d, want %d", t, p.DataSN().Uint32(), t.dataSN)
	case int(p.BufferOffset()) != len(t.in):
		w.fail("offset", "%s: Data-In at %d, want %d", t, p.BufferOffset(), len(t.in))
	case len(data) > l.recv:
		w.fail("MaxRecv", "%s: Data-In of %d bytes, we take %d", t, len(data), l.recv)
	case len(t.in)+len(data) > t.edtl:
		w.fail("too much", "%s: %d bytes of data-in, expected %d", t, len(t.in)+len(data), t.edtl)
	}
	t.dataSN++
	t.in = append(t.in, data...)
	if t.sequence += len(data); t.sequence > k.burst {
		w.fail("MaxBurst", "%s: a sequence of %d bytes, the limit is %d", t, t.sequence, k.burst)
	}
	if h.Final() {
		t.sequence = 0
	}
	if h.Flags()&pdu.DataStatus != 0 {
		t.conclude(l, p.Status(), h.Flags(), p.Residual(), nil)
	}
}

// r2t judges an R2T (RFC 3720 §10.8).
func (t *task) r2t(h *pdu.Header) {
	w, p := t.host.w, pdu.AsR2T(h)
	k := &t.host.keys
	n := int(p.DesiredBytes())
	solicited := 0
	for _, b := range t.bursts {
		if b.ttt == p.TTT() {
			w.fail("TTT", "%s: tag %x twice", t, uint32(p.TTT()))
		}
		if b.ttt != pdu.NoTag {
			solicited++
		}
	}
	switch {
	case len(t.out) == 0 || t.state == answered:
		w.fail("R2T", "%s: an R2T", t)
		return
	case p.TTT() == pdu.NoTag:
		w.fail("TTT", "%s: an R2T without a tag", t)
	case p.R2TSN().Uint32() != t.r2tSN:
		w.fail("R2TSN", "%s: R2T %d, want %d", t, p.R2TSN().Uint32(), t.r2tSN)
	case int(p.BufferOffset()) != t.asked:
		w.fail("R2T offset", "%s: R2T at %d, want %d", t, p.BufferOffset(), t.asked)
	case n == 0 || n > k.burst || t.asked+n > len(t.out):
		w.fail("R2T length", "%s: R2T for %d bytes at %d, limit %d", t, n, t.asked, k.burst)
		return
	case solicited >= k.r2t:
		w.fail("R2T credit", "%s: %d R2Ts at once, the limit is %d", t, solicited+1, k.r2t)
	case h.LUN() != sam.LUNOf(uint16(t.op.Unit)):
		w.fail("R2T LUN", "%s: LUN %x", t, uint64(h.LUN()))
	}
	t.r2tSN++
	t.asked += n
	if t.mute {
		return
	}
	t.bursts = append(t.bursts, burst{ttt: p.TTT(), offset: int(p.BufferOffset()), to: int(p.BufferOffset()) + n})
}

// respond judges a SCSI Response (RFC 3720 §10.4).
func (t *task) respond(l *link, h *pdu.Header, data []byte) {
	w, p := t.host.w, pdu.AsSCSIResponse(h)
	want := uint32(0)
	if t.dataSN > 0 {
		want = t.dataSN + t.r2tSN
	}
	switch {
	case p.ServiceResponse() != pdu.CompletedAtTarget:
		w.fail("response", "%s: service response %d", t, p.ServiceResponse())
	case p.ExpDataSN().Uint32() != want:
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

// close ends a task; how says by what.
func (t *task) close(s state, l *link, how string) {
	t.state, t.how, t.ended, t.endedBy = s, how, t.host.w.now(), l
	t.bursts = nil
	t.host.w.closed++
	t.host.forget(t)
	for _, u := range t.covered {
		// Without its answer nobody knows whether the function ended them.
		u.mayVanish = u.mayVanish || s == gone && u.state == open
	}
	switch {
	case t.op.Kind == Text:
		t.link.texting = false
	case s == gone && t.op.Kind == LogoutSession:
		t.host.over = false
	case s == gone && t.closes != nil && t.closes != t.link:
		t.closes.sweeping = false
	case t.op.Kind >= ClearSet && t.op.Kind <= ResetCold:
		t.host.clearing--
	}
	if s == answered {
		t.host.answered++
	}
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
	if t.flipped {
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
			if u := d.w.ids[id-1]; u.excludes(t) && t.sn.Less(u.sn) {
				d.w.fail("order", "%s returns what %s wrote behind it", t, u)
			}
		}
	}
}

// checkWritten looks whether all of a write is on the medium, and durable if it was to
// be.
func (t *task) checkWritten(d *disk) {
	for i, there := range t.written {
		if !there {
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
	case code == 0x4705:
		ok = t.flipped
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
