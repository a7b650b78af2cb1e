package engine

import (
	"testing"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

// place is one connection as its reactor knows it.
type place struct {
	id      int
	reactor int
	isid    byte
	cid     pdu.CID
	orders  []order // under way to it
	answers int
	status  pdu.LoginStatus
	tsih    pdu.TSIH
	closing bool
	ended   bool
}

func (p *place) handle() transport.Handle {
	return transport.Handle{Reactor: p.reactor, Index: p.id, Generation: 1}
}

// directoryRun is one random run of the directory: logins, orders that take
// their time, and connections that end at any moment.
type directoryRun struct {
	rt     *rapid.T
	d      *directory
	places []*place
	// granted are the sessions the directory has answered for and not heard the
	// end of, by initiator port.
	granted map[byte]*place
	nexus   map[byte]sam.Nexus
	last    pdu.TSIH
}

// carry files the orders with the connections they are for and checks the
// promises of the directory at that moment.
func (x *directoryRun) carry(orders []order) {
	for _, o := range orders {
		if o.kind == orderLoss {
			continue
		}
		p := x.places[o.conn.Index]
		p.orders = append(p.orders, o)
		if o.kind == orderAdmit && o.admit.Status == pdu.LoginSuccess {
			x.grant(p, o)
		}
	}
	if len(x.d.sessions) != len(x.granted) || len(x.d.handles) != len(x.granted) || len(x.granted) > x.d.limit {
		x.rt.Fatalf("%d sessions, %d handles, granted %d of %d", len(x.d.sessions), len(x.d.handles), len(x.granted), x.d.limit)
	}
}

func (x *directoryRun) grant(p *place, o order) {
	if old := x.granted[p.isid]; old != nil {
		x.rt.Fatalf("port %d: connection %d while %d lives", p.isid, p.id, old.id)
	}
	for _, other := range x.granted {
		if other.tsih == o.admit.TSIH || x.nexus[other.isid] == o.admit.Nexus {
			x.rt.Fatalf("connection %d shares TSIH or nexus with %d: %+v", p.id, other.id, o.admit)
		}
	}
	if n, known := x.nexus[p.isid]; known && n != o.admit.Nexus {
		x.rt.Fatalf("port %d: nexus %d, was %d", p.isid, o.admit.Nexus, n)
	}
	x.granted[p.isid], x.nexus[p.isid] = p, o.admit.Nexus
	if o.admit.TSIH == 0 || p.tsih != 0 && p.tsih != o.admit.TSIH || p.tsih == 0 && o.admit.TSIH == x.last {
		x.rt.Fatalf("connection %d asked with TSIH %d and got %d after %d", p.id, p.tsih, o.admit.TSIH, x.last)
	}
	p.tsih, x.last = o.admit.TSIH, o.admit.TSIH
}

func (x *directoryRun) login() {
	p := &place{id: len(x.places), isid: byte(rapid.IntRange(0, 3).Draw(x.rt, "port"))}
	switch rapid.IntRange(0, 3).Draw(x.rt, "TSIH") {
	case 0:
		if s := x.granted[p.isid]; s != nil {
			p.tsih = s.tsih
		}
	case 1:
		p.tsih = pdu.TSIH(rapid.IntRange(1, 4).Draw(x.rt, "number"))
	}
	x.places = append(x.places, p)
	cid := pdu.CID(rapid.IntRange(0, 1).Draw(x.rt, "CID"))
	p.reactor, p.cid = rapid.IntRange(0, 2).Draw(x.rt, "reactor"), cid
	x.carry(x.d.admit(request{Conn: p.handle(), Identity: port(p.isid, p.tsih, cid), Params: login.DefaultParams()}))
}

// deliver brings the oldest order to a connection.
func (x *directoryRun) deliver(p *place) {
	o := p.orders[0]
	p.orders = p.orders[1:]
	switch {
	case p.ended:
	case o.kind == orderClose:
		p.closing = true
	case o.kind == orderMove:
		// It asks again, under the handle it has there, or stays.
		if rapid.Bool().Draw(x.rt, "goes") {
			p.reactor = o.to
		}
		x.carry(x.d.admit(request{Conn: p.handle(), Identity: port(p.isid, p.tsih, p.cid), Params: login.DefaultParams(), Placed: true}))
	default:
		p.answers++
		p.status = o.admit.Status
		// A refused connection closes after its answer.
		p.closing = p.closing || p.status != pdu.LoginSuccess
	}
}

func (x *directoryRun) end(p *place) {
	p.ended = true
	if x.granted[p.isid] == p {
		delete(x.granted, p.isid)
	}
	x.carry(x.d.ended(p.handle()))
}

// some draws one of the connections that keep to a condition.
func (x *directoryRun) some(keep func(p *place) bool) *place {
	var all []*place
	for _, p := range x.places {
		if keep(p) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(x.rt, "connection")]
}

// settle delivers every order and ends every connection that was told to close.
func (x *directoryRun) settle() {
	for again := true; again; {
		again = false
		for _, p := range x.places {
			for len(p.orders) > 0 {
				x.deliver(p)
				again = true
			}
			if p.closing && !p.ended {
				x.end(p)
				again = true
			}
		}
	}
}

// Random logins and ends never lose a login without an answer, never leave two
// sessions of one key, and never give out a handle or nexus that is in use.
func TestDirectory_Model(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := &directoryRun{
			rt: rt, d: newDirectory(rapid.IntRange(1, 4).Draw(rt, "limit"), 3),
			granted: map[byte]*place{}, nexus: map[byte]sam.Nexus{},
		}
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				x.login()
			case 2:
				if p := x.some(func(p *place) bool { return len(p.orders) > 0 }); p != nil {
					x.deliver(p)
				}
			case 3:
				if p := x.some(func(p *place) bool { return !p.ended }); p != nil {
					x.end(p)
				}
			}
		}
		x.settle()
		for _, p := range x.places {
			if p.answers > 1 || p.answers == 0 && !p.ended {
				rt.Fatalf("connection %d got %d answers", p.id, p.answers)
			}
			if !p.ended && x.granted[p.isid] != p {
				rt.Fatalf("connection %d lives without a session", p.id)
			}
		}
		for _, p := range x.places {
			if !p.ended {
				x.end(p)
			}
		}
		for reactor, n := range x.d.load {
			if n != 0 {
				rt.Fatalf("reactor %d has a load of %d", reactor, n)
			}
		}
		if len(x.d.sessions)+len(x.d.conns)+len(x.d.handles) != 0 {
			rt.Fatalf("left: %d sessions, %d connections, %d handles", len(x.d.sessions), len(x.d.conns), len(x.d.handles))
		}
	})
}
