package transport

import (
	"slices"
	"testing"

	"lunar/internal/buf"
	"lunar/internal/invariant"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/lun/blk"
	"lunar/reactor"
	"lunar/scsi/sam"
)

// plainRing is one socket that takes every send whole and allocates nothing.
type plainRing struct {
	recv []byte
	in   []byte
	op   reactor.Op
	open bool
	out  [1 << 16]byte
	sent int
}

func (r *plainRing) Turn(t *reactor.Turn) error {
	for i := range t.Ops {
		op := &t.Ops[i]
		switch op.Code {
		case reactor.Recv:
			r.op, r.open = *op, true
		case reactor.Send:
			r.sent = 0
			for k := range op.Iov {
				r.sent += copy(r.out[r.sent:], op.Iov[k].Bytes())
			}
			t.Completions = append(t.Completions, reactor.Completion{Token: op.Token, Result: int32(r.sent), Buffer: reactor.NoBuffer})
		default:
		}
	}
	if r.open && len(r.in) > 0 {
		n := copy(r.recv, r.in)
		r.in, r.open = r.in[n:], false
		t.Completions = append(t.Completions, reactor.Completion{Token: r.op.Token, Result: int32(n)})
	}
	return nil
}

func (r *plainRing) Wake() error  { return nil }
func (r *plainRing) Close() error { return nil }
func (r *plainRing) Name() string { return "plain" }

// plainWorld is a stack on a plainRing with one session.
func plainWorld(t testing.TB, keys ...string) (*world, *plainRing, *client) {
	t.Helper()
	recv, err := buf.Alloc(32 << 10)
	ring := &plainRing{recv: recv}
	w := &world{TB: t}
	w.must(err)
	w.loop, err = reactor.NewLoop(reactor.Config{
		Ring: ring, Poll: reactor.Spin, RecvBytes: len(recv), RecvBuffers: recv, Clock: func() int64 { return 1 }, Mailbox: always{},
	})
	w.must(err)
	w.unasked, err = buf.NewPool(buf.Class{Bytes: 4096, Count: 64}, buf.Class{Bytes: 64 << 10, Count: 64})
	w.must(err)
	w.staged, err = buf.NewPool(buf.Class{Bytes: 4096, Count: 64}, buf.Class{Bytes: blk.MaxRequestBytes, Count: 8})
	w.must(err)
	l := DefaultLimits()
	l.Session = session.Limits{Window: 32, Immediate: 4}
	w.local = lun.NewLocal(0, w.staged, nil)
	w.stack = New(0, w.loop, w.local, w.unasked, w.staged, w, l)
	w.addUnit(false)
	w.portal = &Portal{Login: login.Config{Offer: login.DefaultOffer(), Targets: w, PortalGroupTag: 1, StatSN: serial.Stat(1)}}
	w.stack.Accept(3, "192.0.2.1:3260", testSource, w.portal)
	c := &client{w: w, cmdSN: 10, nextT: 100}
	ring.in = c.wire(c.loginRequest(keys...))
	w.settle()
	c.digests(keys)
	return w, ring, c
}

// allocations is what one command costs in steady state, through the turns that
// carry it: received, executed, answered, sent.
func allocations(t testing.TB, write bool, keys ...string) float64 {
	w, ring, c := plainWorld(t, keys...)
	h := c.request(pdu.OpSCSICommand, false)
	p := pdu.AsSCSICommand(h)
	p.SetEDTL(4096)
	var data []byte
	if write {
		data = make([]byte, 4096)
		h.SetFlags(pdu.FlagFinal | pdu.CommandWrite)
		copy(p.CDB()[:], cdb10(0x2a, 8, 8))
	} else {
		h.SetFlags(pdu.FlagFinal | pdu.CommandRead)
		copy(p.CDB()[:], cdb10(0x28, 8, 8))
	}
	const runs = 200
	// Digests cover CmdSN, so every PDU is laid out before anything is measured.
	wires := make([][]byte, runs+20)
	for i := range wires {
		p.SetCmdSN(serial.Cmd(10 + uint32(i)))
		// Everything before it is acknowledged; the Login Response took the first number.
		p.SetExpStatSN(serial.Stat(2 + uint32(i)))
		wires[i] = c.wire(h, data)
	}
	if recovers := w.stack.conns[0].keep != nil; recovers != slices.Contains(keys, "ErrorRecoveryLevel=1") {
		t.Fatalf("recovers: %v", recovers)
	}
	next := 0
	one := func() {
		ring.in, ring.sent = wires[next], 0
		next++
		for range 4 {
			w.turn()
		}
		if ring.sent < pdu.HeaderBytes {
			t.Fatal("no answer")
		}
	}
	for range 10 {
		one() // unit attentions, slabs and pools
	}
	n := testing.AllocsPerRun(runs, one)
	status := sam.Status(ring.out[3])
	if status != sam.Good || w.stack.stats.Commands < runs {
		t.Fatalf("status %d after %d commands", status, w.stack.stats.Commands)
	}
	return n
}

// In steady state a command allocates nothing (architecture §14).
func TestAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Skip("invariants fill released memory; what is measured is the daemon as it ships")
	}
	digests := []string{"HeaderDigest=CRC32C", "DataDigest=CRC32C"}
	for name, n := range map[string]float64{
		"READ": allocations(t, false), "WRITE": allocations(t, true),
		"READ with digests": allocations(t, false, digests...), "WRITE with digests": allocations(t, true, digests...),
		"READ with recovery":  allocations(t, false, "ErrorRecoveryLevel=1"),
		"WRITE with recovery": allocations(t, true, "ErrorRecoveryLevel=1"),
	} {
		t.Logf("4 KiB %s: %v allocations", name, n)
		if n != 0 {
			t.Errorf("4 KiB %s: %v allocations", name, n)
		}
	}
}
