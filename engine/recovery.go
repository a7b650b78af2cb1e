package engine

import (
	"maps"
	"slices"

	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
	"lunar/iscsi/transport"
)

// What is here is recovery level 2 as the directory sees it: connections that are lost
// and whose commands wait (RFC 3720 §6.1.4.3, §7.2), and who looks for one of them.

// of finds the connection of a session by its handle.
func (e *sessionEntry) of(conn transport.Handle) *member {
	for i := range e.members {
		if e.members[i].conn == conn {
			return &e.members[i]
		}
	}
	return nil
}

// living is how many connections of the session are not lost.
func (e *sessionEntry) living() (n int) {
	for _, m := range e.members {
		if !m.parked {
			n++
		}
	}
	return n
}

// replace ends a connection so that another can take its place: where commands wait to
// be reassigned, by a logout for recovery, else for good (RFC 3720 §10.14.1
// [R-10.14-6]).
func (e *sessionEntry) replace(cid pdu.CID) []order {
	m := e.member(cid)
	if e.ending || m == nil || m.ending {
		return nil
	}
	m.ending = true
	if session.Parks(e.params) {
		m.recovering = true
		return []order{{kind: orderRecover, conn: m.conn}}
	}
	return []order{{kind: orderClose, conn: m.conn}}
}

// parked takes the loss of a connection whose commands wait. Another one tells the
// initiator (§6.1.4.3 [R-6.1.4.3-1]), unless it asked for it.
func (d *directory) parked(conn transport.Handle, removed bool) []order {
	e := d.conns[conn]
	if e == nil {
		return nil
	}
	m := e.of(conn)
	if m == nil {
		return nil
	}
	m.parked = true
	orders := append(d.passedAll(e, conn), e.crowd()...)
	if removed || m.ending || m.loggedOut {
		return orders
	}
	for _, other := range e.members {
		if !other.parked && !other.ending {
			return append(orders, order{kind: orderAnnounce, conn: other.conn, cid: m.cid})
		}
	}
	return orders
}

// maxParked is how many lost connections of a session are kept.
const maxParked = 16

// crowd ends the oldest of too many lost connections: one that cuts its connections as
// fast as it makes them is not to fill the memory of all. DEVIATION [D-29].
func (e *sessionEntry) crowd() []order {
	oldest, n := (*member)(nil), 0
	for i := range e.members {
		m := &e.members[i]
		if !m.parked || m.ending {
			continue
		}
		n++
		if oldest == nil || m.recovered && !oldest.recovered {
			oldest = m
		}
	}
	if n <= maxParked {
		return nil
	}
	oldest.ending = true
	return []order{{kind: orderClose, conn: oldest.conn}}
}

// recovered takes the end of a logout for recovery: who asked for it hears, and who
// waited for the place has it.
func (d *directory) recovered(conn transport.Handle) (orders []order) {
	e := d.conns[conn]
	if e == nil {
		return nil
	}
	m := e.of(conn)
	if m == nil || m.recovered || m.ending && !m.recovering {
		return nil // one that was closed meanwhile says so itself
	}
	m.parked, m.recovered, m.recovering, m.ending = true, true, false, e.ending
	orders = append(orders, e.crowd()...)
	if m.loggedOut {
		m.loggedOut = false
		orders = append(orders, order{kind: orderLoggedOut, conn: m.asker, owner: m.owner, result: pdu.LogoutDone})
	}
	for _, o := range m.others {
		orders = append(orders, order{kind: orderLoggedOut, conn: o.asker, owner: o.owner, result: pdu.LogoutDone})
	}
	m.others = nil
	if e.ending {
		return orders
	}
	return append(orders, d.readmit(e)...)
}

// readmit decides anew on the logins that wait at a session.
func (d *directory) readmit(e *sessionEntry) (orders []order) {
	waiting := e.waiting
	e.waiting = nil
	for _, r := range waiting {
		delete(d.conns, r.Conn)
		orders = append(orders, d.admit(r)...)
	}
	return orders
}

// remove carries out a logout for recovery of another connection.
func (d *directory) remove(e *sessionEntry, asker transport.Handle, owner uint64, cid pdu.CID) []order {
	m := e.member(cid)
	if m == nil {
		return []order{{kind: orderLoggedOut, conn: asker, owner: owner, result: pdu.LogoutCIDNotFound}}
	}
	if m.loggedOut {
		// Who asked first may have been lost, and its answer with it.
		m.others = append(m.others, asked{asker, owner})
		return nil
	}
	m.loggedOut, m.asker, m.owner = true, asker, owner
	return []order{{kind: orderRecover, conn: m.conn}}
}

// search is a question for a command to every other connection of a session. Those for
// the same command wait behind it: while it is handed from one connection to another none
// of them has it, and one that asked for it and is lost meanwhile gets it all the same.
type search struct {
	asker  transport.Handle
	owner  uint64
	of     *sessionEntry
	q      transport.Seek
	waits  []transport.Handle
	behind []*search
}

// seek asks where a command is.
func (d *directory) seek(asker transport.Handle, owner uint64, q transport.Seek) []order {
	e := d.conns[asker]
	if e == nil {
		return nil // it has ended
	}
	x := &search{asker: asker, owner: owner, of: e, q: q}
	for _, first := range d.searches {
		if first.of == e && first.q.ITT == q.ITT {
			first.behind = append(first.behind, x)
			return nil
		}
	}
	orders, _ := d.search(x)
	return orders
}

// search puts a question. It is not under way when there is nobody to ask.
func (d *directory) search(x *search) (orders []order, underWay bool) {
	for _, m := range x.of.members {
		if m.conn != x.asker {
			x.waits = append(x.waits, m.conn)
		}
	}
	if len(x.waits) == 0 {
		return []order{x.answer(transport.Finding{Kind: transport.FoundNothing})}, false
	}
	x.q.Token = d.drawToken()
	d.searches[x.q.Token] = x
	for _, c := range x.waits {
		orders = append(orders, order{kind: orderSeek, conn: c, seek: x.q})
	}
	return orders, true
}

// searched ends a question, and puts that behind it.
func (d *directory) searched(x *search) (orders []order) {
	delete(d.searches, x.q.Token)
	for i, next := range x.behind {
		next.behind = x.behind[i+1:]
		o, underWay := d.search(next)
		orders = append(orders, o...)
		if underWay {
			break
		}
	}
	return orders
}

func (x *search) answer(f transport.Finding) order {
	return order{kind: orderSought, conn: x.asker, owner: x.owner, finding: f}
}

// nobody is the owner of no task.
const nobody = ^uint64(0)

// found takes the answer of one connection. The first that knows the command decides; a
// command that nobody asks for any more ends where it was.
func (d *directory) found(conn transport.Handle, token uint32, f transport.Finding) []order {
	x := d.searches[token]
	if x == nil {
		if f.Orphan == nil {
			return nil
		}
		return []order{{kind: orderSought, conn: conn, owner: nobody, finding: f}}
	}
	x.waits = slices.DeleteFunc(x.waits, func(h transport.Handle) bool { return h == conn })
	if f.Kind == transport.FoundNothing && len(x.waits) > 0 {
		return nil
	}
	return append([]order{x.answer(f)}, d.searched(x)...)
}

// abandon takes the questions of a connection that has ended away.
func (d *directory) abandon(conn transport.Handle) (orders []order) {
	for _, token := range slices.Sorted(maps.Keys(d.searches)) {
		x := d.searches[token]
		x.behind = slices.DeleteFunc(x.behind, func(y *search) bool { return y.asker == conn })
		if x.asker == conn {
			orders = append(orders, d.searched(x)...)
		}
	}
	return orders
}
