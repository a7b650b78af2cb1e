package transport

import (
	"maps"
	"slices"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// errand is a command of a patient initiator.
type errand struct {
	head  pdu.Header
	write bool
	lba   int
	// data is what goes out, or what came in.
	data      []byte
	immediate int
	// came are the DataSNs that came, most one more than the highest.
	came  map[uint32]bool
	most  uint32
	bytes int
	ended bool
	stat  uint32
	// gone: the target does not have its data any more.
	gone     bool
	answered map[pdu.TTT]bool
	// faults are those at each offset of a write: the target does not ask without end for
	// the same data, so there are not too many.
	faults map[int]int
}

// spared says whether a write has had its share of faults at an offset; if not, this
// is one more.
func (e *errand) spared(at int) bool {
	e.faults[at]++
	return e.faults[at] > 4
}

// patient is an initiator that loses PDUs of the target and damages its own data, and
// recovers all of it at level 1. It judges whatever it hears.
type patient struct {
	*client
	lose, damage int // in a hundred
	errands      map[pdu.ITT]*errand
	// heard are the answers by StatSN, exp the first that is missing or not complete.
	heard map[uint32]pdu.Header
	exp   uint32
	lost  int
	hurt  int
}

func newPatient(w *world, lose, damage int, keys ...string) *patient {
	w.Helper()
	p := &patient{lose: lose, damage: damage, errands: map[pdu.ITT]*errand{}, heard: map[uint32]pdu.Header{}}
	p.client = w.login(append(keys, "ErrorRecoveryLevel=1", "DataDigest=CRC32C")...)
	p.exp = p.numbers.stat.Uint32()
	p.acks = func() serial.StatSN { return serial.Stat(p.exp) }
	return p
}

func (p *patient) chance(percent int) bool { return p.w.rand.IntN(100) < percent }

// say sends a PDU whose data may be damaged on its way.
func (p *patient) say(e *errand, h *pdu.Header, data []byte) {
	b, at := p.wire(h, data), 0
	if h.Opcode() == pdu.OpDataOut {
		at = int(pdu.AsDataOut(h).BufferOffset())
	}
	if len(data) > 0 && p.chance(p.damage) && !e.spared(at) {
		p.hurt++
		b[len(b)-1-p.w.rand.IntN(len(data)+4)] ^= 0x10
	}
	p.peer.Write(b)
}

func (p *patient) start(write bool, lba, blocks int) {
	h := p.request(pdu.OpSCSICommand, false)
	e := &errand{write: write, lba: lba, came: map[uint32]bool{}, answered: map[pdu.TTT]bool{}, faults: map[int]int{}}
	q := pdu.AsSCSICommand(h)
	q.SetEDTL(uint32(blocks * 512))
	op, flags := 0x28, pdu.FlagFinal|pdu.CommandRead|byte(sam.Simple)
	if write {
		op, flags = 0x2a, pdu.FlagFinal|pdu.CommandWrite|byte(sam.Simple)
		e.data = p.w.bytesOf(blocks * 512)
		e.immediate = min(len(e.data), []int{0, 512, 4096}[p.w.rand.IntN(3)])
	} else {
		e.data = make([]byte, blocks*512)
	}
	h.SetFlags(flags)
	copy(q.CDB()[:], cdb10(byte(op), lba, blocks))
	e.head = *h
	p.errands[h.ITT()] = e
	p.begin(e)
}

// begin sends the command, and a first burst if the session has one.
func (p *patient) begin(e *errand) {
	h := e.head
	if !e.write {
		p.say(e, &h, nil)
		return
	}
	first := min(len(e.data), 8192)
	unasked := e.head.ITT()%2 == 0 && first > e.immediate
	if unasked {
		h.SetFlags(h.Flags() &^ pdu.FlagFinal)
	}
	p.say(e, &h, e.data[:e.immediate])
	if unasked {
		p.burst(e, pdu.NoTag, e.immediate, first)
	}
}

// burst sends a range of a write in PDUs, of which some get lost.
func (p *patient) burst(e *errand, ttt pdu.TTT, at, end int) {
	for sn := uint32(0); at < end; sn++ {
		n := min(1+p.w.rand.IntN(6), (end-at+511)/512) * 512
		n = min(n, end-at)
		h := dataOutHeader(e.head.ITT(), ttt, sn, uint32(at), at+n == end)
		if !p.chance(p.damage) || e.spared(at) {
			p.say(e, h, e.data[at:at+n])
		}
		at += n
	}
}

// hear takes everything that came and was not lost.
func (p *patient) hear() (any bool) {
	p.w.Helper()
	for _, a := range p.answers() {
		any = true
		e := p.errands[a.h.ITT()]
		if p.chance(p.lose) && (a.h.Opcode() != pdu.OpR2T || !e.spared(int(pdu.AsR2T(&a.h).BufferOffset()))) {
			p.lost++
			continue
		}
		p.judge(&a)
	}
	for {
		h, ok := p.heard[p.exp]
		if e := p.errands[h.ITT()]; !ok || e != nil && !p.complete(e) {
			return any
		}
		p.exp++
	}
}

func (p *patient) judge(a *answer) {
	w := p.w
	w.Helper()
	e := p.errands[a.h.ITT()]
	r := pdu.Response{Header: &a.h}
	op := a.h.Opcode()
	status := op != pdu.OpR2T && (op != pdu.OpDataIn || a.h.Flags()&pdu.DataStatus != 0) && (op != pdu.OpNOPIn || a.h.ITT() != pdu.NoTag)
	if status {
		n := r.StatSN().Uint32()
		if before, ok := p.heard[n]; ok && (before.Opcode() != op || before.ITT() != a.h.ITT() || before[3] != a.h[3]) {
			w.Fatalf("StatSN %d: %v of task %x, now %v of task %x", n, before.Opcode(), before.ITT(), op, a.h.ITT())
		}
		if _, again := p.heard[n]; again && op == pdu.OpReject {
			return // what it refused was sent again already
		}
		p.heard[n] = a.h
		if e != nil {
			if e.ended && e.stat != n {
				w.Fatalf("task %x: a second status, %d behind %d", a.h.ITT(), n, e.stat)
			}
			e.ended, e.stat = true, n
		}
	}
	switch op {
	case pdu.OpDataIn:
		d := pdu.AsDataIn(&a.h)
		sn := d.DataSN().Uint32()
		if !e.came[sn] {
			e.came[sn] = true
			e.bytes += len(a.data)
		}
		e.most = max(e.most, sn+1)
		copy(e.data[d.BufferOffset():], a.data)
	case pdu.OpSCSIResponse:
		if statusOf(a) != sam.Good {
			w.Fatalf("task %x: sense %05x", a.h.ITT(), senseOf(p.client, a))
		}
	case pdu.OpR2T:
		q := pdu.AsR2T(&a.h)
		if !e.answered[q.TTT()] {
			e.answered[q.TTT()] = true
			p.burst(e, q.TTT(), int(q.BufferOffset()), int(q.BufferOffset()+q.DesiredBytes()))
		}
	case pdu.OpReject:
		p.refused(a)
	}
}

// refused takes a Reject: only damaged data, and SNACKs in vain, earn one.
func (p *patient) refused(a *answer) {
	reason, bad := pdu.AsReject(&a.h).Reason(), (*pdu.Header)(a.data)
	switch {
	case reason == pdu.RejectDataDigest && bad.Opcode() == pdu.OpSCSICommand:
		if e := p.errands[bad.ITT()]; !e.ended {
			p.begin(e)
		}
	case reason == pdu.RejectSNACK && pdu.AsSNACK(bad).Type() == pdu.SNACKData:
		// Others needed its memory (adr/0016). Whoever does not give the read up now asks
		// in vain until no answer can be kept, and nothing else goes on either.
		if e := p.errands[bad.ITT()]; e.ended && !e.write {
			e.gone = true
		}
	case reason == pdu.RejectDataDigest && bad.Opcode() == pdu.OpDataOut, bad.Opcode() == pdu.OpSNACK:
	default:
		p.w.Fatalf("Reject %v of %v", reason, bad.Opcode())
	}
}

// complete says whether all data of a command has come.
func (p *patient) complete(e *errand) bool {
	return e.ended && (e.write || e.gone || e.bytes == len(e.data))
}

func (p *patient) snack(k pdu.SNACKType, itt pdu.ITT, tag, first, count uint32) {
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpSNACK)
	h.SetITT(itt)
	s := pdu.AsSNACK(h)
	s.SetType(k)
	s.SetTag(tag)
	s.SetRun(first, count)
	p.send(h, nil)
}

const noTag = uint32(pdu.NoTag)

// recover asks for what is missing, by what it knows.
func (p *patient) recover() {
	p.snack(pdu.SNACKStatus, pdu.NoTag, noTag, p.exp, 0)
	for _, itt := range slices.Sorted(maps.Keys(p.errands)) {
		e := p.errands[itt]
		switch {
		case p.complete(e) || e.write && e.ended:
		case e.write:
			if p.chance(50) {
				p.snack(pdu.SNACKData, itt, noTag, 0, 0)
			}
		default:
			for sn := uint32(0); sn < e.most; sn++ {
				if !e.came[sn] {
					p.snack(pdu.SNACKData, itt, noTag, sn, 1)
					break
				}
			}
			if p.chance(30) {
				p.snack(pdu.SNACKData, itt, noTag, 0, 0)
			}
		}
	}
}

// finish goes on until every errand is done.
func (p *patient) finish() {
	p.w.Helper()
	for range 4000 {
		if p.hear() {
			continue
		}
		left := 0
		for _, e := range p.errands {
			if !p.complete(e) {
				left++
			}
		}
		if left == 0 {
			return
		}
		p.recover()
		if p.chance(40) {
			p.w.ring.Advance(2e9)
		}
	}
	for itt, e := range p.errands {
		if !p.complete(e) {
			p.w.Errorf("task %x: write %v, %d of %d bytes, ended %v", itt, e.write, e.bytes, len(e.data), e.ended)
		}
	}
	p.w.Fatal("it does not end")
}
