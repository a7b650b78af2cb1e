package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/iscsi/transport"
	"lunar/reactor/host"
)

// bindWait is how long an address may still be held by a predecessor that was
// killed: its ring is torn down behind its back (datapath §10).
const (
	bindWait  = 3 * time.Second
	bindRetry = 10 * time.Millisecond
)

// portal is an address that is listened on.
type portal struct {
	tag uint16
	// address is the configured one, bound the one in use.
	address, bound string
	// fds are the sockets, one for each reactor or one alone.
	fds []int32
}

// bindPortals takes over the portals that stay and binds the new ones.
func (c *change) bindPortals() error {
	for gi, g := range c.cfg.Groups {
		for pi, address := range g.Portals {
			i := slices.IndexFunc(c.e.portals, func(p *portal) bool {
				// Portals without a number have one address and are several.
				return p.tag == g.Tag && p.address == address && !slices.Contains(c.portals, p)
			})
			if i >= 0 {
				c.portals = append(c.portals, c.e.portals[i])
				continue
			}
			p, err := c.e.bind(g.Tag, address)
			if err != nil {
				return wrong(fmt.Sprintf("portal_group[%d].portals[%d]", gi, pi), "%s", err)
			}
			c.portals, c.bound = append(c.portals, p), append(c.bound, p)
		}
	}
	return nil
}

// bind opens a portal on every reactor. The first attempt is exclusive, so that a
// second daemon on the same address is refused, not mixed in.
func (e *Engine) bind(tag uint16, address string) (*portal, error) {
	p := &portal{tag: tag, address: address}
	deadline := time.Now().Add(bindWait)
	for {
		fd, actual, err := host.Listen(address, false)
		if err == nil {
			p.bound = actual
			if len(e.cores) == 1 {
				p.fds = []int32{fd}
				return p, nil
			}
			_ = host.CloseFD(fd) // it only tried whether the address is free
			break
		}
		if !host.IsAddrInUse(err) {
			return nil, fmt.Errorf("portal %s: %w; use an address of this machine and a free port", address, err)
		}
		if own := e.listensAt(address); own != nil {
			return nil, fmt.Errorf("portal %s: this target listens at %s, in portal group %d; take it out there, reload, then add it here",
				address, own.bound, own.tag)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("portal %s: %w; another process listens there: stop it or choose another portal", address, err)
		}
		time.Sleep(bindRetry)
	}
	return p, p.bindShared(len(e.cores))
}

// bindShared binds an address that is free once for each reactor.
func (p *portal) bindShared(reactors int) error {
	for range reactors {
		fd, _, err := host.Listen(p.bound, true)
		if err != nil {
			for _, fd := range p.fds {
				err = errors.Join(err, host.CloseFD(fd))
			}
			return fmt.Errorf("portal %s: %w; free the address, or choose another portal", p.address, err)
		}
		p.fds = append(p.fds, fd)
	}
	return nil
}

// listensAt finds the portal of ours that has an address in use, nil when it is
// somebody else's.
func (e *Engine) listensAt(address string) *portal {
	wanted, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil
	}
	for _, p := range e.portals {
		has, err := netip.ParseAddrPort(p.bound)
		if err == nil && has.Port() == wanted.Port() &&
			(has.Addr() == wanted.Addr() || has.Addr().IsUnspecified() || wanted.Addr().IsUnspecified()) {
			return p
		}
	}
	return nil
}

// movePortals opens the portals that are new and closes those that are not wanted.
func (e *Engine) movePortals(portals []*portal) {
	for _, p := range portals {
		if slices.Contains(e.portals, p) {
			continue
		}
		for i, fd := range p.fds {
			k := e.cores[i]
			e.on(k, func() { k.listen(fd, p.tag) })
		}
	}
	for _, p := range e.portals {
		if slices.Contains(portals, p) {
			continue
		}
		for i, fd := range p.fds {
			k := e.cores[i]
			e.on(k, func() { k.unlisten(fd) })
		}
		slog.Info("portal closed", "portal", p.bound)
	}
	e.portals = portals
}

// entrance describes a portal group to the connections that come through it.
func (k *core) entrance(tag uint16) *transport.Portal {
	return &transport.Portal{
		Login: login.Config{
			Offer: login.DefaultOffer(), Targets: desk{k, tag, "", netip.Addr{}}, PortalGroupTag: tag, StatSN: serial.Stat(1),
			Node: k.engine.node,
		},
		Targets: func(address string, source netip.Addr) session.Targets { return desk{k, tag, address, source} },
	}
}

// desk answers what login and discovery ask at a portal group.
type desk struct {
	k   *core
	tag uint16
	// address is our side of the connection that asks, source the other.
	address string
	source  netip.Addr
}

// Access implements login.Directory.
func (d desk) Access(q login.Query) login.Access {
	c := d.k.catalog
	if q.Target == "" {
		return login.Access{Auth: c.discovery}
	}
	t, rule, status := c.find(asker{q.Initiator, q.Source, d.tag}, q.Target)
	if status != pdu.LoginSuccess {
		return login.Access{Status: status}
	}
	a := login.Access{Alias: t.Alias, Offer: t.Offer, Auth: t.Auth}
	if rule != everyone && t.Access[rule].Auth != nil {
		a.Auth = t.Access[rule].Auth
	}
	if q.Discovery {
		a.Auth = c.discovery
	}
	if r := t.Redirect; r != nil {
		a.Status, a.Addresses = pdu.LoginMovedTemporarily, r.Addresses
		if r.Permanent {
			a.Status = pdu.LoginMovedPermanently
		}
	}
	return a
}

// SendTargets implements session.Targets: for each target that the asker may see, at
// whatever portal, its name and every address of its portal groups with the tag
// (RFC 3720 appendix D [R-D-3], [R-D-8], [R-D-11]). A portal on every address is
// named by the one the asker used.
func (d desk) SendTargets(dst []byte, initiator, name string) []byte {
	c := d.k.catalog
	if name != "" {
		return d.append(dst, c, initiator, name)
	}
	for _, name := range c.names {
		dst = d.append(dst, c, initiator, name)
	}
	return dst
}

func (d desk) append(dst []byte, c *catalog, initiator, name string) []byte {
	t := c.targets[name]
	if t == nil {
		return dst
	}
	if _, ok := t.rules.find(initiator, d.source); !ok {
		return dst
	}
	dst = append(append(append(dst, "TargetName="...), name...), 0)
	for _, tag := range t.tags {
		for _, p := range c.portals[tag] {
			dst = fmt.Appendf(dst, "TargetAddress=%s,%d\x00", reachable(p, d.address), tag)
		}
	}
	return dst
}

// reachable replaces an unspecified host by the one the asker came in on.
func reachable(portal, asked string) string {
	host, port, err := net.SplitHostPort(portal)
	if err != nil {
		return portal
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return portal
	}
	mine, _, err := net.SplitHostPort(asked)
	if err != nil {
		return portal
	}
	return net.JoinHostPort(mine, port)
}
