package transport

import (
	"testing"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
)

// A refusal that is held back is said after its time, once, and what comes
// meanwhile is not looked at.
func TestLogin_Refusal_IsHeldBack(t *testing.T) {
	w := newWorld(t, options{})
	w.access = func(login.Query) login.Access { return login.Access{Status: pdu.LoginForbidden} }
	hold := w.stack.limits.AbortNanos
	w.over = func(_ login.Identity, s pdu.LoginStatus) int64 {
		if s != pdu.LoginForbidden {
			t.Errorf("the keeper hears %v", s)
		}
		return hold
	}
	c := w.dial()
	c.send(c.loginRequest())
	c.send(c.loginRequest())
	if a := c.answers(); len(a) != 0 || w.through != 0 {
		t.Fatalf("at once: %s", names(a))
	}
	w.pass(2 * hold)
	a := c.one(pdu.OpLoginResp)
	if s := pdu.AsLoginResponse(&a.h).Status(); s != pdu.LoginForbidden || !c.peer.Ended() {
		t.Errorf("%v, ended %v", s, c.peer.Ended())
	}
	if w.through != 1 {
		t.Errorf("through %d times", w.through)
	}
}

// Every connection is through its login once: in full feature phase or gone.
func TestLogin_Through_Once(t *testing.T) {
	w := newWorld(t, options{})
	silent := w.dial()
	in := w.login()
	if w.through != 1 {
		t.Errorf("in full feature phase: %d", w.through)
	}
	silent.peer.Close()
	w.settle()
	if w.through != 2 {
		t.Errorf("gone: %d", w.through)
	}
	in.peer.Close()
	w.settle()
	if w.through != 2 {
		t.Errorf("at the end of a session: %d", w.through)
	}
}
