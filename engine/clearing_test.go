package engine

import (
	"bytes"
	"testing"
	"time"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// clearing is a session of recovery level 2 with two connections, of which the second
// meets an event, and what appendix F speaks of.
type clearing struct {
	*together
	// missing is numbered before discontiguous, which came over the second connection.
	immediate, connection, session, missing, discontiguous *pdu.Header
}

func (s *together) open(r *raw, lba byte, immediate bool) *pdu.Header {
	s.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpSCSICommand)
	if immediate {
		h.SetImmediate()
	}
	h.SetFlags(pdu.FlagFinal | pdu.CommandWrite | byte(sam.Simple))
	c := pdu.AsSCSICommand(h)
	c.SetEDTL(512)
	copy(c.CDB()[:], []byte{0x2a, 0, 0, 0, 0, lba, 0, 0, 1})
	r.send(s.number(h), nil)
	r.past(pdu.OpAsync, pdu.OpR2T)
	return h
}

func newClearing(t *testing.T, e *Engine) *clearing {
	s := joined(t, e, 2, level2, "iSCSIProtocolLevel=2", "DefaultTime2Retain=1")
	c := &clearing{together: s}
	c.connection = s.open(s.conns[1], 10, false)
	c.session = s.open(s.conns[0], 13, false)
	c.immediate = s.open(s.conns[1], 11, true)
	c.missing = s.write(sam.Simple, 14)
	c.discontiguous = s.write(sam.Simple, 12)
	s.conns[1].send(c.discontiguous, stamp(12))
	s.conns[1].send(s.ping(nil), nil)
	s.conns[1].receive(pdu.OpNOPIn)
	return c
}

// there says whether a command is in the task set, as QUERY TASK has it. One whose
// connection was logged out for recovery goes on here then, and may ask for its data
// before the next question is answered.
func (c *clearing) there(r *raw, h *pdu.Header) bool {
	c.t.Helper()
	q := c.managing(sam.QueryTask)
	pdu.AsTaskRequest(q).SetReferencedTag(h.ITT())
	r.send(q, nil)
	for {
		p, err := r.conn.Receive()
		if err != nil {
			c.t.Fatal(err)
		}
		if p.Header.Opcode() == pdu.OpTaskResponse && p.Header.ITT() == q.ITT() {
			return pdu.AsTaskResponse(&p.Header).Result() == pdu.FunctionSucceeded
		}
	}
}

// ran says whether the command behind the gap ran once the gap was closed.
func (c *clearing) ran() bool {
	c.t.Helper()
	a := c.conns[0]
	a.send(c.missing, stamp(14))
	for {
		p, err := a.conn.Receive()
		if err != nil {
			c.t.Fatal(err)
		}
		if p.Header.Opcode() == pdu.OpSCSIResponse && p.Header.ITT() == c.missing.ITT() {
			break
		}
	}
	for range 40 {
		if bytes.Equal(c.look(a), stamp(12)) {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// look reads the block of the command behind the gap by an immediate command, which
// waits for no number; nil when that has an attention to report.
func (c *clearing) look(r *raw) (data []byte) {
	c.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpSCSICommand)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal | pdu.CommandRead | byte(sam.Simple))
	q := pdu.AsSCSICommand(h)
	q.SetEDTL(512)
	copy(q.CDB()[:], []byte{0x28, 0, 0, 0, 0, 12, 0, 0, 1})
	r.send(c.number(h), nil)
	for {
		p, err := r.conn.Receive()
		if err != nil {
			c.t.Fatal(err)
		}
		if p.Header.ITT() == h.ITT() {
			return p.Data
		}
	}
}

// clearings are rows of the table of RFC 3720 appendix F.1 for one connection of
// several. Cells: immediate commands, tasks of the connection, of the session,
// discontiguous commands.
var clearings = []struct {
	name    string
	cells   string
	happens func(c *clearing)
}{
	{"connection failure", "YNNN", func(c *clearing) { c.lose(1) }},
	{"connection state timeout", "YYNY", func(c *clearing) {
		c.lose(1)
		eventuallyEnds(c.t, c.e, 1)
	}},
	{"connection close logout", "YYNY", func(c *clearing) { c.logout(c.conns[0], pdu.CloseConnection, 1) }},
	{"recovery logout", "YNNY", func(c *clearing) { c.logout(c.conns[0], pdu.RemoveForRecovery, 1) }},
	{"recovery logout behind a failure", "YNNY", func(c *clearing) {
		c.lose(1)
		c.logout(c.conns[0], pdu.RemoveForRecovery, 1)
	}},
	{"non-leading login", "NNNN", func(c *clearing) { c.join(2) }},
	{"non-leading login that reinstates", "YNNY", func(c *clearing) { c.join(1) }},
}

func TestClearing_OneOfSeveral(t *testing.T) {
	for _, e := range clearings {
		t.Run(e.name, func(t *testing.T) {
			conform.Covers(t, "R-F.1-1", "R-6.12-3")
			conform.Trap(t, 40)
			c := newClearing(t, oneUnit(t, 3))
			e.happens(c)
			a := c.conns[0]
			for i, h := range []*pdu.Header{c.immediate, c.connection, c.session} {
				if cleared := e.cells[i] == 'Y'; c.there(a, h) == cleared {
					t.Errorf("%s: cell %d: cleared %v", e.name, i, !cleared)
				}
			}
			if cleared := e.cells[3] == 'Y'; c.ran() == cleared {
				t.Errorf("%s: discontiguous command: cleared %v", e.name, !cleared)
			}
		})
	}
}
