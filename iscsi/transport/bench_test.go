package transport

import (
	"fmt"
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
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
// kernel: parsed, ordered, executed on RAM, answered, laid out. The levels are those of
// error recovery: what one costs more than level 0 is what keeping costs that is never
// asked for, as each receive acknowledges what the one before was answered.
func BenchmarkStack(b *testing.B) {
	for level := range session.MaxRecoveryLevel + 1 {
		b.Run(fmt.Sprintf("Read4K/level%d", level), func(b *testing.B) { benchmarkStack(b, level, false) })
		b.Run(fmt.Sprintf("Write4K/level%d", level), func(b *testing.B) { benchmarkStack(b, level, true) })
	}
}

func benchmarkStack(b *testing.B, level int, write bool) {
	w, plain, c := plainWorld(b, fmt.Sprintf("ErrorRecoveryLevel=%d", level))
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
	sn, exp := uint32(10), w.stack.conns[0].sess.StatSN()
	one := func() {
		for i := range depth {
			head := (*pdu.Header)(wire[i*step:])
			pdu.AsSCSICommand(head).SetCmdSN(serial.Cmd(sn))
			pdu.AsSCSICommand(head).SetExpStatSN(exp)
			head.SetITT(pdu.ITT(i))
			sn++
		}
		ring.in, ring.sends = wire, 0
		for ring.sends == 0 {
			w.turn()
		}
		w.turn()
		exp = w.stack.conns[0].sess.StatSN()
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
