package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

func status(t testing.TB, e *Engine) *Status {
	t.Helper()
	st, err := e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Every command is counted once, with what it moved, wherever its connection and the
// home of its unit are; a unit with a cache has a side at its home alone.
func TestStatus_CountsCommandsOnEveryPath(t *testing.T) {
	for reactors := 1; reactors <= 2; reactors++ {
		c := testConfig(t, reactors,
			Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512},
			Unit{Medium: File, Path: filepath.Join(t.TempDir(), "disk"), Bytes: 8 << 20, BlockBytes: 4096, Direct: "off"},
			Unit{Medium: RAM, Bytes: 16 << 20, BlockBytes: 512, Cache: 1 << 20},
		)
		e := start(t, c)
		sessions := []*initiator.Session{enter(t, e, "iqn.2026-11.host:a", DefaultTarget), enter(t, e, "iqn.2026-11.host:b", DefaultTarget)}
		for _, s := range sessions {
			for lun := range uint16(3) {
				readWrite(t, s, lun)
			}
		}
		st := status(t, e)
		for i, u := range st.Units {
			if u.Reads != 6 || u.ReadBytes != 6*8192 || u.Writes != 4 || u.WriteBytes != 4*16384 {
				t.Errorf("%d reactors, unit %d: %+v", reactors, i, u)
			}
			want := []ErrorCount{{uint8(sam.IllegalRequest), "illegal request", 2}, {uint8(sam.UnitAttention), "unit attention", 2}}
			if !slices.Equal(u.Errors, want) {
				t.Errorf("%d reactors, unit %d: errors %+v", reactors, i, u.Errors)
			}
		}
		if u := st.Units[0]; u.Passed < 10 {
			t.Errorf("%d of 10 reads and writes passed the gate", u.Passed)
		}
		checkSessions(t, st, reactors)
	}
}

// readWrite runs, after the unit attention of a new nexus, three reads of 8 KiB, two
// writes of 16 KiB and a command that nobody knows.
func readWrite(t *testing.T, s *initiator.Session, lun uint16) {
	t.Helper()
	testReady(t, s, lun)
	d, err := initiator.OpenDisk(t.Context(), s, lun)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := d.ReadAt(make([]byte, 8192), 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := d.WriteAt(make([]byte, 16384), 32768); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(lun), CDB: []byte{0xff, 0, 0, 0, 0, 0}}); err != nil || r.Status != sam.CheckCondition {
		t.Fatalf("status %v, %v", r.Status, err)
	}
}

func checkSessions(t *testing.T, st *Status, reactors int) {
	t.Helper()
	if len(st.Sessions) != 2 || st.Targets[0].Sessions != 2 || len(st.Targets[0].LUNs) != 3 {
		t.Fatalf("%+v %+v", st.Sessions, st.Targets)
	}
	connections := 0
	for _, r := range st.Reactors {
		connections += r.Connections
		if r.Turns == 0 || r.ReceiveBuffersFree != recvCount || len(r.Pools) != 3 || r.Pools[1].Free != r.Pools[1].Bytes {
			t.Errorf("reactor %+v", r)
		}
		if r.Sessions != 2/reactors {
			t.Errorf("%d sessions on reactor %d of %d", r.Sessions, r.Number, reactors)
		}
	}
	if connections != 2 || !slices.Equal(st.Node.Logins, []LoginCount{{0, "success", 2}}) || st.Node.LoginsUnderWay != 0 {
		t.Errorf("%d connections, node %+v", connections, st.Node)
	}
	for _, s := range st.Sessions {
		if s.ID == 0 || !strings.HasPrefix(s.Initiator, "iqn.2026-11.host:") || s.Source != "127.0.0.1" || s.State != "full feature" ||
			s.Commands < 21 || s.BytesIn < 6*16384 || s.BytesOut < 9*8192 || s.Tasks != 0 || s.Keys.MaxBurstLength == 0 || len(s.ISID) != 12 {
			t.Errorf("%+v", s)
		}
	}
}

// Who a session is and how it logged in is shown; refused logins are counted by result.
func TestStatus_WhoLoggedIn(t *testing.T) {
	c := testConfig(t, 1, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	c.Targets[0].Auth = &auth.Policy{Users: []auth.Credentials{{Name: "host", Secret: []byte("a secret of this test")}}}
	e := start(t, c)
	refused(t, e, "", DefaultTarget, pdu.LoginAuthFailure)
	refused(t, e, "", "iqn.2026-11.lunar:nowhere", pdu.LoginNotFound)
	open := again(c)
	open.Targets[0].Auth = nil
	apply(t, e, open)
	r := dialRaw(t, e, 0)
	if l := r.login(0, "TargetName="+DefaultTarget, "InitiatorAlias=a name for people", "HeaderDigest=CRC32C"); l.Status() != pdu.LoginSuccess {
		t.Fatal(l.Status())
	}
	st := status(t, e)
	want := []LoginCount{{0, "success", 1}, {uint16(pdu.LoginAuthFailure), "authentication failed", 1}, {uint16(pdu.LoginNotFound), "target not found", 1}}
	if !slices.Equal(st.Node.Logins, want) {
		t.Errorf("logins %+v", st.Node.Logins)
	}
	apply(t, e, again(c))
	proved, err := initiator.Dial(t.Context(), initiator.Config{
		Portal: e.Portals()[0], Target: DefaultTarget, CHAP: initiator.CHAP{User: "host", Secret: "a secret of this test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proved.Close() }()
	if s := status(t, e).Sessions; s[0].User != "" || s[1].User != "host" {
		t.Errorf("users %q and %q", s[0].User, s[1].User)
	}
	if s := st.Sessions[0]; s.Alias != "a name for people" || s.Keys.HeaderDigest != "CRC32C" || s.Keys.DataDigest != "None" || s.ISID != "800102030405" {
		t.Errorf("%+v", s)
	}
}

// A session that is dropped is asked to log out; the others go on. One that nobody has
// is an error of its own kind.
func TestDropSession(t *testing.T) {
	for reactors := 1; reactors <= 2; reactors++ {
		e, _ := twoUnits(t, reactors)
		stays, goes := enter(t, e, "iqn.2026-11.host:a", DefaultTarget), enter(t, e, "iqn.2026-11.host:b", DefaultTarget)
		id := status(t, e).Sessions[1].ID
		if err := e.DropSession(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		ended(t, goes)
		testReady(t, stays, 0)
		// The initiator sees the end before the target is done with it.
		if !e.eventually(func() bool { return len(status(t, e).Sessions) == 1 }) || status(t, e).Sessions[0].Initiator != "iqn.2026-11.host:a" {
			t.Errorf("%+v", status(t, e).Sessions)
		}
		err := e.DropSession(t.Context(), id)
		if !errors.Is(err, ErrNoSession) || !strings.Contains(err.Error(), "lunar session list") {
			t.Error(err)
		}
	}
}

// An initiator that does not log out when it is asked loses its connection behind a last
// word; a discovery session, which knows no such word, is closed.
func TestDropSession_OfTheDeaf(t *testing.T) {
	e := start(t, testConfig(t, 1, Unit{Medium: Null, Bytes: 1 << 40, BlockBytes: 512}))
	deaf, discovery := dialRaw(t, e, 0), dialRaw(t, e, 0)
	deaf.in(DefaultTarget)
	if l := discovery.login(0, "SessionType=Discovery"); l.Status() != pdu.LoginSuccess {
		t.Fatal(l.Status())
	}
	st := status(t, e)
	if !slices.Equal([]bool{st.Sessions[0].Discovery, st.Sessions[1].Discovery}, []bool{false, true}) || st.Targets[0].Sessions != 1 {
		t.Fatalf("%+v", st.Sessions)
	}
	for _, s := range st.Sessions {
		if err := e.DropSession(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	if s := status(t, e).Sessions[0]; s.State != "asked to log out" && s.State != "leaving" {
		t.Errorf("%+v", s)
	}
	discovery.closed(0)
	asked := deaf.receive(pdu.OpAsync)
	if event := pdu.AsAsync(&asked.Header).Event(); event != pdu.EventLogoutRequest {
		t.Errorf("event %v", event)
	}
	deaf.closed(pdu.OpAsync)
}

// A reactor that hangs is named, holds up nobody for longer than asked, and when it goes
// on everything is as before.
func TestStatus_NamesAReactorThatHangs(t *testing.T) {
	e := start(t, testConfig(t, 2, Unit{Medium: Null, Bytes: 1 << 40, BlockBytes: 512}))
	if err := e.Responding(t.Context()); err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(goOn) // before the engine is stopped, which waits for every reactor
	e.tell(e.cores[1], &control{run: func() { <-hang }})
	for range 2 * maxAsked {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		err := e.ask(ctx, e.cores[1], func() {})
		if cancel(); !errors.Is(err, ErrNoAnswer) {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := e.Status(ctx); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "reactor 1 ") || strings.Contains(err.Error(), "reactor 0 ") {
		t.Error(err)
	}
	if err := e.Responding(t.Context()); !errors.Is(err, ErrNoAnswer) {
		t.Error(err)
	}
	goOn()
	if !e.eventually(func() bool { return e.Responding(t.Context()) == nil }) {
		t.Error("it does not answer again")
	}
	status(t, e)
	var all sync.WaitGroup
	for range maxAsked {
		all.Go(func() {
			if err := e.Responding(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Looking while the configuration changes and sessions come and go disturbs neither.
func TestStatus_WhileEverythingChanges(t *testing.T) {
	e, c := twoUnits(t, 2)
	less := again(c)
	less.Targets[0].LUNs, less.Units = less.Targets[0].LUNs[:1], less.Units[:1]
	enough, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for range 10_000 {
			if err := errors.Join(e.Apply(again(less)), e.Apply(again(c))); err != nil {
				t.Error(err)
			}
			select {
			case <-enough:
				return
			default:
			}
		}
	}()
	for range 20 {
		st := status(t, e)
		if len(st.Units) != len(st.Targets[0].LUNs) {
			t.Errorf("%d units, %d LUNs", len(st.Units), len(st.Targets[0].LUNs))
		}
		for _, u := range st.Units {
			if u.Bytes != 8<<20 {
				t.Errorf("%+v", u)
			}
		}
	}
	close(enough)
	<-over
}

// BenchmarkStatus_1000 looks at a node with a thousand units and as many sessions, which
// do nothing. core-ns/op is what it costs the reactor, in all pieces together.
func BenchmarkStatus_1000(b *testing.B) {
	const many = 1000
	log := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	b.Cleanup(func() { slog.SetDefault(log) })
	units := make([]Unit, many)
	for i := range units {
		units[i] = Unit{Medium: Null, Bytes: 1 << 30, BlockBytes: 512}
	}
	cfg := testConfig(b, 1, units...)
	cfg.Limits.LoginsPerSource = many
	e := start(b, cfg)
	for i := range many {
		s, err := initiator.Dial(b.Context(), initiator.Config{
			Portal: e.Portals()[0], Target: DefaultTarget, Initiator: fmt.Sprintf("iqn.2026-11.host:%d", i),
			// Of either size of first burst there is memory for some five hundred sessions.
			FirstBurst: []uint32{4096, 65536}[i%2],
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
	}
	if n := len(status(b, e).Sessions); n != many {
		b.Fatalf("%d sessions", n)
	}
	v, s := &view{}, e.shown.Load()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Status(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(onCore(b, e, s, v), "core-ns/op")
}

// onCore is how long one look takes on the core, without the ways there and back, and
// checks that nothing is allocated there.
func onCore(b *testing.B, e *Engine, s *shown, v *view) float64 {
	b.Helper()
	if err := e.look(b.Context(), e.cores[0], s, v); err != nil {
		b.Fatal(err)
	}
	k, laps := e.cores[0], 20
	var took time.Duration
	var allocated float64
	e.on(k, func() {
		begin := time.Now()
		for range laps {
			lookAt(k, s, v)
		}
		took = time.Since(begin)
		allocated = testing.AllocsPerRun(5, func() { lookAt(k, s, v) })
	})
	if allocated > 0 {
		b.Errorf("%v allocations on the core", allocated)
	}
	return float64(took.Nanoseconds()) / float64(laps)
}

func lookAt(k *core, s *shown, v *view) {
	v.begin(s)
	for !k.report(v, s) {
	}
}
