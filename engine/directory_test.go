package engine

import (
	"fmt"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/scsi/sam"
)

const testTarget = "iqn.2026-11.lunar:test"

// conn names a connection by one number.
func conn(n int) transport.Handle { return transport.Handle{Reactor: n % 3, Index: n, Generation: 1} }

// placed is a login that has been placed.
func placed(c transport.Handle, id login.Identity) request {
	return request{Conn: c, Identity: id, Params: login.DefaultParams(), Window: 8, Placed: true}
}

// port is the identity of a login from one initiator port.
func port(isid byte, tsih pdu.TSIH, cid pdu.CID) login.Identity {
	return login.Identity{
		Initiator: "iqn.2026-11.example:host", Target: testTarget, PortalGroupTag: 1,
		ISID: pdu.ISID{0x80, isid}, TSIH: tsih, CID: cid,
	}
}

// said writes orders as text: what is answered to whom, who is closed, and which
// nexus is lost.
func said(orders []order) (s []string) {
	for _, o := range orders {
		switch o.kind {
		case orderMove:
			s = append(s, fmt.Sprintf("move %d to %d", o.conn.Index, o.to))
		case orderAdmit:
			s = append(s, fmt.Sprintf("answer %d: %04x tsih %d nexus %d", o.conn.Index, uint16(o.admit.Status), o.admit.TSIH, o.admit.Nexus))
		case orderRecover:
			s = append(s, fmt.Sprintf("recover %d", o.conn.Index))
		case orderClose:
			s = append(s, fmt.Sprintf("close %d", o.conn.Index))
		case orderLoss:
			s = append(s, fmt.Sprintf("loss %d", o.nexus))
		case orderLoggedOut:
			s = append(s, fmt.Sprintf("logged out %d %d: %d", o.conn.Index, o.owner, o.result))
		}
	}
	return s
}

func wantOrders(t *testing.T, what string, orders []order, want ...string) {
	t.Helper()
	if got := said(orders); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// RFC 3720 §5.3.1, table 1.11, beside one session with ISID 1, TSIH 1 and CID 7.
func TestDirectory_Table(t *testing.T) {
	for name, k := range map[string]struct {
		id   login.Identity
		want []string
	}{
		"new ISID, no TSIH":                        {port(2, 0, 7), []string{"answer 2: 0000 tsih 2 nexus 1"}},
		"new ISID, TSIH of another":                {port(2, 1, 7), []string{"answer 2: 020a tsih 0 nexus 0"}},
		"new ISID, unknown TSIH":                   {port(2, 9, 7), []string{"answer 2: 020a tsih 0 nexus 0"}},
		"existing ISID, no TSIH, same CID":         {port(1, 0, 7), []string{"close 1"}},
		"existing ISID, no TSIH, new CID":          {port(1, 0, 8), []string{"close 1"}},
		"existing ISID and TSIH, same CID":         {port(1, 1, 7), []string{"close 1"}},
		"existing ISID and TSIH, new CID":          {port(1, 1, 8), []string{"answer 2: 0206 tsih 0 nexus 0"}},
		"existing ISID, unknown TSIH, same CID":    {port(1, 9, 7), []string{"answer 2: 020a tsih 0 nexus 0"}},
		"existing ISID, unknown TSIH, another CID": {port(1, 9, 8), []string{"answer 2: 020a tsih 0 nexus 0"}},
	} {
		d := newDirectory(8, 3)
		wantOrders(t, name, d.admit(placed(conn(1), port(1, 0, 7))), "answer 1: 0000 tsih 1 nexus 0")
		wantOrders(t, name, d.admit(placed(conn(2), k.id)), k.want...)
	}
}

// A key is an initiator port and a target port, all of it (RFC 3720 §3.4.3
// [R-3.4.3-1]).
func TestDirectory_KeyIsBothPorts(t *testing.T) {
	d := newDirectory(8, 3)
	d.admit(placed(conn(1), port(1, 0, 0)))
	for i, change := range []func(*login.Identity){
		func(id *login.Identity) { id.Initiator += "2" },
		func(id *login.Identity) { id.Target += "2" },
		func(id *login.Identity) { id.PortalGroupTag++ },
		func(id *login.Identity) { id.ISID[5]++ },
	} {
		id := port(1, 0, 0)
		change(&id)
		wantOrders(t, "another port", d.admit(placed(conn(2+i), id)),
			fmt.Sprintf("answer %d: 0000 tsih %d nexus %d", 2+i, 2+i, 1+i))
	}
}

// Session reinstatement: the old session ends, with a nexus loss, before the new
// one is answered, which has the nexus but another handle.
func TestDirectory_SessionReinstatement(t *testing.T) {
	d := newDirectory(8, 3)
	d.admit(placed(conn(1), port(1, 0, 7)))
	wantOrders(t, "login", d.admit(placed(conn(2), port(1, 0, 9))), "close 1")
	wantOrders(t, "end of the old", d.ended(conn(1)), "loss 0", "answer 2: 0000 tsih 2 nexus 0")
	wantOrders(t, "the new one's CID", d.admit(placed(conn(3), port(1, 2, 9))), "close 2")
}

// Connection reinstatement keeps the session's handle: the initiator named it.
func TestDirectory_ConnectionReinstatement_KeepsTSIH(t *testing.T) {
	conform.Covers(t, "R-3.4.3-2")
	d := newDirectory(8, 3)
	d.admit(placed(conn(1), port(1, 0, 7)))
	wantOrders(t, "login", d.admit(placed(conn(2), port(1, 1, 7))), "close 1")
	wantOrders(t, "end of the old", d.ended(conn(1)), "loss 0", "answer 2: 0000 tsih 1 nexus 0")
	wantOrders(t, "another port", d.admit(placed(conn(3), port(2, 0, 7))), "answer 3: 0000 tsih 2 nexus 1")
}

// Connection reinstatement keeps the numbers too, though no connection is left for a
// moment: others may have brought commands since the login was sent.
func TestDirectory_ConnectionReinstatement_KeepsNumbers(t *testing.T) {
	d := newDirectory(8, 3)
	r := placed(conn(1), port(1, 0, 7))
	r.Params.MaxConnections = 2
	order := d.admit(r)[0].admit.Order
	d.admit(placed(conn(2), port(1, 1, 7)))
	orders := d.ended(conn(1))
	if got := orders[len(orders)-1].admit.Order; got == nil || got != order {
		t.Errorf("the order is %p, was %p", got, order)
	}
	d.admit(placed(conn(3), port(1, 1, 8)))
	d.ended(conn(3)) // it failed
	d.admit(placed(conn(4), port(1, 1, 7)))
	d.ended(conn(2))
	if got := d.logout(conn(4), 9, 8, pdu.CloseConnection); len(got) != 1 || got[0].result != pdu.LogoutDone {
		t.Errorf("logout of the connection that failed: %+v", got)
	}
}

// A session that ends as a whole, by a reset or a logout, is not revived by a login that
// waits for one of its connections: what was told of its numbers would not hold.
func TestDirectory_EndedSession_KeepsNoHandle(t *testing.T) {
	d := newDirectory(8, 3)
	d.admit(placed(conn(1), port(1, 0, 7)))
	wantOrders(t, "cold reset", d.of(testTarget), "close 1")
	wantOrders(t, "login for its connection", d.admit(placed(conn(2), port(1, 1, 7))))
	wantOrders(t, "end", d.ended(conn(1)), "loss 0", "answer 2: 020a tsih 0 nexus 0")
}

// A login that waited for a session which another reinstated is refused, and
// does not end the other.
func TestDirectory_WaitingForASessionThatWasReplaced(t *testing.T) {
	d := newDirectory(8, 3)
	d.admit(placed(conn(1), port(1, 0, 7)))
	d.admit(placed(conn(2), port(1, 0, 7)))
	wantOrders(t, "by handle", d.admit(placed(conn(3), port(1, 1, 7))))
	wantOrders(t, "end of 1", d.ended(conn(1)), "loss 0", "answer 2: 0000 tsih 2 nexus 0", "answer 3: 020a tsih 0 nexus 0")
	wantOrders(t, "end of 3", d.ended(conn(3)))
}

// Logins that race are answered in order; each ends the one before it.
func TestDirectory_RacingLogins(t *testing.T) {
	d := newDirectory(1, 3) // at the limit: a reinstatement needs no further place
	d.admit(placed(conn(1), port(1, 0, 0)))
	wantOrders(t, "second", d.admit(placed(conn(2), port(1, 0, 0))), "close 1")
	wantOrders(t, "third", d.admit(placed(conn(3), port(1, 0, 0))))
	wantOrders(t, "fourth", d.admit(placed(conn(4), port(1, 0, 0))))
	wantOrders(t, "end of 1", d.ended(conn(1)), "loss 0", "answer 2: 0000 tsih 2 nexus 0", "close 2")
	wantOrders(t, "fifth", d.admit(placed(conn(5), port(1, 0, 0))))
	wantOrders(t, "end of 2", d.ended(conn(2)), "loss 0", "answer 3: 0000 tsih 3 nexus 0", "close 3")
	wantOrders(t, "end of 3", d.ended(conn(3)), "loss 0", "answer 4: 0000 tsih 4 nexus 0", "close 4")
	wantOrders(t, "end of 4", d.ended(conn(4)), "loss 0", "answer 5: 0000 tsih 5 nexus 0")
	wantOrders(t, "end of 5", d.ended(conn(5)), "loss 0")
	wantOrders(t, "after all", d.admit(placed(conn(6), port(1, 0, 0))), "answer 6: 0000 tsih 6 nexus 0")
}

// A login that dies while it waits is forgotten; those behind it are not.
func TestDirectory_WaitingLoginDies(t *testing.T) {
	d := newDirectory(8, 3)
	d.admit(placed(conn(1), port(1, 0, 0)))
	d.admit(placed(conn(2), port(1, 0, 0)))
	d.admit(placed(conn(3), port(1, 0, 0)))
	wantOrders(t, "end of the waiting", d.ended(conn(2)))
	wantOrders(t, "end of the old", d.ended(conn(1)), "loss 0", "answer 3: 0000 tsih 2 nexus 0")
	d.admit(placed(conn(4), port(1, 0, 0)))
	wantOrders(t, "end of the last waiting", d.ended(conn(4)))
	wantOrders(t, "end with nobody waiting", d.ended(conn(3)), "loss 0")
}

// A connection that died before its answer arrived leaves no session behind.
func TestDirectory_DiesBeforeItsAnswer(t *testing.T) {
	d := newDirectory(1, 3)
	d.admit(placed(conn(1), port(1, 0, 0))) // the answer finds nobody
	wantOrders(t, "end", d.ended(conn(1)), "loss 0")
	wantOrders(t, "again", d.admit(placed(conn(2), port(1, 0, 0))), "answer 2: 0000 tsih 2 nexus 0")
}

func TestDirectory_Limit(t *testing.T) {
	d := newDirectory(2, 3)
	for n := range 2 {
		d.admit(placed(conn(n), port(byte(n), 0, 0)))
	}
	wantOrders(t, "one too many", d.admit(placed(conn(5), port(5, 0, 0))), "answer 5: 0302 tsih 0 nexus 0")
	d.ended(conn(5))
	d.ended(conn(0))
	wantOrders(t, "a place again", d.admit(placed(conn(6), port(6, 0, 0))), "answer 6: 0000 tsih 3 nexus 2")
}

// A handle is never 0, never one in use, and not one that was just given back
// (RFC 3720 §3.4.3 [R-3.4.3-2]).
func TestDirectory_TSIH(t *testing.T) {
	conform.Covers(t, "R-3.4.3-2")
	d := newDirectory(8, 3)
	d.admit(placed(conn(1), port(1, 0, 0))) // holds 1
	d.lastTSIH = 1<<16 - 2
	seen := map[pdu.TSIH]bool{1: true}
	for n := 2; n < 1000; n++ {
		id := port(2, 0, 0)
		id.Discovery = n%2 == 0
		o := d.admit(placed(conn(n), id))
		tsih := o[0].admit.TSIH
		if tsih == 0 || seen[tsih] || o[0].admit.Status != pdu.LoginSuccess {
			t.Fatalf("login %d got %q", n, said(o))
		}
		seen[tsih] = true
		if got := d.ended(conn(n)); id.Discovery != (got == nil) {
			t.Fatalf("end of login %d: %q", n, said(got))
		}
	}
}

func TestDirectory_ColdResetClosesTheTargetsSessions(t *testing.T) {
	d := newDirectory(8, 3)
	other := port(9, 0, 0)
	other.Target += "2"
	d.admit(placed(conn(9), other))
	d.admit(placed(conn(1), port(1, 0, 0)))
	wantOrders(t, "of the target", d.of(testTarget), "close 1")
	if o := d.of("iqn.2026-11.lunar:none"); o != nil {
		t.Errorf("of no target: %q", said(o))
	}
}

// A nexus keeps its number over sessions; at the limit the one unused for longest
// gives its number up, and one in use never does.
func TestNexuses_StableAndRecycled(t *testing.T) {
	x := newNexuses(3)
	key := func(n byte) sessionKey { return sessionKey{isid: pdu.ISID{n}} }
	want := func(n byte, number sam.Nexus) {
		t.Helper()
		if got := x.open(key(n)); got != number {
			t.Fatalf("nexus %d has number %d, want %d", n, got, number)
		}
	}
	want(1, 0)
	want(2, 1)
	want(3, 2)
	x.close(key(2))
	x.close(key(1))
	want(1, 0) // known
	x.close(key(1))
	want(4, 1) // 2 was unused for longest
	want(5, 0)
	want(6, 3) // all are in use, so there is one more
	want(3, 2)
	x.close(key(6))
	want(2, 3) // forgotten, and new
	if len(x.known) != 4 {
		t.Errorf("%d nexuses are remembered", len(x.known))
	}
	x.close(key(7)) // never opened: nothing
}

// A session goes to the reactor with the fewest, and stays where it arrived when
// that is one of them; ends count too.
func TestDirectory_Places(t *testing.T) {
	d := newDirectory(8, 3)
	at := func(n, reactor int) transport.Handle {
		return transport.Handle{Reactor: reactor, Index: n, Generation: 1}
	}
	ask := func(n, reactor int, want ...string) {
		t.Helper()
		wantOrders(t, fmt.Sprintf("login %d on %d", n, reactor),
			d.admit(request{Conn: at(n, reactor), Identity: port(byte(n), 0, 0)}), want...)
	}
	ask(1, 1, "answer 1: 0000 tsih 1 nexus 0")
	ask(2, 1, "move 2 to 0")
	wantOrders(t, "placed", d.admit(placed(at(2, 0), port(2, 0, 0))), "answer 2: 0000 tsih 2 nexus 1")
	ask(3, 0, "move 3 to 2")
	wantOrders(t, "could not go", d.admit(placed(at(3, 0), port(3, 0, 0))), "answer 3: 0000 tsih 3 nexus 2")
	ask(4, 2, "answer 4: 0000 tsih 4 nexus 3")
	d.ended(at(1, 1))
	ask(5, 0, "move 5 to 1")
	discovery := port(6, 0, 0)
	discovery.Discovery = true
	wantOrders(t, "discovery stays", d.admit(request{Conn: at(6, 0), Identity: discovery}), "answer 6: 0000 tsih 5 nexus 0")
}
