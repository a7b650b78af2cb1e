package engine

import (
	"maps"
	"slices"

	"lunar/iscsi/transport"
)

// fence is a question to every other connection of a session: whether the status it was
// sent has been acknowledged (RFC 3720 §10.6.1 [R-10.6.1-1]). With hold it stands until
// the response it is around is acknowledged too (RFC 7143 §4.2.2.3.3 [N-4]).
type fence struct {
	session *sessionEntry
	asker   transport.Handle
	owner   uint64
	hold    transport.Hold
	token   uint32
	waits   []transport.Handle
	// passed: the asker has its answer.
	passed bool
}

// ask puts up a fence for a task of a connection. Of those that hold one stands at a
// time, so that two responses never wait for each other.
func (d *directory) ask(asker transport.Handle, owner uint64, hold transport.Hold) []order {
	e := d.conns[asker]
	if e == nil {
		return nil // it has ended
	}
	f := &fence{session: e, asker: asker, owner: owner, hold: hold}
	if hold.Wanted && e.fence != nil {
		e.fenced = append(e.fenced, f)
		return nil
	}
	return d.raise(f)
}

// raise asks the other connections.
func (d *directory) raise(f *fence) (orders []order) {
	for _, m := range f.session.members {
		if m.conn != f.asker && !m.parked {
			f.waits = append(f.waits, m.conn)
		}
	}
	if len(f.waits) == 0 {
		return []order{f.answer()}
	}
	f.token = d.drawToken()
	d.fences[f.token] = f
	if f.hold.Wanted {
		f.session.fence = f
	}
	for _, c := range f.waits {
		orders = append(orders, order{kind: orderFence, conn: c, token: f.token, hold: f.hold})
	}
	return orders
}

func (d *directory) drawToken() uint32 {
	for d.lastFence++; d.lastFence == 0 || d.fences[d.lastFence] != nil || d.searches[d.lastFence] != nil; {
		d.lastFence++
	}
	return d.lastFence
}

// answer tells who asked that every other connection has passed; with the token of a
// fence that stands on.
func (f *fence) answer() order {
	o := order{kind: orderFenced, conn: f.asker, owner: f.owner}
	if f.hold.Wanted {
		o.token = f.token
	}
	return o
}

// passed takes the answer of a connection to a fence.
func (d *directory) passed(conn transport.Handle, token uint32) []order {
	f := d.fences[token]
	if f == nil || f.passed {
		return nil
	}
	f.waits = slices.DeleteFunc(f.waits, func(h transport.Handle) bool { return h == conn })
	if len(f.waits) > 0 {
		return nil
	}
	f.passed = true
	if !f.hold.Wanted {
		delete(d.fences, token)
	}
	return []order{f.answer()}
}

// cleared takes a fence that holds down, and puts the next one of its session up. One
// that nobody else had to answer never stood.
func (d *directory) cleared(token uint32) (orders []order) {
	f := d.fences[token]
	if f == nil {
		return nil
	}
	delete(d.fences, token)
	e := f.session
	if e.fence != f {
		return nil
	}
	e.fence = nil
	for _, m := range e.members {
		if m.conn != f.asker && !m.parked {
			orders = append(orders, order{kind: orderUnfence, conn: m.conn, token: token})
		}
	}
	for len(e.fenced) > 0 && e.fence == nil {
		next := e.fenced[0]
		e.fenced = e.fenced[1:]
		orders = append(orders, d.raise(next)...)
	}
	return orders
}

// passedAll takes a connection of a session that has ended off every fence, and its own
// fences away. The order of what follows is that of the tokens, the same in every run.
func (d *directory) passedAll(e *sessionEntry, conn transport.Handle) (orders []order) {
	e.fenced = slices.DeleteFunc(e.fenced, func(f *fence) bool { return f.asker == conn })
	for _, token := range slices.Sorted(maps.Keys(d.fences)) {
		f := d.fences[token]
		switch {
		case f == nil:
		case f.asker == conn:
			orders = append(orders, d.cleared(token)...)
		case slices.Contains(f.waits, conn):
			orders = append(orders, d.passed(conn, token)...)
		}
	}
	return orders
}
