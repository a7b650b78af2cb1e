package engine

import (
	"slices"

	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
)

// member is one connection of a session.
type member struct {
	conn   transport.Handle
	cid    pdu.CID
	ending bool
	// parked: it is lost, and its commands wait; recovering: it ends by a logout for
	// recovery; recovered: its commands may be reassigned, and its identifier is free.
	parked, recovering, recovered bool
	// loggedOut says that the initiator wants it gone, by a logout on this connection's
	// word: asker and its task, who hear of the end.
	loggedOut bool
	asker     transport.Handle
	owner     uint64
	// others asked the same later.
	others []asked
}

// asked is a task of a connection that hears of the end of another.
type asked struct {
	asker transport.Handle
	owner uint64
}

// maxFailed bounds the connections that a session remembers to have failed.
const maxFailed = 64

// member finds a connection of the session.
func (e *sessionEntry) member(cid pdu.CID) *member {
	for i := range e.members {
		if e.members[i].cid == cid && !e.members[i].recovered {
			return &e.members[i]
		}
	}
	return nil
}

// leave takes a connection out of the session.
func (e *sessionEntry) leave(conn transport.Handle) (m member, ok bool) {
	i := slices.IndexFunc(e.members, func(m member) bool { return m.conn == conn })
	if i < 0 {
		return m, false
	}
	m = e.members[i]
	e.members = slices.Delete(e.members, i, i+1)
	return m, true
}

// forget takes a login that ended while it waited out of the queue.
func (e *sessionEntry) forget(conn transport.Handle) {
	e.waiting = slices.DeleteFunc(e.waiting, func(r request) bool { return r.Conn == conn })
}

// remember notes whether a connection has ended without a logout: a logout may still
// name it (RFC 3720 §10.14 [R-10.14-4]).
func (e *sessionEntry) remember(cid pdu.CID, failed bool) (was bool) {
	i := slices.Index(e.failed, cid)
	if i >= 0 {
		e.failed = slices.Delete(e.failed, i, i+1)
	}
	if failed {
		if len(e.failed) == maxFailed {
			e.failed = slices.Delete(e.failed, 0, 1)
		}
		e.failed = append(e.failed, cid)
	}
	return i >= 0
}

// end closes every connection of the session but one, that of except, if any.
func (e *sessionEntry) end(except *transport.Handle) (orders []order) {
	e.ending = true
	for i := range e.members {
		m := &e.members[i]
		if m.ending && !m.recovering || except != nil && m.conn == *except {
			continue
		}
		m.ending = true
		orders = append(orders, order{kind: orderClose, conn: m.conn, silent: true})
	}
	return orders
}

// endMember closes one connection of the session.
func (e *sessionEntry) endMember(cid pdu.CID) []order {
	m := e.member(cid)
	if e.ending || m == nil || m.ending {
		return nil
	}
	m.ending = true
	return []order{{kind: orderClose, conn: m.conn}}
}

// removed finds a connection that was logged out for recovery and whose commands were
// not all reassigned.
func (e *sessionEntry) removed(cid pdu.CID) *member {
	for i := range e.members {
		if m := &e.members[i]; m.cid == cid && m.recovered {
			return m
		}
	}
	return nil
}

// endRemoved ends the commands that connections of an identifier have left: a logout that
// closes one ends what is still bound to it (RFC 3720 §10.14 [R-10.14-1]).
func (e *sessionEntry) endRemoved(cid pdu.CID) (orders []order) {
	for i := range e.members {
		if m := &e.members[i]; m.cid == cid && m.recovered && !m.ending {
			m.ending = true
			orders = append(orders, order{kind: orderClose, conn: m.conn})
		}
	}
	return orders
}

// gone tells who waits for the end of a connection, when no other one of its identifier
// that ends with it is left.
func (e *sessionEntry) gone(m member) (orders []order) {
	e.remember(m.cid, !m.ending && !m.recovered)
	if next := e.removed(m.cid); m.loggedOut && m.recovered && next != nil && next.ending {
		next.loggedOut, next.asker, next.owner, next.others = true, m.asker, m.owner, append(next.others, m.others...)
		return orders
	}
	if m.loggedOut {
		orders = append(orders, order{kind: orderLoggedOut, conn: m.asker, owner: m.owner, result: pdu.LogoutDone})
	}
	for _, o := range m.others {
		orders = append(orders, order{kind: orderLoggedOut, conn: o.asker, owner: o.owner, result: pdu.LogoutDone})
	}
	if len(e.members) == 1 && e.members[0].loggedOut && e.members[0].asker == e.members[0].conn {
		orders = append(orders, e.alone())
	}
	return orders
}

// alone tells the connection that logs out its session that no other is left.
func (e *sessionEntry) alone() order {
	m := &e.members[0]
	m.loggedOut = false
	return order{kind: orderLoggedOut, conn: m.conn, owner: m.owner, result: pdu.LogoutDone}
}

// logout closes, for a connection that asks for it, another one of its session (RFC
// 3720 §10.14 reason 1), or all others (reason 0), or removes one for recovery (2).
func (d *directory) logout(asker transport.Handle, owner uint64, cid pdu.CID, reason pdu.LogoutReason) []order {
	e := d.conns[asker]
	if e == nil {
		return nil // it has ended
	}
	i := slices.IndexFunc(e.members, func(m member) bool { return m.conn == asker })
	if i < 0 {
		return nil
	}
	switch reason {
	case pdu.RemoveForRecovery:
		return d.remove(e, asker, owner, cid)
	case pdu.CloseConnection:
	case pdu.CloseSession:
		m := &e.members[i]
		m.loggedOut, m.asker, m.owner = true, asker, owner
		orders := e.end(&asker)
		if len(e.members) == 1 {
			orders = append(orders, e.alone())
		}
		return orders
	}
	m := e.member(cid)
	if m == nil {
		m = e.removed(cid)
	}
	if m != nil && m.loggedOut {
		// The connection that asked first may have ended meanwhile.
		m.others = append(m.others, asked{asker, owner})
		if m.ending || e.ending {
			return nil
		}
		// It was to be removed for recovery only.
		m.ending = true
		return []order{{kind: orderClose, conn: m.conn}}
	}
	if m == nil {
		result := pdu.LogoutCIDNotFound
		if e.remember(cid, false) {
			// §10.14 [R-10.14-4]: the connection is dead already; its tasks ended with it.
			result = pdu.LogoutDone
		}
		return []order{{kind: orderLoggedOut, conn: asker, owner: owner, result: result}}
	}
	m.loggedOut, m.asker, m.owner = true, asker, owner
	if m.recovered {
		return e.endRemoved(cid)
	}
	return e.endMember(cid)
}
