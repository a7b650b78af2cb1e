package transport

import (
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/reactor"
)

// sinkRing hands over what it is given, as often as it is asked, and takes every
// send whole without looking at it: what is left is this package and those below.
type sinkRing struct {
	*plainRing
	armed bool
	op    reactor.Op
	sends int
}

func (r *sinkRing) Turn(t *reactor.Turn) error {
	for i := range t.Ops {
		switch op := &t.Ops[i]; op.Code {
		case reactor.Recv:
			r.op, r.armed = *op, true
		case reactor.Send:
			n := 0
			for k := range op.Iov {
				n += int(op.Iov[k].Len)
			}
			r.sends++
			t.Completions = append(t.Completions, reactor.Completion{Token: op.Token, Result: int32(n), Buffer: reactor.NoBuffer})
		default:
		}
	}
	if r.armed && len(r.in) > 0 {
		n := copy(r.recv, r.in)
		r.in, r.armed = r.in[n:], false
		t.Completions = append(t.Completions, reactor.Completion{Token: r.op.Token, Result: int32(n)})
	}
	return nil
}

// silent spares the marking of helpers, which walks the stack.
type silent struct{ testing.TB }

func (silent) Helper() {}

// BenchmarkStack is what a 4 KiB command, one of seven in a receive, costs without the
// kernel: parsed, ordered, executed on RAM, answered, laid out.
func BenchmarkStack(b *testing.B) {
	for name, write := range map[string]bool{"Read4K": false, "Write4K": true} {
		b.Run(name, func(b *testing.B) { benchmarkStack(b, write) })
	}
}

func benchmarkStack(b *testing.B, write bool) {
	w, plain, c := plainWorld(b)
	w.TB = silent{b}
	ring := &sinkRing{plainRing: plain, op: plain.op, armed: plain.open}
	var err error
	w.loop, err = reactor.NewLoop(reactor.Config{
		Ring: ring, Poll: reactor.Spin, RecvBytes: len(ring.recv), RecvBuffers: ring.recv, Clock: func() int64 { return 1 }, Mailbox: always{},
	})
	w.must(err)
	w.stack.loop = w.loop
	const depth = 7 // writes that fit into one receive
	h := c.request(pdu.OpSCSICommand, false)
	p := pdu.AsSCSICommand(h)
	p.SetEDTL(4096)
	h.SetFlags(pdu.FlagFinal | pdu.CommandRead)
	var data []byte
	opcode := byte(0x28)
	if write {
		data, opcode = make([]byte, 4096), 0x2a
		h.SetFlags(pdu.FlagFinal | pdu.CommandWrite)
	}
	var wire []byte
	for i := range depth {
		copy(p.CDB()[:], cdb10(opcode, i*8, 8))
		wire = append(wire, c.wire(h, data)...)
	}
	step := len(wire) / depth
	sn := uint32(10)
	one := func() {
		for i := range depth {
			head := (*pdu.Header)(wire[i*step:])
			pdu.AsSCSICommand(head).SetCmdSN(serial.Cmd(sn))
			head.SetITT(pdu.ITT(i))
			sn++
		}
		ring.in, ring.sends = wire, 0
		for ring.sends == 0 {
			w.turn()
		}
		w.turn()
	}
	for range 10 {
		one()
	}
	before := w.stack.stats.Commands
	b.SetBytes(4096)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += depth {
		one()
	}
	b.StopTimer()
	if w.stack.stats.Commands-before < uint64(b.N) {
		b.Fatal("commands were lost")
	}
}
