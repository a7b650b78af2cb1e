package engine

import (
	"slices"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/lun"
	"lunar/scsi/sam"
)

// directory knows which sessions exist. It decides on new ones by table 1.11 of
// RFC 3720 §5.3.1: new session, reinstatement, or refusal. It is a plain state
// machine: requests and ends go in, orders come out; core 0 owns it.
type directory struct {
	limit    int
	sessions map[sessionKey]*sessionEntry
	// conns are the connections that have a session or wait for one.
	conns    map[transport.Handle]*sessionEntry
	lastTSIH pdu.TSIH
	handles  map[pdu.TSIH]*sessionEntry
	nexuses  nexuses
	// load is the number of sessions on each reactor.
	load []int
}

// sessionKey is what a session is unique by: an initiator port and a target port
// (RFC 3720 §3.4.3 [R-3.4.3-1]).
type sessionKey struct {
	initiator string
	isid      pdu.ISID
	target    string
	tag       uint16
}

// sessionEntry is one session: alive, or ending with others waiting for its
// place.
type sessionEntry struct {
	key    sessionKey
	conn   transport.Handle
	cid    pdu.CID
	tsih   pdu.TSIH
	nexus  sam.Nexus
	ending bool
	// params are what its leading login settled, user who was proved by it.
	params login.Params
	user   string
	// waiting are logins for the same key, in order of arrival.
	waiting []request
}

// request is a login that asks for a session. One that is placed stays where it is.
type request struct {
	conn   transport.Handle
	id     login.Identity
	params login.Params
	placed bool
}

// order is what the directory wants done.
type order struct {
	kind  orderKind
	conn  transport.Handle
	admit transport.Admission
	nexus sam.Nexus
	// to is the reactor of an orderMove, id the login of an orderAdmit, units what the
	// nexus of an orderLoss led to when it ended, whatever the catalog has now; nil when
	// it never led anywhere.
	to    int
	id    login.Identity
	units *lun.Map
	// silent says that an orderClose ends the session, not only its connection.
	silent bool
}

type orderKind uint8

const (
	// orderAdmit answers a login.
	orderAdmit orderKind = iota + 1
	// orderClose ends a connection.
	orderClose
	// orderLoss tells the units of a session that its nexus was lost.
	orderLoss
	// orderMove has a connection go to another reactor and ask again there.
	orderMove
)

func newDirectory(limit, reactors int) *directory {
	return &directory{
		load: make([]int, reactors), limit: limit, sessions: map[sessionKey]*sessionEntry{}, conns: map[transport.Handle]*sessionEntry{},
		handles: map[pdu.TSIH]*sessionEntry{}, nexuses: newNexuses(maxNexuses),
	}
}

func keyOf(id login.Identity) sessionKey {
	return sessionKey{id.Initiator, id.ISID, id.Target, id.PortalGroupTag}
}

// admit decides on a login.
func (d *directory) admit(r request) []order {
	if r.id.Discovery {
		// A discovery session has no tasks and nothing to reinstate; its handle is only
		// a number (RFC 7143 §7.4.1 [N-10]).
		return []order{{kind: orderAdmit, conn: r.conn, id: r.id, admit: transport.Admission{TSIH: d.draw()}}}
	}
	if to := d.place(r.conn.Reactor); !r.placed && to != r.conn.Reactor {
		return []order{{kind: orderMove, conn: r.conn, to: to}}
	}
	e := d.sessions[keyOf(r.id)]
	if s := d.refusal(r, e); s != pdu.LoginSuccess {
		return []order{{kind: orderAdmit, conn: r.conn, id: r.id, admit: transport.Admission{Status: s}}}
	}
	if e == nil {
		return []order{d.create(r, nil)}
	}
	// Session reinstatement, or at level 0 reinstatement of its only connection: the
	// old one ends first, with all its tasks (§5.3.5 [R-5.3.5-2], §5.3.4
	// [R-5.3.4-3]).
	e.waiting = append(e.waiting, r)
	d.conns[r.conn] = e
	if e.ending {
		return nil
	}
	e.ending = true
	return []order{{kind: orderClose, conn: e.conn, silent: r.id.TSIH == 0}}
}

// place is the reactor for a session whose connection arrived on one: that with the
// fewest sessions, and the one it is on when it is among them. Sessions that end do not
// make others move.
func (d *directory) place(arrived int) int {
	best := arrived
	for i, n := range d.load {
		if n < d.load[best] {
			best = i
		}
	}
	return best
}

// refusal is the status of a login that cannot become a session.
func (d *directory) refusal(r request, e *sessionEntry) pdu.LoginStatus {
	switch {
	case r.id.TSIH == 0 && e == nil && len(d.sessions) >= d.limit:
		return pdu.LoginOutOfResources
	case r.id.TSIH == 0:
		return pdu.LoginSuccess
	case e == nil && d.elsewhere(r.id):
		// Appendix D [R-D-13]: a session stays within its portal group.
		return pdu.LoginCannotInclude
	case e == nil || e.tsih != r.id.TSIH:
		// §5.3.1: the handle names no session of this initiator port.
		return pdu.LoginNoSession
	case e.user != r.id.User:
		// RFC 7143 §9.2 [N-17]: every connection of a session proves the same name.
		return pdu.LoginAuthFailure
	case e.cid != r.id.CID:
		// A further connection: MaxConnections is 1 (§12.2 [R-12.2-1]).
		return pdu.LoginTooManyConnections
	}
	return pdu.LoginSuccess
}

// elsewhere says whether a login names a session of its initiator port that is of
// another portal group.
func (d *directory) elsewhere(id login.Identity) bool {
	e := d.handles[id.TSIH]
	return e != nil && e.key.initiator == id.Initiator && e.key.isid == id.ISID && e.key.target == id.Target
}

// create makes the session of a login; of is the one whose connection it reinstates,
// and whose handle and parameters it keeps, or nil.
func (d *directory) create(r request, of *sessionEntry) order {
	e := &sessionEntry{key: keyOf(r.id), conn: r.conn, cid: r.id.CID, params: r.params, user: r.id.User}
	admit := transport.Admission{}
	if of != nil {
		e.tsih, e.params = of.tsih, of.params
		admit.Session = &e.params
	} else {
		e.tsih = d.draw()
	}
	e.nexus = d.nexuses.open(e.key)
	d.load[e.conn.Reactor]++
	d.sessions[e.key], d.handles[e.tsih], d.conns[e.conn] = e, e, e
	admit.TSIH, admit.Nexus = e.tsih, e.nexus
	return order{kind: orderAdmit, conn: r.conn, id: r.id, admit: admit}
}

// draw returns a handle that no session has: never 0, and not one that was just
// given back (§3.4.3 [R-3.4.3-2]).
func (d *directory) draw() pdu.TSIH {
	for {
		d.lastTSIH++
		if d.lastTSIH != 0 && d.handles[d.lastTSIH] == nil {
			return d.lastTSIH
		}
	}
}

// ended takes the end of a connection: of a session, or of a login that waited.
// Only the directory knows which: a connection may die with its answer under way,
// and then does not know of the session it has.
func (d *directory) ended(conn transport.Handle) (orders []order) {
	e := d.conns[conn]
	delete(d.conns, conn)
	switch {
	case e == nil:
		return nil // refused, a discovery session, or never asked
	case e.conn != conn:
		e.forget(conn)
		return nil
	}
	delete(d.sessions, e.key)
	delete(d.handles, e.tsih)
	d.nexuses.close(e.key)
	d.load[e.conn.Reactor]--
	// §5.3.5.1 [R-5.3.5.1-1]: SCSI hears of the nexus loss.
	orders = append(orders, order{kind: orderLoss, nexus: e.nexus})
	for _, r := range e.waiting {
		delete(d.conns, r.conn)
		if r.id.TSIH == e.tsih && d.sessions[e.key] == nil {
			// Reinstatement of the only connection: the session keeps the handle that the
			// login names (§5.3.4 [R-5.3.4-3]).
			orders = append(orders, d.create(r, e))
			continue
		}
		// Of logins that raced, each reinstates the one before it, unless it named the
		// session that is gone.
		orders = append(orders, d.admit(r)...)
	}
	return orders
}

// forget takes a login that ended while it waited out of the queue.
func (e *sessionEntry) forget(conn transport.Handle) {
	e.waiting = slices.DeleteFunc(e.waiting, func(r request) bool { return r.conn == conn })
}

// of returns the connections of every session of a target.
func (d *directory) of(target string) (orders []order) {
	for _, e := range d.sessions {
		if e.key.target == target {
			orders = append(orders, order{kind: orderClose, conn: e.conn, silent: true})
		}
	}
	return orders
}
