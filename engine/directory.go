package engine

import (
	"maps"
	"slices"

	"lunar/iscsi/login"
	cmdsn "lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
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
	// load is the number of connections of sessions on each reactor.
	load []int
	// fences are the questions under way, by token.
	fences    map[uint32]*fence
	lastFence uint32
	// searches are the questions for commands, by tokens of the same kind.
	searches map[uint32]*search
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
	key   sessionKey
	tsih  pdu.TSIH
	nexus sam.Nexus
	// members are its connections, failed the identifiers of connections that ended
	// without a logout, as far as they are remembered.
	members []member
	failed  []pdu.CID
	// ending says that all of it ends, or all but the connection that logs it out.
	ending bool
	// params are what its leading login settled, user who was proved by it.
	params login.Params
	user   string
	// order is the common order of its commands, nil if it may have one connection.
	order *cmdsn.Sequencer
	// fence is the one that holds status up now, fenced are those behind it.
	fence  *fence
	fenced []*fence
	// waiting are logins for the same key, in order of arrival.
	waiting []request
}

// request is a login that asks for a session.
type request = transport.Application

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
	// token is of an orderFence, which holds back what hold says, owner the task that orderFenced and orderLoggedOut
	// answer, result the answer to a logout.
	token  uint32
	hold   transport.Hold
	owner  uint64
	result pdu.LogoutResult
	// cid is the connection that an orderAnnounce tells of.
	cid     pdu.CID
	seek    transport.Seek
	finding transport.Finding
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
	// orderFence asks a connection whether its status was acknowledged, orderFenced says
	// that all others' was.
	orderFence
	orderFenced
	// orderUnfence has what a fence held back go.
	orderUnfence
	// orderLoggedOut says that what a logout closes elsewhere is gone.
	orderLoggedOut
	// orderRecover has a connection logged out for recovery, orderAnnounce tells on
	// another that one was lost.
	orderRecover
	orderAnnounce
	// orderSeek asks a connection for a command, orderSought answers who looked for it.
	orderSeek
	orderSought
)

func newDirectory(limit, reactors int) *directory {
	return &directory{
		load: make([]int, reactors), limit: limit, sessions: map[sessionKey]*sessionEntry{}, conns: map[transport.Handle]*sessionEntry{},
		handles: map[pdu.TSIH]*sessionEntry{}, nexuses: newNexuses(maxNexuses), fences: map[uint32]*fence{},
		searches: map[uint32]*search{},
	}
}

func keyOf(id login.Identity) sessionKey {
	return sessionKey{id.Initiator, id.ISID, id.Target, id.PortalGroupTag}
}

// admit decides on a login.
func (d *directory) admit(r request) []order {
	if r.Identity.Discovery {
		// A discovery session has no tasks and nothing to reinstate; its handle is only
		// a number (RFC 7143 §7.4.1 [N-10]).
		return []order{{kind: orderAdmit, conn: r.Conn, id: r.Identity, admit: transport.Admission{TSIH: d.draw()}}}
	}
	if to := d.place(r.Conn.Reactor); !r.Placed && to != r.Conn.Reactor {
		return []order{{kind: orderMove, conn: r.Conn, to: to}}
	}
	e := d.sessions[keyOf(r.Identity)]
	if s := d.refusal(r, e); s != pdu.LoginSuccess {
		return []order{{kind: orderAdmit, conn: r.Conn, id: r.Identity, admit: transport.Admission{Status: s}}}
	}
	switch {
	case e == nil:
		return []order{d.create(r, nil)}
	case r.Identity.TSIH != 0 && !e.ending && e.member(r.Identity.CID) == nil:
		return []order{d.join(e, r)}
	}
	// Reinstatement of the session, or of one connection: what was ends first, with all
	// its tasks (§5.3.5 [R-5.3.5-2], §5.3.4 [R-5.3.4-3]).
	// It stays on its reactor: on its way to another one it would wait for nobody, and the
	// session could end over it.
	r.Placed = true
	e.waiting = append(e.waiting, r)
	d.conns[r.Conn] = e
	if r.Identity.TSIH == 0 {
		return e.end(nil)
	}
	return e.replace(r.Identity.CID)
}

// place is the reactor for a connection that arrived on one: that with the fewest of
// sessions, and the one it is on when it is among them. Sessions that end do not
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
	case r.Identity.TSIH == 0 && e == nil && len(d.sessions) >= d.limit:
		return pdu.LoginOutOfResources
	case r.Identity.TSIH == 0:
		return pdu.LoginSuccess
	case e == nil && d.elsewhere(r.Identity):
		// Appendix D [R-D-13]: a session stays within its portal group.
		return pdu.LoginCannotInclude
	case e == nil || e.tsih != r.Identity.TSIH:
		// §5.3.1: the handle names no session of this initiator port.
		return pdu.LoginNoSession
	case e.user != r.Identity.User:
		// RFC 7143 §9.2 [N-17]: every connection of a session proves the same name.
		return pdu.LoginAuthFailure
	case e.member(r.Identity.CID) == nil && e.living() >= int(e.params.MaxConnections):
		// A further connection: MaxConnections is what was settled (§12.2 [R-12.2-1]).
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
// and whose handle, parameters and numbers it keeps, or nil.
func (d *directory) create(r request, of *sessionEntry) order {
	e := &sessionEntry{key: keyOf(r.Identity), params: r.Params, user: r.Identity.User}
	admit := transport.Admission{}
	if of != nil {
		e.tsih, e.params, e.order, e.failed = of.tsih, of.params, of.order, of.failed
		admit.Session = &e.params
	} else {
		e.tsih = d.draw()
	}
	if session.Shares(e.params) && e.order == nil {
		e.order = cmdsn.New(r.First, r.Window, len(d.load) == 1)
	}
	e.nexus = d.nexuses.open(e.key)
	d.sessions[e.key], d.handles[e.tsih] = e, e
	return d.enter(e, r, admit)
}

// join adds a connection to a session (RFC 3720 §5.3.1: existing ISID and TSIH, new
// CID).
func (d *directory) join(e *sessionEntry, r request) order {
	return d.enter(e, r, transport.Admission{Session: &e.params})
}

// enter makes a connection one of a session's.
func (d *directory) enter(e *sessionEntry, r request, admit transport.Admission) order {
	e.members = append(e.members, member{conn: r.Conn, cid: r.Identity.CID})
	e.remember(r.Identity.CID, false)
	d.conns[r.Conn] = e
	d.load[r.Conn.Reactor]++
	admit.TSIH, admit.Nexus, admit.Order = e.tsih, e.nexus, e.order
	return order{kind: orderAdmit, conn: r.Conn, id: r.Identity, admit: admit}
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
	if e == nil {
		return nil // refused, a discovery session, or never asked
	}
	m, ok := e.leave(conn)
	if !ok {
		e.forget(conn)
		return nil
	}
	d.load[conn.Reactor]--
	orders = append(d.abandon(conn), d.passedAll(e, conn)...)
	orders = append(orders, e.gone(m)...)
	if len(e.members) == 0 {
		return append(orders, d.over(e)...)
	}
	if e.ending {
		return orders
	}
	// Who reinstates this connection takes its place.
	return append(orders, d.readmit(e)...)
}

// over ends a session without connections, and lets those in that waited for that.
func (d *directory) over(e *sessionEntry) (orders []order) {
	delete(d.sessions, e.key)
	delete(d.handles, e.tsih)
	d.nexuses.close(e.key)
	// §5.3.5.1 [R-5.3.5.1-1]: SCSI hears of the nexus loss.
	orders = append(orders, order{kind: orderLoss, nexus: e.nexus})
	for _, r := range e.waiting {
		delete(d.conns, r.Conn)
		if r.Identity.TSIH == e.tsih && !e.ending && d.sessions[e.key] == nil {
			// Reinstatement of the last connection: the session keeps the handle that the
			// login names (§5.3.4 [R-5.3.4-3]). One that ended as a whole is gone: its
			// numbers would begin anew behind the initiator's back.
			orders = append(orders, d.create(r, e))
			continue
		}
		// Of logins that raced, each reinstates the one before it, unless it named the
		// session that is gone.
		orders = append(orders, d.admit(r)...)
	}
	return orders
}

// of has every session of a target closed, in the order of their handles.
func (d *directory) of(target string) (orders []order) {
	for _, tsih := range slices.Sorted(maps.Keys(d.handles)) {
		if e := d.handles[tsih]; e.key.target == target {
			orders = append(orders, e.end(nil)...)
		}
	}
	return orders
}
