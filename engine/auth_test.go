package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/internal/conform"
	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
)

func secretOf(name string) auth.Credentials {
	return auth.Credentials{Name: name, Secret: []byte(name + "-secret-0123456789")}
}

// guarded is an engine whose target, one initiator and discovery each demand another
// proof.
func guarded(t *testing.T, algorithms ...auth.Algorithm) *Engine {
	c := testConfig(t, 2, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	us := secretOf("us")
	c.Discovery = &auth.Policy{Users: []auth.Credentials{secretOf("finder")}}
	c.Targets[0].Auth = &auth.Policy{Users: []auth.Credentials{secretOf("host"), secretOf("other")}, Mutual: &us, Algorithms: algorithms}
	c.Targets[0].Access = []Access{
		{Initiator: "iqn.2026-11.host:db", Auth: &auth.Policy{Users: []auth.Credentials{secretOf("database")}}},
		{Initiator: "iqn.2026-11.host:*"},
	}
	return start(t, c)
}

// as is a configuration that proves a name, and asks for ours when mutual.
func as(e *Engine, name string, user string, mutual bool) initiator.Config {
	c := initiator.Config{Portal: e.Portals()[0], Target: DefaultTarget, Initiator: "iqn.2026-11.host:" + name}
	if user != "" {
		me := secretOf(user)
		c.CHAP = initiator.CHAP{User: me.Name, Secret: string(me.Secret)}
		if mutual {
			us := secretOf("us")
			c.CHAP.TargetUser, c.CHAP.TargetSecret = us.Name, string(us.Secret)
		}
	}
	return c
}

// Each of target, initiator and discovery asks for its own proof, and takes no other.
func TestAuth_PerTargetInitiatorAndDiscovery(t *testing.T) {
	conform.Covers(t, "R-8.2-1", "R-11.1-1", "R-8.2.1-1")
	conform.Trap(t, 24)
	e := guarded(t)
	e.door.mu.Lock()
	e.door.first = 0 // this is about something else
	e.door.mu.Unlock()
	for _, k := range []struct {
		name, user string
		mutual     bool
		want       pdu.LoginStatus
	}{
		{"a", "host", false, pdu.LoginSuccess},
		{"a", "host", true, pdu.LoginSuccess},
		{"a", "other", true, pdu.LoginSuccess},
		{"a", "database", false, pdu.LoginAuthFailure},
		{"a", "", false, pdu.LoginAuthFailure},
		{"db", "database", false, pdu.LoginSuccess},
		{"db", "database", true, pdu.LoginAuthFailure}, // it has nothing to prove us by
		{"db", "host", false, pdu.LoginAuthFailure},
	} {
		s, err := initiator.Dial(t.Context(), as(e, k.name, k.user, k.mutual))
		var status *initiator.LoginError
		got := pdu.LoginSuccess
		if errors.As(err, &status) {
			got = status.Status
		}
		if got != k.want || err != nil && status == nil {
			t.Errorf("%s as %q, mutual %v: %v", k.name, k.user, k.mutual, err)
		}
		if err == nil {
			writeAs(t, s, 0, 1)
			_ = s.Close()
		}
	}
	for user, ok := range map[string]bool{"finder": true, "host": false, "": false} {
		c := as(e, "a", user, false)
		c.Target, c.Discovery = "", true
		s, err := initiator.Dial(t.Context(), c)
		if (err == nil) != ok {
			t.Errorf("discovery as %q: %v", user, err)
			continue
		}
		if err == nil {
			found, err := s.SendTargets(t.Context(), "All")
			if err != nil || len(found) != 1 {
				t.Errorf("%v, %v", found, err)
			}
			_ = s.Close()
		}
	}
}

// Every algorithm works alone, over real sockets.
func TestAuth_EveryAlgorithm(t *testing.T) {
	for _, a := range auth.Algorithms() {
		e := guarded(t, a)
		s, err := initiator.Dial(t.Context(), as(e, "a", "host", true))
		if err != nil {
			t.Errorf("%v: %v", a, err)
			continue
		}
		writeAs(t, s, 0, 2)
		_ = s.Close()
	}
}

// Failed proofs are answered later and later; who proves itself gets in between.
func TestAuth_FailuresWait(t *testing.T) {
	e := guarded(t)
	fail := func() time.Duration {
		begun := time.Now()
		if s, err := initiator.Dial(t.Context(), as(e, "a", "database", false)); err == nil {
			_ = s.Close()
			t.Fatal("a wrong name got in")
		}
		return time.Since(begun)
	}
	fail()
	if d := fail(); d < firstHold {
		t.Errorf("the second failure took %v", d)
	}
	s, err := initiator.Dial(t.Context(), as(e, "a", "host", false))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

// An initiator port whose session was opened with one name is not taken over with
// another.
func TestAuth_ReinstatementProvesTheSameName(t *testing.T) {
	conform.Covers(t, "N-17")
	d := newDirectory(4, 3)
	first := port(1, 0, 0)
	first.User = "host"
	d.admit(placed(conn(3), first))
	again := first
	again.TSIH, again.User = 1, "other"
	wantOrders(t, "another name", d.admit(placed(conn(6), again)), "answer 6: 0201 tsih 0 nexus 0")
	again.User = "host"
	wantOrders(t, "the same name", d.admit(placed(conn(9), again)), "close 3")
}

// What is open to everyone from elsewhere is said at the start.
func TestConfig_Warnings(t *testing.T) {
	conform.Covers(t, "R-8-2")
	c := whole()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("on loopback: %q", w)
	}
	c.Groups[0].Portals[0] = "192.0.2.1:3260"
	w := c.Warnings()
	if len(w) != 2 || !strings.Contains(w[0], c.Targets[0].Name) || !strings.Contains(w[1], "192.0.2.1:3260") {
		t.Errorf("from elsewhere: %q", w)
	}
	for i := range c.Targets {
		c.Targets[i].Auth = &auth.Policy{Users: []auth.Credentials{secretOf("same")}}
	}
	c.Discovery = &auth.Policy{Users: []auth.Credentials{{Name: "finder", Secret: secretOf("same").Secret}}}
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0], "same secret") {
		t.Errorf("guarded: %q", w)
	}
}
