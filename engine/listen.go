package engine

import (
	"log/slog"
	"slices"
	"syscall"
	"time"

	"lunar/iscsi/transport"
	"lunar/reactor"
	"lunar/reactor/host"
)

// listener is one portal on this core; its place is free when fd is negative. What
// accepts for an earlier one in its place has another generation.
type listener struct {
	fd         int32
	generation uint32
	portal     *transport.Portal
}

// listen opens a portal of a group on this core.
func (k *core) listen(fd int32, tag uint16) {
	i := slices.IndexFunc(k.listeners, func(l listener) bool { return l.fd < 0 })
	if i < 0 {
		i = len(k.listeners)
		k.listeners = append(k.listeners, listener{})
	}
	l := &k.listeners[i]
	l.fd, l.portal = fd, k.entrance(tag)
	l.generation++
	k.loop.Submit(reactor.Op{Code: reactor.Accept, Token: k.acceptToken(i), FD: fd})
}

func (k *core) acceptToken(i int) reactor.Token {
	return reactor.NewToken(kindAccept, k.listeners[i].generation, uint32(i))
}

// unlisten closes a portal. What it let in stays.
func (k *core) unlisten(fd int32) {
	for i := range k.listeners {
		if k.listeners[i].fd == fd {
			k.shut(i)
		}
	}
}

// shut closes the portal in a place.
func (k *core) shut(i int) {
	k.loop.Submit(reactor.Op{Code: reactor.Cancel, Token: reactor.NewToken(transport.KindEnd, 0, 0), Target: k.acceptToken(i)})
	k.loop.Submit(reactor.Op{Code: reactor.Close, Token: reactor.NewToken(transport.KindEnd, 0, 0), FD: k.listeners[i].fd})
	k.listeners[i].fd = -1
}

func (k *core) accept(x *reactor.Completion) {
	l := &k.listeners[x.Token.Index()]
	closed := k.stopping || l.fd < 0 || x.Token != k.acceptToken(int(x.Token.Index()))
	switch {
	case x.Timer && !closed:
		k.loop.Submit(reactor.Op{Code: reactor.Accept, Token: x.Token, FD: l.fd})
		return
	case x.Timer, x.Result < 0 && (closed || x.More):
		return
	case x.Result < 0:
		// Out of descriptors or the like: the connection stays in the backlog, and
		// asking again at once would only spin.
		slog.Warn("accepting pauses", "reactor", k.id, "error", syscall.Errno(-x.Result))
		k.loop.Arm(x.Token, k.loop.Now()+acceptPause.Nanoseconds())
		return
	}
	if !closed && k.welcome(x.Result, l.portal) {
		return
	}
	k.loop.Submit(reactor.Op{Code: reactor.Close, Token: reactor.NewToken(transport.KindEnd, 0, 0), FD: x.Result})
}

// welcome takes a new connection in. It is false when it is to be closed.
func (k *core) welcome(fd int32, p *transport.Portal) bool {
	source := host.PeerIP(fd)
	if !k.engine.door.enter(source, time.Now()) {
		return false
	}
	address, err := host.LocalAddr(fd)
	host.Unpace(fd)
	if err == nil && k.stack.Accept(fd, address, source, p) {
		return true
	}
	k.Through(source)
	return false
}

// acceptPause is how long accepting pauses after it failed.
const acceptPause = 100 * time.Millisecond
