package engine

import (
	"fmt"
	"net"
	"time"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/iscsi/transport"
	"lunar/reactor/host"
)

// portalGroupTag is the one portal group of the target (RFC 3720 §3.4.1
// [R-3.4.1-1]).
const portalGroupTag = 1

// bindWait is how long an address may still be held by a predecessor that was
// killed: its ring is torn down behind its back (datapath §10).
const (
	bindWait  = 3 * time.Second
	bindRetry = 10 * time.Millisecond
)

// bind opens a portal on every reactor. The first attempt is exclusive, so that a
// second daemon on the same address is refused, not mixed in.
func (e *Engine) bind(address string) (fds []int32, bound string, err error) {
	shared := len(e.cores) > 1
	deadline := time.Now().Add(bindWait)
	for {
		fd, actual, err := host.Listen(address, false)
		if err == nil {
			if !shared {
				return []int32{fd}, actual, nil
			}
			address = actual
			_ = host.CloseFD(fd) // it only tried whether the address is free
			break
		}
		if !host.IsAddrInUse(err) {
			return nil, "", fmt.Errorf("portal %s: %w; use an address of this machine and a free port", address, err)
		}
		if time.Now().After(deadline) {
			return nil, "", fmt.Errorf("portal %s: %w; another process listens there: stop it or choose another --portal", address, err)
		}
		time.Sleep(bindRetry)
	}
	for range e.cores {
		fd, actual, err := host.Listen(address, true)
		if err != nil {
			return nil, "", fmt.Errorf("portal %s: %w", address, err)
		}
		bound = actual
		fds = append(fds, fd)
	}
	return fds, bound, nil
}

// portal describes where a connection arrived.
func (e *Engine) portal() *transport.Portal {
	return &transport.Portal{
		Login: login.Config{
			Offer: login.DefaultOffer(), Targets: targets{e: e}, PortalGroupTag: portalGroupTag, StatSN: serial.Stat(1),
		},
		Targets: func(address string) session.Targets { return targets{e, address} },
	}
}

// targets answers what login and discovery ask about the targets of the engine.
type targets struct {
	e *Engine
	// address is our side of the connection that asks.
	address string
}

// Find implements login.Directory.
func (t targets) Find(_, target string) pdu.LoginStatus {
	if target != t.e.cfg.Target {
		return pdu.LoginNotFound
	}
	return pdu.LoginSuccess
}

// SendTargets implements session.Targets: a TargetName and every address of its
// portal group with the tag (RFC 3720 appendix D [R-D-8], [R-D-11]). A portal on
// every address is named by the one the asker used.
func (t targets) SendTargets(dst []byte, _, name string) []byte {
	if name != "" && name != t.e.cfg.Target {
		return dst
	}
	dst = append(append(append(dst, "TargetName="...), t.e.cfg.Target...), 0)
	for _, p := range t.e.bound {
		dst = fmt.Appendf(dst, "TargetAddress=%s,%d\x00", reachable(p, t.address), portalGroupTag)
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
