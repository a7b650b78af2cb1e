package transport

import (
	"bytes"
	"slices"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// recovering is a patient that loses nothing by itself; tests lose and damage.
func (w *world) recovering(keys ...string) *patient {
	w.Helper()
	return newPatient(w, 0, 0, keys...)
}

// ack acknowledges everything that came.
func (p *patient) ack() { p.exp = p.numbers.stat.Uint32() }

// finishFirst has a held medium finish so many requests, those of the lowest offsets.
func (w *world) finishFirst(n int) {
	for range n {
		first := 0
		for k, r := range w.queue.waiting {
			if r.Offset < w.queue.waiting[first].Offset {
				first = k
			}
		}
		w.local.Complete(uint32(first), 0)
		w.settle()
	}
}

// halfRead starts a read of so many pieces of 256 KiB, of which two have gone out.
func (p *patient) halfRead(pieces int) (itt pdu.ITT, sent []answer) {
	p.w.queue.held, p.w.queue.slow = true, true
	itt = p.read10(0, 512*pieces)
	p.w.settle()
	p.w.finishFirst(2)
	return itt, p.answers()
}

// declare says how long data segments may be from now on.
func (p *patient) declare(length string) {
	p.w.Helper()
	h := p.request(pdu.OpTextReq, true)
	pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
	p.send(h, []byte("MaxRecvDataSegmentLength="+length+"\x00"))
	p.one(pdu.OpTextResp)
}

// spoiled complains unless a SNACK was refused and its command, without a status,
// failed.
func (p *patient) spoiled(itt pdu.ITT) {
	p.w.Helper()
	p.w.settle()
	p.w.queue.held = false
	a := p.answers()
	if len(a) != 2 {
		p.w.Fatalf("%s", names(a))
	}
	slices.SortFunc(a, func(x, y answer) int { return int(y.h.Opcode()) - int(x.h.Opcode()) })
	if pdu.AsReject(&a[0].h).Reason() != pdu.RejectSNACK || senseOf(p.client, &a[1]) != 0xb1113 || a[1].h.ITT() != itt {
		p.w.Fatalf("%s, sense %05x", names(a), senseOf(p.client, &a[1]))
	}
}

// sameButWindow says whether b is a copy of a, but for ExpCmdSN and MaxCmdSN.
func sameButWindow(a, b *answer) bool {
	x, y := a.h, b.h
	clear(x[28:36])
	clear(y[28:36])
	return x == y && bytes.Equal(a.data, b.data)
}

// copies complains unless the answers are copies of those.
func (p *patient) copies(what string, want []answer) {
	p.w.Helper()
	got := p.answers()
	if len(got) != len(want) {
		p.w.Fatalf("%s: %s, want %s", what, names(got), names(want))
	}
	for i := range got {
		if !sameButWindow(&got[i], &want[i]) {
			p.w.Errorf("%s: PDU %d\n%x\nis no copy of\n%x", what, i, got[i].h, want[i].h)
		}
	}
}

func (p *patient) rejected(what string, want pdu.RejectReason, next uint32) {
	p.w.Helper()
	a := p.one(pdu.OpReject)
	r := pdu.AsReject(&a.h)
	if r.Reason() != want || r.DataSN() != serial.Data(next) {
		p.w.Errorf("%s: reason %v, DataSN %v, want %v, %d", what, r.Reason(), r.DataSN(), want, next)
	}
}
