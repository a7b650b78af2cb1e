package transport

import (
	"bytes"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// tagged sends a command with a task attribute, and with NACA if it is asked for.
func (c *client) tagged(a sam.Attribute, naca bool, cdb []byte, flags byte, edtl int, data []byte) pdu.ITT {
	if cdb = bytes.Clone(cdb); naca {
		cdb[len(cdb)-1] |= 0x04
	}
	h := c.request(pdu.OpSCSICommand, false)
	h.SetFlags(pdu.FlagFinal | flags | byte(a))
	p := pdu.AsSCSICommand(h)
	p.SetEDTL(uint32(edtl))
	copy(p.CDB()[:], cdb)
	c.send(h, data)
	return h.ITT()
}

func (c *client) taggedRead(a sam.Attribute, naca bool) pdu.ITT {
	return c.tagged(a, naca, cdb10(0x28, 0, 1), pdu.CommandRead, 512, nil)
}

// status is the status of a command that ends without data.
func (c *client) status(itt pdu.ITT) sam.Status {
	c.w.Helper()
	a := c.one(pdu.OpSCSIResponse)
	if a.h.ITT() != itt || statusOf(&a) != sam.CheckCondition && len(a.data) != 0 {
		c.w.Fatalf("answer to %x, wanted to %x, with %x", a.h.ITT(), itt, a.data)
	}
	return statusOf(&a)
}

// sense is the sense of a command that fails.
func (c *client) sense(itt pdu.ITT) uint32 {
	c.w.Helper()
	a := c.one(pdu.OpSCSIResponse)
	if a.h.ITT() != itt {
		c.w.Fatalf("answer to %x, wanted to %x", a.h.ITT(), itt)
	}
	return senseOf(c, &a)
}

// clearACA sends CLEAR ACA, which is always complete.
func (c *client) clearACA() {
	c.w.Helper()
	itt := c.manage(sam.ClearACA, pdu.NoTag, 0)
	a := c.one(pdu.OpTaskResponse)
	if a.h.ITT() != itt || pdu.AsTaskResponse(&a.h).Result() != pdu.FunctionComplete {
		c.w.Fatalf("CLEAR ACA: result %d", pdu.AsTaskResponse(&a.h).Result())
	}
}

// Units say that they keep ACAs.
func TestACA_IsOffered(t *testing.T) {
	conform.Covers(t, "R-9.2-2", "N-19")
	w := newWorld(t, options{})
	c := w.login()
	for _, k := range []struct {
		what     string
		cdb      []byte
		at       int
		is, mask byte
	}{
		{"NORMACA", []byte{0x12, 0, 0, 0, 96, 0}, 3, 0x20, 0x20},
		{"CACAS", []byte{0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0}, 0, 0x20, 0x20},
		{"CONTROL of READ(10)", []byte{0xa3, 0x0c, 1, 0x28, 0, 0, 0, 0, 0, 96, 0, 0}, 13, 0x04, 0xff},
	} {
		for _, naca := range []bool{false, true} {
			c.tagged(sam.Simple, naca, k.cdb, pdu.CommandRead, 96, nil)
			if in := dataIn(c.answers()); len(in) <= k.at || in[k.at]&k.mask != k.is {
				t.Errorf("%s: %x", k.what, in)
			}
		}
	}
}

// An ACA from its fault to its end: what runs ends, what waits is blocked, new commands
// get the answers of SAM-5 §5.9.3 and §5.9.4, and behind CLEAR ACA all goes on.
func TestACA_FromFaultToClear(t *testing.T) {
	conform.Covers(t, "R-9.2-2", "N-19")
	w := newWorld(t, options{slow: true})
	a, b := w.login(), w.login()
	data := w.bytesOf(512)
	w.queue.held = true
	runs := a.read10(8, 8)
	blocked := b.tagged(sam.Ordered, false, cdb10(0x2a, 100, 1), pdu.CommandWrite, 512, data)
	w.settle()
	fault := a.tagged(sam.HeadOfQueue, true, cdb10(0x28, 1<<30, 1), pdu.CommandRead, 512, nil)
	if s := a.sense(fault); s != 0x52100 {
		t.Fatalf("the fault: %05x", s)
	}
	for _, k := range []struct {
		c         *client
		attribute sam.Attribute
		naca      bool
		want      sam.Status
	}{
		{a, sam.Simple, false, sam.ACAActive},
		{a, sam.Simple, true, sam.ACAActive},
		{a, sam.Untagged, false, sam.ACAActive},
		{a, sam.Ordered, false, sam.ACAActive},
		{a, sam.HeadOfQueue, true, sam.ACAActive},
		{b, sam.Simple, false, sam.Busy},
		{b, sam.Simple, true, sam.ACAActive},
		{b, sam.HeadOfQueue, false, sam.Busy},
		{b, sam.ACA, false, sam.ACAActive},
		{b, sam.ACA, true, sam.ACAActive},
	} {
		if s := k.c.status(k.c.taggedRead(k.attribute, k.naca)); s != k.want {
			t.Errorf("faulted %v, attribute %d, NACA %v: %02x, want %02x", k.c == a, k.attribute, k.naca, s, k.want)
		}
	}
	w.queue.held = false
	if got := a.answers(); len(dataIn(got)) != 8*512 || got[0].h.ITT() != runs {
		t.Errorf("the read that ran: %s", names(got))
	}
	b.clearACA() // of the other: nothing
	if s := b.status(b.taggedRead(sam.Simple, false)); s != sam.Busy {
		t.Errorf("behind a CLEAR ACA of another: %02x", s)
	}
	a.tagged(sam.ACA, false, cdb10(0x28, 8, 1), pdu.CommandRead, 512, nil)
	if got := dataIn(a.answers()); !bytes.Equal(got, w.medium[8*512:9*512]) {
		t.Errorf("the ACA command read %d bytes", len(got))
	}
	if bytes.Equal(w.medium[100*512:101*512], data) {
		t.Error("the blocked write was carried out")
	}
	a.clearACA()
	if got := b.drain(); len(got) != 1 || got[0].h.ITT() != blocked || statusOf(&got[0]) != sam.Good {
		t.Errorf("the blocked write: %s", names(got))
	}
	a.check(100, data)
	b.check(100, data)
	if s := a.sense(a.taggedRead(sam.ACA, false)); s != 0x54900 {
		t.Errorf("an ACA command without an ACA: %05x", s)
	}
}

// CLEAR ACA ends the command that attends to the ACA, and answers behind its last touch
// of the medium; a second such command meanwhile gets ACA ACTIVE.
func TestACA_ClearEndsTheAttendingCommand(t *testing.T) {
	conform.Covers(t, "R-9.2-2", "N-19")
	w := newWorld(t, options{slow: true})
	a, b := w.login(), w.login()
	a.sense(a.tagged(sam.Simple, true, cdb10(0x28, 1<<30, 1), pdu.CommandRead, 512, nil))
	w.queue.held = true
	a.taggedRead(sam.ACA, true)
	if s := a.status(a.taggedRead(sam.ACA, true)); s != sam.ACAActive {
		t.Errorf("a second ACA command: %02x", s)
	}
	a.manage(sam.ClearACA, pdu.NoTag, 0)
	if got := a.answers(); len(got) != 0 {
		t.Fatalf("answers %s while the medium works", names(got))
	}
	if s := b.status(b.taggedRead(sam.Simple, false)); s != sam.Busy {
		t.Errorf("until then: %02x", s)
	}
	w.queue.held = false
	if r := a.one(pdu.OpTaskResponse); pdu.AsTaskResponse(&r.h).Result() != pdu.FunctionComplete {
		t.Errorf("result %d", pdu.AsTaskResponse(&r.h).Result())
	}
	a.check(0, w.medium[:512])
	b.check(0, w.medium[:512])
}

// It is the status that establishes an ACA, whoever makes it: the medium, or the
// transport over the data of a write.
func TestACA_WhoeverFailsTheCommand(t *testing.T) {
	conform.Covers(t, "R-9.2-2", "N-19")
	for name, k := range map[string]struct {
		sense uint32
		fail  func(w *world, c *client) pdu.ITT
	}{
		"medium": {0x31100, func(w *world, c *client) pdu.ITT {
			w.queue.fail = func(*blk.Request) blk.Result { return blk.MediumError }
			return c.taggedRead(sam.Simple, true)
		}},
		"transport": {0xb0c0c, func(_ *world, c *client) pdu.ITT {
			return c.tagged(sam.Simple, true, cdb10(0x2a, 0, 1), pdu.CommandWrite, 512, make([]byte, 512))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options{})
			a, b := w.login("ImmediateData=No"), w.login()
			if s := a.sense(k.fail(w, a)); s != k.sense {
				t.Errorf("sense %05x", s)
			}
			w.queue.fail = nil
			if s := a.status(a.taggedRead(sam.Simple, false)); s != sam.ACAActive {
				t.Errorf("the next: %02x", s)
			}
			if s := b.status(b.taggedRead(sam.Simple, false)); s != sam.Busy {
				t.Errorf("another's: %02x", s)
			}
			// Without NACA the failure of the ACA command ends the ACA.
			if s := a.sense(a.tagged(sam.ACA, false, cdb10(0x28, 1<<30, 1), pdu.CommandRead, 512, nil)); s != 0x52100 {
				t.Errorf("the ACA command: %05x", s)
			}
			a.check(0, w.medium[:512])
			b.check(0, w.medium[:512])
		})
	}
}

// A connection ends over a command that is blocked, and over an ACA.
func TestACA_ConnectionsEndOverIt(t *testing.T) {
	w := newWorld(t, options{slow: true})
	a, b := w.login(), w.login()
	w.queue.held = true
	a.read10(8, 8)
	b.tagged(sam.Ordered, false, cdb10(0x2a, 100, 1), pdu.CommandWrite, 512, ones(512))
	w.settle()
	a.sense(a.tagged(sam.HeadOfQueue, true, cdb10(0x28, 1<<30, 1), pdu.CommandRead, 512, nil))
	w.queue.held = false
	a.answers()
	if n := w.unit.Tasks(0); n != 1 {
		t.Fatalf("%d commands are left", n)
	}
	b.peer.Reset()
	if w.settle(); w.unit.Tasks(0) != 0 || w.ended != 1 {
		t.Errorf("%d commands are left, %d sessions ended", w.unit.Tasks(0), w.ended)
	}
	if s := a.status(a.taggedRead(sam.Simple, false)); s != sam.ACAActive {
		t.Errorf("the ACA ended with another's connection: %02x", s)
	}
	a.peer.Reset()
	w.settle()
	if !bytes.Equal(w.medium[100*512:101*512], make([]byte, 512)) {
		t.Error("the blocked write was carried out")
	}
}

// Who is put off by an ACA of another is told for how long, where protocol level 2 says
// so; no other status has a qualifier.
func TestACA_BusySaysWhenToAskAgain(t *testing.T) {
	conform.Covers(t, "N-26")
	for _, level := range []string{"1", "2"} {
		w := newWorld(t, options{})
		a, b := w.login("iSCSIProtocolLevel="+level), w.login("iSCSIProtocolLevel="+level)
		a.tagged(sam.Simple, true, cdb10(0x28, 1<<30, 1), pdu.CommandRead, 512, nil)
		fault := a.one(pdu.OpSCSIResponse)
		b.taggedRead(sam.Simple, false)
		busy := b.one(pdu.OpSCSIResponse)
		b.taggedRead(sam.Simple, true)
		active := b.one(pdu.OpSCSIResponse)
		want := map[string]sam.Qualifier{"1": 0, "2": 1}[level]
		if got := pdu.AsSCSIResponse(&busy.h).StatusQualifier(); statusOf(&busy) != sam.Busy || got != want {
			t.Errorf("level %s: status %02x, qualifier %04x", level, statusOf(&busy), got)
		}
		for _, other := range []*answer{&fault, &active} {
			if got := pdu.AsSCSIResponse(&other.h).StatusQualifier(); got != 0 {
				t.Errorf("status %02x has qualifier %04x", statusOf(other), got)
			}
		}
		a.clearACA()
	}
}
