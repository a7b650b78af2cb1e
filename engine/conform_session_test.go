package engine

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

func oneUnit(t *testing.T, reactors int) *Engine {
	return start(t, testConfig(t, reactors, Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512}))
}

// The same initiator port again takes the place of its session: the old connection
// ends without a word, its task is never answered, the handle is another, and the
// nexus hears of the loss once.
func TestSession_Reinstatement(t *testing.T) {
	conform.Covers(t, "R-5.3.5-2", "R-5.3.5.1-1", "R-6.13-1", "R-3.4.3-1", "R-3.4.3.1-1", "R-7.1.2-2", "R-F.2-2", "R-10.14-6")
	conform.Trap(t, 16)
	e := oneUnit(t, 2)
	var used []pdu.TSIH
	var old *raw
	for lap := range 5 {
		r := dialRaw(t, e, 0)
		tsih := r.in(DefaultTarget)
		for _, u := range used {
			if u == tsih {
				t.Errorf("handle %d is used again at once", tsih)
			}
		}
		used = append(used, tsih)
		want := uint16(0x2907)
		if lap == 0 {
			want = 0x2900
		}
		if code := r.testReady(0); code != want {
			t.Errorf("lap %d: attention %04x, want %04x", lap, code, want)
		}
		if code := r.testReady(0); code != 0 {
			t.Errorf("lap %d: a second attention %04x", lap, code)
		}
		if old != nil {
			old.closed(pdu.OpAsync)
		}
		// A write whose data never comes is under way when the next login is here.
		r.write10(1)
		old = r
	}
}

// Logins that race for one initiator port each take the place of the one before, and
// one session is left.
func TestSession_RacingReinstatements(t *testing.T) {
	conform.Trap(t, 16)
	e := oneUnit(t, 2)
	const racers = 12
	var over, told sync.WaitGroup
	var alive atomic.Int32
	over.Add(racers)
	for range racers {
		r := dialRaw(t, e, 0)
		told.Go(func() {
			in := r.getsIn()
			over.Done()
			over.Wait() // now nobody is still to come
			if in && r.lives() {
				alive.Add(1)
			}
		})
	}
	told.Wait()
	if n := alive.Load(); n != 1 {
		t.Errorf("%d of %d sessions live", n, racers)
	}
}

// getsIn says whether a login ends in full feature phase.
func (r *raw) getsIn() bool {
	h, text := r.loginRequest(0, "TargetName="+DefaultTarget)
	if r.conn.Send(h, nil, text) != nil {
		return false
	}
	p, err := r.conn.Receive()
	return err == nil && pdu.AsLoginResponse(&p.Header).Status() == pdu.LoginSuccess
}

// lives says whether a session answers a command.
func (r *raw) lives() bool {
	h := r.request(pdu.OpSCSICommand)
	h.SetFlags(pdu.FlagFinal | byte(sam.Simple))
	if r.conn.Send(h, nil, nil) != nil {
		return false
	}
	p, err := r.conn.Receive()
	return err == nil && p.Header.Opcode() == pdu.OpSCSIResponse
}

// Another initiator port, and the same one at another target or portal group, is a
// session of its own.
func TestSession_IsPerPortsAndTarget(t *testing.T) {
	conform.Covers(t, "R-3.4.3-1", "R-3.2.3-8", "R-3.2.1-1", "R-9.1.1-1")
	conform.Trap(t, 16)
	e := twoGroups(t)
	var all []*raw
	for _, k := range []struct {
		portal int
		isid   byte
		target string
	}{{0, 1, "both"}, {2, 1, "both"}, {0, 2, "both"}, {2, 1, "seven"}} {
		r := dialRaw(t, e, k.portal)
		r.isid[5] = k.isid
		r.in("iqn.2026-11.lunar:" + k.target)
		all = append(all, r)
	}
	for i, r := range all {
		if code := r.testReady(0); code != 0x2900 {
			t.Errorf("session %d: %04x", i, code)
		}
	}
}

// What a login with a handle gets (RFC 3720 §5.3.1): the session has one connection
// at level 0, so a second is one too many, the same again is reinstatement, and a
// handle that is not its own names nothing.
func TestSession_HandleOfALogin(t *testing.T) {
	conform.Covers(t, "R-10.12.6-2", "R-12.2-1", "R-D-13", "R-5.3.4-2", "R-3.2.1-2", "R-10.12.7-2", "R-5.3.4-3", "R-7.2-1", "R-7.2-2")
	conform.Trap(t, 17)
	e := twoGroups(t)
	const both = "TargetName=iqn.2026-11.lunar:both"
	first := dialRaw(t, e, 0)
	tsih := first.in("iqn.2026-11.lunar:both")
	first.testReady(0)
	for _, k := range []struct {
		name   string
		portal int
		change func(r *raw)
		tsih   pdu.TSIH
		want   pdu.LoginStatus
	}{
		{"another connection", 0, func(r *raw) { r.cid = 1 }, tsih, pdu.LoginTooManyConnections},
		{"unknown handle", 0, func(*raw) {}, tsih + 1, pdu.LoginNoSession},
		{"another port's handle", 0, func(r *raw) { r.isid[5]++ }, tsih, pdu.LoginNoSession},
		{"another portal group", 2, func(*raw) {}, tsih, pdu.LoginCannotInclude},
	} {
		r := dialRaw(t, e, k.portal)
		k.change(r)
		if l := r.login(k.tsih, both); l.Status() != k.want {
			t.Errorf("%s: %v, want %v", k.name, l.Status(), k.want)
		}
		r.closed(pdu.OpLoginResp)
		// A login that failed leaves the session as it was.
		if code := first.testReady(0); code != 0 {
			t.Fatalf("%s: the session says %04x", k.name, code)
		}
	}
	again := dialRaw(t, e, 0)
	if l := again.login(tsih, both); l.Status() != pdu.LoginSuccess || l.TSIH() != tsih {
		t.Fatalf("reinstatement: %v, handle %d of %d", l.Status(), l.TSIH(), tsih)
	}
	first.closed(pdu.OpAsync)
	if code := again.testReady(0); code != 0x2907 {
		t.Errorf("after reinstatement: %04x", code)
	}
}

// A connection that is reinstated has the parameters of its session: what only the
// leading login may settle is not offered again.
func TestSession_ReinstatedConnection_KeepsTheSessionsParameters(t *testing.T) {
	conform.Covers(t, "R-12-1", "R-5.3.4-3")
	conform.Trap(t, 17)
	e := oneUnit(t, 2)
	r := dialRaw(t, e, 0)
	l := r.login(0, "TargetName="+DefaultTarget, "InitialR2T=Yes", "ImmediateData=No", "MaxBurstLength=4096", "MaxOutstandingR2T=1")
	r2t := func(r *raw) uint32 {
		t.Helper()
		for r.testReady(0) != 0 { // what the unit has to say first
		}
		return r.write10(32).DesiredBytes()
	}
	if n := r2t(r); n != 4096 {
		t.Fatalf("a burst of %d", n)
	}
	next := dialRaw(t, e, 0)
	if a := next.login(l.TSIH(), "TargetName="+DefaultTarget); a.Status() != pdu.LoginSuccess {
		t.Fatal(a.Status())
	}
	if n := r2t(next); n != 4096 {
		t.Errorf("after reinstatement a burst of %d", n)
	}
}

// The unit names the ports it is reached through by the iSCSI name and the tag.
func TestUnit_NamesItsPort(t *testing.T) {
	conform.Covers(t, "R-3.4.2-1", "R-3.4.2-2", "R-9.1.2-1")
	e := twoGroups(t)
	for portal, tag := range map[int]string{0: "0x0001", 2: "0x0007"} {
		r := dialRaw(t, e, portal)
		r.in("iqn.2026-11.lunar:both")
		r.testReady(0)
		h := r.request(pdu.OpSCSICommand)
		h.SetFlags(pdu.FlagFinal | pdu.CommandRead | byte(sam.Simple))
		c := pdu.AsSCSICommand(h)
		c.SetEDTL(512)
		copy(c.CDB()[:], []byte{0x12, 1, 0x83, 2, 0})
		r.send(h, nil)
		p := r.receive(pdu.OpDataIn)
		page := string(p.Data)
		if !strings.Contains(page, "iqn.2026-11.lunar:both,t,"+tag+"\x00") || !strings.Contains(page, "iqn.2026-11.lunar:both\x00") {
			t.Errorf("at portal %d: %q", portal, page)
		}
	}
}

// A portal without a port is at 3260, never at 860 unless that is said.
func TestPortal_DefaultPort(t *testing.T) {
	conform.Covers(t, "R-13-1")
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:3260", "2001:db8::1": "[2001:db8::1]:3260", "[2001:db8::1]": "[2001:db8::1]:3260",
		"192.0.2.1:860": "192.0.2.1:860", "[2001:db8::1]:860": "[2001:db8::1]:860",
	} {
		if got, err := portalAddress(in); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

// Logins beyond the limits find the door closed, those that stay half open are ended
// in time, and who is in works on.
func TestLogin_Flood(t *testing.T) {
	conform.Covers(t, "R-7.1.2-1")
	conform.Trap(t, 38)
	c := testConfig(t, 2, Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512})
	c.Limits = Limits{LoginTime: 3 * time.Second, Logins: 200, LoginsPerSource: 100}
	e := start(t, c)
	good := dialRaw(t, e, 0)
	good.in(DefaultTarget)
	var silent []*raw
	for range 150 {
		silent = append(silent, dialRaw(t, e, 0))
	}
	if code := good.testReady(0); code != 0x2900 {
		t.Errorf("during the flood: %04x", code)
	}
	for _, r := range silent {
		r.closed(pdu.OpLoginResp) // within the deadline of the connection, ten seconds
	}
	// The peer hears of the end before the door does: its core may still be at it.
	logins, turned := e.door.under()
	for end := time.Now().Add(5 * time.Second); logins != 0 && time.Now().Before(end); logins, turned = e.door.under() {
		time.Sleep(time.Millisecond)
	}
	if logins != 0 || turned != 50 {
		t.Errorf("%d logins under way, %d turned away, want 0 and 50", logins, turned)
	}
	dialRaw(t, e, 0).in(DefaultTarget) // the door is open again
}
