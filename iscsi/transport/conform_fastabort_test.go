package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/lun"
	"lunar/scsi/sam"
)

const fastAbort = "TaskReporting=FastAbort,ResponseFence,RFC3720"

// owing is a session with a write of 32 blocks whose one R2T is not answered.
func (w *world) owing(keys ...string) (c *client, write pdu.ITT, ttt pdu.TTT) {
	w.Helper()
	c = w.login(append(keys, "InitialR2T=Yes", "ImmediateData=No")...)
	write = c.write10(100, 32, nil, true)
	r2t := c.one(pdu.OpR2T)
	return c, write, pdu.AsR2T(&r2t.h).TTT()
}

// terminated takes the one answer, an Async Message that tasks of a unit are ended, and
// acknowledges it if it is to be.
func (c *client) terminated(l sam.LUN, heed bool) {
	c.w.Helper()
	a := c.one(pdu.OpAsync)
	p := pdu.AsAsync(&a.h)
	if p.Event() != pdu.EventTermination || p.LUN() != l {
		c.w.Fatalf("event %d, LUN %x", p.Event(), p.LUN())
	}
	if heed {
		c.acknowledge(p)
	}
}

func (c *client) acknowledge(p pdu.Async) {
	h := c.request(pdu.OpNOPOut, true)
	h.SetITT(pdu.NoTag)
	h.SetLUN(p.LUN())
	pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
	pdu.AsNOPOut(h).SetExpStatSN(p.StatSN().Next())
	c.send(h, nil)
	c.w.settle()
}

// substance are the answers but for NOP-Ins that only tell of the window.
func substance(all []answer) (a []answer) {
	for i := range all {
		if all[i].h.Opcode() != pdu.OpNOPIn || pdu.AsNOPIn(&all[i].h).TTT() != pdu.NoTag {
			a = append(a, all[i])
		}
	}
	return a
}

// late sends the data of a write that was ended; nobody says anything to it.
func (c *client) late(write pdu.ITT, ttt pdu.TTT) {
	c.w.Helper()
	c.dataOut(write, ttt, 0, 0, ones(16384), true)
	if a := substance(c.answers()); len(a) != 0 {
		c.w.Fatalf("late data is answered: %s", names(a))
	}
	if string(c.w.medium[100*512:132*512]) != string(make([]byte, 32*512)) {
		c.w.Error("late data was written")
	}
}

// A function does not wait for what others owe when FastAbort holds for either session;
// only those with FastAbort are told, of each function but not on the connection that
// brought it.
func TestFastAbort_WaitsForNobody(t *testing.T) {
	const plain = "TaskReporting=RFC3720"
	for name, k := range map[string]struct {
		third, issuer string
		waits, told   bool
	}{
		"both":          {fastAbort, fastAbort, false, true},
		"third party":   {fastAbort, plain, false, true},
		"issuer":        {plain, fastAbort, false, false},
		"neither":       {plain, plain, true, false},
		"fences, third": {"TaskReporting=ResponseFence,RFC3720", plain, true, false},
	} {
		for _, f := range []sam.Function{sam.ClearTaskSet, sam.LogicalUnitReset, sam.TargetWarmReset} {
			t.Run(name, func(t *testing.T) {
				conform.Covers(t, "N-3", "N-5", "N-6", "R-10.9.3-1")
				w := newWorld(t, options{})
				third, write, ttt := w.owing(k.third)
				issuer := w.login(k.issuer)
				issuer.manage(f, pdu.NoTag, 0)
				if k.waits {
					if a := issuer.answers(); len(a) != 0 {
						t.Fatalf("it does not wait: %s", names(a))
					}
				} else {
					a := issuer.one(pdu.OpTaskResponse)
					if r := pdu.AsTaskResponse(&a.h).Result(); r != pdu.FunctionComplete {
						t.Fatal("result", r)
					}
				}
				if k.told {
					third.terminated(0, true)
				} else if a := third.drain(); len(a) != 0 {
					t.Fatalf("it is told: %s", names(a))
				}
				third.late(write, ttt)
				if k.waits {
					issuer.one(pdu.OpTaskResponse)
				}
				if n := w.stack.conns[0].sess.Live(); n != 0 || w.staged.Free() != w.staged.Bytes() {
					t.Errorf("%d tasks of the third party are left", n)
				}
				third.attention()
				third.check(100, make([]byte, 512))
			})
		}
	}
}

// On the connection that brings the function nothing is said, and what its tasks are
// owed is not awaited.
func TestFastAbort_IssuingConnection(t *testing.T) {
	conform.Covers(t, "N-6")
	for _, f := range []sam.Function{sam.AbortTaskSet, sam.ClearTaskSet, sam.LogicalUnitReset, sam.TargetWarmReset} {
		w := newWorld(t, options{})
		c, write, ttt := w.owing(fastAbort)
		c.manage(f, pdu.NoTag, 0)
		c.one(pdu.OpTaskResponse)
		if n := w.stack.conns[0].sess.Live(); n != 0 {
			t.Errorf("function %d: %d tasks are left", f, n)
		}
		c.late(write, ttt)
		// The window is as wide as it was.
		c.attention()
		if got := int(c.numbers.max.Uint32() - c.numbers.exp.Uint32()); got != 31 {
			t.Errorf("function %d: a window of %d", f, got+1)
		}
	}
}

// ABORT TASK names one task: its data is awaited, FastAbort or not, until a function
// over many spares that.
func TestFastAbort_NotOfOneTask(t *testing.T) {
	conform.Covers(t, "N-6")
	w := newWorld(t, options{})
	c, write, ttt := w.owing(fastAbort)
	c.manage(sam.AbortTask, write, c.cmdSN-1)
	if a := c.answers(); len(a) != 0 {
		t.Fatalf("ABORT TASK does not wait: %s", names(a))
	}
	other := w.login(fastAbort)
	other.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
	other.one(pdu.OpTaskResponse)
	// ABORT TASK is over as well; the message stands before its response.
	a := c.drain()
	if len(a) != 2 || a[0].h.Opcode() != pdu.OpAsync || a[1].h.Opcode() != pdu.OpTaskResponse {
		t.Fatalf("answers %s", names(a))
	}
	c.acknowledge(pdu.AsAsync(&a[0].h))
	c.late(write, ttt)
}

// Until the message is acknowledged, the tags of what was ended are nobody else's, and
// its Initiator Task Tag is free. Who never acknowledges is not waited for longer than
// for the data of any aborted task.
func TestFastAbort_TagsStayReserved(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		conform.Covers(t, "N-6")
		w := newWorld(t, options{})
		third, write, ttt := w.owing(fastAbort)
		w.queue.held = true
		issuer := w.login(fastAbort)
		issuer.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
		issuer.one(pdu.OpTaskResponse)
		place := ttt >> 16
		if s := w.stack.conns[0].sess; s.Live() != 1 || w.staged.Free() != w.staged.Bytes() {
			t.Fatalf("%d tasks, %d bytes", s.Live(), w.staged.Bytes()-w.staged.Free())
		}
		a := third.one(pdu.OpAsync)
		third.attention()
		// Its tag may be used again at once, by a write that gets a tag of its own.
		third.nextT = uint32(write)
		again := third.write10(200, 32, nil, true)
		r2t := third.one(pdu.OpR2T)
		if again != write || pdu.AsR2T(&r2t.h).TTT()>>16 == place {
			t.Fatalf("a tag of the ended task was drawn: %x after %x", pdu.AsR2T(&r2t.h).TTT(), ttt)
		}
		third.late(write, ttt)
		third.answerR2T(&r2t, ones(16384), 16384)
		third.one(pdu.OpSCSIResponse)
		w.queue.held = false
		if heeds {
			third.acknowledge(pdu.AsAsync(&a.h))
		} else {
			w.pass(2 * w.stack.limits.AbortNanos)
		}
		if n := w.stack.conns[0].sess.Live(); n != 0 {
			t.Errorf("acknowledged %v: %d tasks are left", heeds, n)
		}
	}
}

// Without late data only the acknowledgement, or the bound, ends the reservation.
func TestFastAbort_BoundOfTheReservation(t *testing.T) {
	conform.Covers(t, "N-6")
	for _, k := range []struct {
		heeds bool
		pass  int64
		left  int
	}{{true, 0, 0}, {false, 0, 1}, {false, 2, 0}} {
		w := newWorld(t, options{})
		third, write, ttt := w.owing(fastAbort)
		issuer := w.login()
		issuer.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
		issuer.one(pdu.OpTaskResponse)
		third.terminated(0, k.heeds)
		if k.pass > 0 {
			w.pass(k.pass * w.stack.limits.AbortNanos)
		}
		if n := w.stack.conns[0].sess.Live(); n != k.left {
			t.Errorf("%+v: %d tasks are left", k, n)
		}
		third.late(write, ttt)
	}
}

// A message for each unit, and none for a unit of which nothing was ended.
func TestFastAbort_MessageForEachUnit(t *testing.T) {
	conform.Covers(t, "N-6")
	w := newWorld(t, options{slow: true})
	w.units = lun.NewMap(sam.Path{TargetName: testTarget, PortalGroupTag: 1, RelativePort: 1},
		[]lun.Entry{{Unit: w.unit}, {Unit: w.unit}, {Unit: w.unit}}, lun.NewAbsent(1))
	third, issuer := w.login(fastAbort), w.login(fastAbort)
	w.queue.held = true
	for _, l := range []uint16{0, 2, 2} {
		h := third.request(pdu.OpSCSICommand, false)
		h.SetFlags(pdu.FlagFinal | pdu.CommandRead)
		h.SetLUN(sam.LUNOf(l))
		pdu.AsSCSICommand(h).SetEDTL(512)
		copy(pdu.AsSCSICommand(h).CDB()[:], cdb10(0x28, 0, 1))
		third.send(h, nil)
	}
	w.settle()
	issuer.manage(sam.TargetWarmReset, pdu.NoTag, 0)
	w.settle()
	w.queue.held = false
	a := substance(third.answers())
	if len(a) != 2 || pdu.AsAsync(&a[0].h).LUN() != 0 || pdu.AsAsync(&a[1].h).LUN() != sam.LUNOf(2) {
		t.Fatalf("answers %s", names(a))
	}
	issuer.one(pdu.OpTaskResponse)
}

// A reset is answered while the kernel still receives into the memory of a write that it
// ended; the memory stays until that is over, and nothing is written.
func TestFastAbort_DuringADirectReceive(t *testing.T) {
	conform.Covers(t, "N-6")
	conform.Trap(t, 41)
	for _, end := range []string{"goes on", "heeds first", "close"} {
		w := newWorld(t, options{})
		a, b := w.login(fastAbort, "DataDigest=CRC32C"), w.login(fastAbort)
		data := w.bytesOf(256 << 10)
		itt := a.write10(0, 512, nil, true)
		r2t := a.one(pdu.OpR2T)
		wire := a.wire(dataOutHeader(itt, pdu.AsR2T(&r2t.h).TTT(), 0, 0, true), data)
		a.peer.Write(wire[:40<<10])
		w.settle()
		if c := w.stack.conns[0]; c.direct == nil {
			t.Fatal("no direct receive is under way")
		}
		b.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
		b.one(pdu.OpTaskResponse)
		if w.staged.Free() == w.staged.Bytes() || w.unit.Tasks(0) != 0 {
			t.Fatal("memory that is received into was given back, or the unit still has the command")
		}
		got := a.one(pdu.OpAsync)
		switch end {
		case "goes on":
			a.peer.Write(wire[40<<10:])
			w.settle()
		case "heeds first":
			a.peer.Write(wire[40<<10:])
			a.acknowledge(pdu.AsAsync(&got.h))
		case "close":
			a.peer.Close()
			w.settle()
		}
		if string(w.medium[:len(data)]) != string(make([]byte, len(data))) || w.staged.Free() != w.staged.Bytes() {
			t.Errorf("%s: an aborted write reached the medium, or memory is missing", end)
		}
	}
}

// A connection that logs out or is cut does not wait for what lingers.
func TestFastAbort_LingeringEndsWithItsConnection(t *testing.T) {
	conform.Covers(t, "N-6")
	for _, cut := range []bool{false, true} {
		w := newWorld(t, options{})
		third, _, _ := w.owing(fastAbort)
		issuer := w.login(fastAbort)
		issuer.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
		issuer.one(pdu.OpTaskResponse)
		third.terminated(0, false)
		if cut {
			third.peer.Reset()
			w.settle()
		} else {
			third.logout()
			third.one(pdu.OpLogoutResp)
		}
		if n := w.stack.Live(); n != 1 {
			t.Errorf("cut %v: %d connections", cut, n)
		}
	}
}
