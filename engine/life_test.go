package engine

import (
	"os"
	"strings"
	"testing"
	"time"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// fail ends a core as an error of its own would.
func fail(e *Engine, k *core) {
	e.tell(k, &control{run: func() { panic("a test ends this reactor") }})
}

// When a reactor fails, the others end before the media they use are closed.
func TestStop_AfterAFailure_EndsTheOthersFirst(t *testing.T) {
	e, err := Start(testConfig(t, 2, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512}))
	if err != nil {
		t.Fatal(err)
	}
	fail(e, e.cores[1])
	<-e.Done()
	if err := e.Stop(); err == nil || !strings.Contains(err.Error(), "reactor 1") {
		t.Errorf("the failure: %v", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running != 0 {
		t.Errorf("%d reactors go on, and their media are closed", e.running)
	}
}

// A reactor that fails while the target stops holds nobody up.
func TestStop_WhileAReactorFails(t *testing.T) {
	e, err := Start(testConfig(t, 2, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512}))
	if err != nil {
		t.Fatal(err)
	}
	entered, goOn := make(chan struct{}), make(chan struct{})
	e.tell(e.cores[1], &control{run: func() { close(entered); <-goOn; panic("a test ends this reactor") }})
	<-entered
	stopped := make(chan error)
	go func() { stopped <- e.Stop() }()
	for stopping := false; !stopping; {
		e.on(e.cores[0], func() { stopping = e.cores[0].stopping })
	}
	close(goOn)
	if err := <-stopped; err == nil {
		t.Error("no failure is reported")
	}
}

// A target that has stopped takes no configuration, and takes hold of nothing for one.
func TestApply_AfterStop(t *testing.T) {
	c := testConfig(t, 2, Unit{Medium: File, Path: t.TempDir() + "/disk", Bytes: 1 << 20, BlockBytes: 512})
	e, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(c); err == nil || !strings.Contains(err.Error(), "stop") {
		t.Errorf("a change after the end: %v", err)
	}
	if len(e.units) != 0 {
		t.Errorf("%d units are open", len(e.units))
	}
	if s := e.Describe(); !strings.Contains(s, "/disk") {
		t.Errorf("described as %q", s)
	}
}

// owing is a session that owes the data of a WRITE to a LUN.
func owing(t *testing.T, e *Engine, lun uint16) (r *raw, paid func()) {
	t.Helper()
	r = dialRaw(t, e, 0)
	r.in(DefaultTarget)
	for r.testReady(lun) != 0 {
		t.Log("an attention is taken")
	}
	h := r.request(pdu.OpSCSICommand)
	h.SetLUN(sam.LUNOf(lun))
	h.SetFlags(pdu.FlagFinal | pdu.CommandWrite | byte(sam.Simple))
	c := pdu.AsSCSICommand(h)
	c.SetEDTL(512)
	copy(c.CDB()[:], []byte{0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0})
	r.send(h, nil)
	ttt := pdu.AsR2T(&r.receive(pdu.OpR2T).Header).TTT()
	return r, func() {
		t.Helper()
		d := r.request(pdu.OpDataOut)
		d.SetITT(h.ITT())
		d.SetLUN(sam.LUNOf(lun))
		pdu.AsDataOut(d).SetTTT(ttt)
		r.send(d, make([]byte, 512))
		if s := pdu.AsSCSIResponse(&r.receive(pdu.OpSCSIResponse).Header).Status(); s != sam.Good {
			t.Errorf("the write: %v", s)
		}
	}
}

// A unit that is removed under a command stays open until that has ended, and is
// closed by the next change.
func TestApply_RemovedUnitWithACommand(t *testing.T) {
	e, c := twoUnits(t, 2)
	e.rest = time.Millisecond
	r, pay := owing(t, e, 1)
	less := again(c)
	less.Targets[0].LUNs, less.Units = less.Targets[0].LUNs[:1], less.Units[:1]
	for range 2 {
		apply(t, e, again(less))
		if len(e.units) != 2 || strings.Contains(e.Describe(), "disk") {
			t.Fatalf("%d units are open, described as %s", len(e.units), e.Describe())
		}
		status(t, e)
	}
	pay()
	if got := r.testReady(1); got != 0x2500 {
		t.Errorf("the LUN that went: %04x", got)
	}
	e.rest = restTime
	apply(t, e, again(less))
	if len(e.units) != 1 {
		t.Errorf("%d units are open", len(e.units))
	}
	// The file can be locked anew: it was closed.
	apply(t, e, c)
	readBack(t, enter(t, e, "", DefaultTarget))
}

// A stop does not wait for a change that waits for commands.
func TestStop_DuringAChange(t *testing.T) {
	c := testConfig(t, 1,
		Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512}, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	e, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	e.rest = 24 * time.Hour
	owing(t, e, 1)
	less := again(c)
	less.Targets[0].LUNs, less.Units = less.Targets[0].LUNs[:1], less.Units[:1]
	changed := make(chan error)
	go func() { changed <- e.Apply(less) }()
	for adopted := false; !adopted; {
		e.on(e.cores[0], func() { adopted = len(e.cores[0].catalog.targets[DefaultTarget].LUNs) == 1 })
	}
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-changed; err != nil {
		t.Error(err)
	}
}

// A unit that cannot change its size, because an initiator owes data, keeps it and
// serves everyone else; the change can be asked for again.
func TestApply_ResizeUnderACommand_KeepsTheSize(t *testing.T) {
	for _, bytes := range []int64{16 << 20, 4 << 20} {
		e, c := twoUnits(t, 2)
		_, pay := owing(t, e, 1)
		other := enter(t, e, "iqn.2026-11.host:other", DefaultTarget)
		e.rest = time.Millisecond
		sized := again(c)
		sized.Units[1].Bytes = bytes
		if err := e.Apply(again(sized)); err == nil || !strings.Contains(err.Error(), "reload") {
			t.Errorf("a change of size under a command: %v", err)
		}
		sensed(t, other, 1, 0x2900)
		writeAs(t, other, 1, 3)
		readAs(t, other, 1, 3)
		st, err := os.Stat(c.Units[1].Path)
		if err != nil || st.Size() != 8<<20 || status(t, e).Units[1].Bytes != 8<<20 {
			t.Errorf("the file: %v, %v", st.Size(), err)
		}
		pay()
		e.rest = restTime
		apply(t, e, again(sized))
		sensed(t, other, 1, 0x2a09)
		if got := status(t, e).Units[1].Bytes; got != bytes {
			t.Errorf("%d bytes, want %d", got, bytes)
		}
	}
}
