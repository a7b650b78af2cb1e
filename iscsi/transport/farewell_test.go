package transport

import (
	"bytes"
	"syscall"
	"testing"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
)

// stalled makes a connection one whose peer reads nothing: a send does not end
// until the connection is shut.
func (w *world) stalled(c *Conn) (shut func()) {
	c.flying = w.stack.getBatch()
	return func() { c.sent(-int32(syscall.EPIPE)) }
}

// A session that is to end, because its initiator may not have it any more, does
// nothing further, also when its initiator cannot be told because it does not read;
// and what that one goes on to send does not keep it.
func TestFarewell_ToOneThatDoesNotRead(t *testing.T) {
	w := newWorld(t, options{})
	c := w.login()
	conn := w.stack.conns[0]
	shut := w.stalled(conn)
	before := bytes.Clone(w.medium[:512])
	w.stack.Revise(func(login.Identity) View { return View{} })
	c.write10(0, 1, bytes.Repeat([]byte{0xa5}, 512), true)
	w.settle()
	if !bytes.Equal(before, w.medium[:512]) {
		t.Error("a command was carried out for an initiator without access")
	}
	for range 8 {
		c.send(c.request(pdu.OpNOPOut, true), nil)
		w.pass(w.stack.limits.AbortNanos / 2)
	}
	if conn.phase != closing {
		t.Errorf("the connection is in phase %d", conn.phase)
	}
	shut()
	w.settle()
}

// A connection that has only its last word to say ends in time, whatever comes.
func TestLeaving_ToOneThatDoesNotRead(t *testing.T) {
	w := newWorld(t, options{})
	c := w.login()
	conn := w.stack.conns[0]
	conn.leave()
	shut := w.stalled(conn)
	for range 10 {
		c.peer.Write([]byte{0})
		w.pass(w.stack.limits.PingNanos / 4)
	}
	if conn.phase != closing {
		t.Errorf("the connection is in phase %d", conn.phase)
	}
	shut()
	w.settle()
}
