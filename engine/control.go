package engine

import (
	"log/slog"
	"net/netip"
	"time"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/lun"
	"lunar/reactor"
)

// message is what one core tells another.
type message struct {
	unit lun.Message
	// stack is of another core's connections.
	stack transport.Message
	// ctl is a rare message of the control path.
	ctl *control
}

type control struct {
	request *request                   // to core 0: a login asks
	tell    func(d *directory) []order // to core 0: something about sessions
	order   *order                     // from core 0
	adopt   *transport.Parcel          // from the core where a connection was
	run     func()                     // from the engine: do this
	stop    bool                       // from the engine: drain
	exit    bool                       // from the engine: end
}

// receive takes a message: of another core's units, or of the control path.
func (k *core) receive(m message) {
	c := m.ctl
	switch {
	case c == nil && m.stack.Zero():
		k.local.Receive(m.unit)
	case c == nil:
		k.stack.Receive(m.stack)
	case c.request != nil:
		k.carry(k.directory.admit(*c.request))
	case c.tell != nil:
		k.carry(c.tell(k.directory))
	case c.order != nil:
		k.obey(*c.order)
	case c.adopt != nil:
		k.adopt(c.adopt)
	case c.run != nil:
		c.run()
	case c.stop:
		k.stop()
	case c.exit:
		k.exit = true
	}
}

// send gives a core a message, this one too.
func (k *core) send(to int, m message) {
	k.engine.cores[to].mail.put(m)
	k.engine.cores[to].loop.Wake()
}

// Post implements lun.Post.
func (k *core) Post(to int, m lun.Message) { k.send(to, message{unit: m}) }

// Admit, Ended and ColdReset implement transport.Keeper: the directory lives on
// core 0, so they are messages, also from core 0 to itself.
func (k *core) Admit(a transport.Application) { k.send(0, message{ctl: &control{request: &a}}) }

// Send implements transport.Keeper.
func (k *core) Send(to int, m transport.Message) { k.send(to, message{stack: m}) }

// Fence implements transport.Keeper.
func (k *core) Fence(h transport.Handle, owner uint64, hold transport.Hold) {
	k.tell(func(d *directory) []order { return d.ask(h, owner, hold) })
}

// Passed implements transport.Keeper.
func (k *core) Passed(h transport.Handle, token uint32) {
	k.tell(func(d *directory) []order { return d.passed(h, token) })
}

// Cleared implements transport.Keeper.
func (k *core) Cleared(token uint32) {
	k.tell(func(d *directory) []order { return d.cleared(token) })
}

// Logout implements transport.Keeper.
func (k *core) Logout(h transport.Handle, owner uint64, cid pdu.CID, reason pdu.LogoutReason) {
	k.tell(func(d *directory) []order { return d.logout(h, owner, cid, reason) })
}

// EndSession implements transport.Keeper.
func (k *core) EndSession(h transport.Handle) {
	k.tell(func(d *directory) []order {
		if e := d.conns[h]; e != nil && e.of(h) != nil {
			return e.end(nil)
		}
		return nil
	})
}

// Parked implements transport.Keeper.
func (k *core) Parked(h transport.Handle, removed bool) {
	k.tell(func(d *directory) []order { return d.parked(h, removed) })
}

// Recovered implements transport.Keeper.
func (k *core) Recovered(h transport.Handle) {
	k.tell(func(d *directory) []order { return d.recovered(h) })
}

// Seek implements transport.Keeper.
func (k *core) Seek(h transport.Handle, owner uint64, q transport.Seek) {
	k.tell(func(d *directory) []order { return d.seek(h, owner, q) })
}

// Found implements transport.Keeper.
func (k *core) Found(h transport.Handle, token uint32, f transport.Finding) {
	k.tell(func(d *directory) []order { return d.found(h, token, f) })
}

// tell has the directory do something.
func (k *core) tell(what func(d *directory) []order) { k.send(0, message{ctl: &control{tell: what}}) }

// Ended implements transport.Keeper.
func (k *core) Ended(h transport.Handle, _ login.Identity, _ bool, units *lun.Map) {
	k.tell(func(d *directory) []order {
		orders := d.ended(h)
		for i := range orders {
			if orders[i].kind == orderLoss {
				orders[i].units = units
			}
		}
		return orders
	})
}

// LoginOver implements transport.Keeper.
func (k *core) LoginOver(id login.Identity, s pdu.LoginStatus) (hold int64) {
	k.logins[s]++
	if s != pdu.LoginSuccess {
		slog.Info("login refused", "status", s, "initiator", id.Initiator, "target", id.Target, "source", id.Source)
	}
	if s == pdu.LoginAuthFailure {
		return k.engine.door.failed(id.Source, time.Now()).Nanoseconds()
	}
	return 0
}

// Through implements transport.Keeper.
func (k *core) Through(source netip.Addr) { k.engine.door.leave(source, time.Now()) }

// ColdReset implements transport.Keeper.
func (k *core) ColdReset(target string) {
	slog.Warn("target cold reset", "target", target)
	k.tell(func(d *directory) []order { return d.of(target) })
}

// carry sends orders of the directory to the cores they concern.
func (k *core) carry(orders []order) {
	for i := range orders {
		o := orders[i]
		if o.kind == orderLoss {
			if o.units != nil {
				o.units.Units(func(u *lun.Unit) { k.local.Lose(u, o.nexus) })
			}
			continue
		}
		k.send(o.conn.Reactor, message{ctl: &control{order: &o}})
	}
}

func (k *core) obey(o order) {
	switch o.kind {
	case orderAdmit:
		k.admit(o)
	case orderClose:
		k.stack.Close(o.conn, o.silent)
	case orderMove:
		k.move(o)
	case orderFence:
		k.stack.Fence(o.conn, o.token, o.hold)
	case orderFenced:
		k.stack.Fenced(o.owner, o.token)
	case orderUnfence:
		k.stack.Unfence(o.conn, o.token)
	case orderLoggedOut:
		k.stack.LoggedOut(o.owner, o.result)
	case orderRecover:
		k.stack.Recover(o.conn)
	case orderAnnounce:
		k.stack.Announce(o.conn, o.cid)
	case orderSeek:
		k.stack.Seek(o.conn, o.seek)
	case orderSought:
		k.stack.Sought(o.owner, o.finding)
	case orderLoss:
	}
}

// admit answers a login. What may have changed since it began is looked up again.
func (k *core) admit(o order) {
	if o.admit.Status == pdu.LoginSuccess && !o.id.Discovery {
		o.admit.Units = k.catalog.view(askerOf(o.id), o.id.Target)
		if o.admit.Units == nil {
			o.admit.Status = pdu.LoginForbidden
		}
	}
	k.stack.Admitted(o.conn, o.admit)
}

func askerOf(id login.Identity) asker {
	return asker{id.Initiator, id.Source, id.PortalGroupTag}
}

// adoptCatalog takes a new catalog. Sessions whose target or rule is gone end, and
// those whose map is another one change to it.
func (k *core) adoptCatalog(c *catalog) {
	k.catalog = c
	if k.stack != nil {
		k.stack.Revise(func(id login.Identity) transport.View { return c.look(askerOf(id), id.Target) })
	}
}

// move sends a connection to the reactor where its session is to be. One that cannot
// go now asks again as one that stays.
func (k *core) move(o order) {
	if p, ok := k.stack.Detach(o.conn); ok {
		k.send(o.to, message{ctl: &control{adopt: &p}})
		return
	}
	k.stack.Stay(o.conn)
}

// adopt takes a connection that another core sent.
func (k *core) adopt(p *transport.Parcel) {
	if k.stopping || !k.stack.Adopt(*p, k.entrance(p.PortalGroupTag())) {
		k.Through(p.Source())
		k.loop.Submit(reactor.Op{Code: reactor.Close, Token: reactor.NewToken(transport.KindEnd, 0, 0), FD: p.FD()})
	}
}
