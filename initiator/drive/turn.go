package drive

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"lunar/reactor"
)

// Kinds of token; the index is that of a link or an alarm.
const (
	kindRecv reactor.Kind = iota + 1
	kindSend
	kindShut
	kindClose
	kindAlarm
)

// errPeer says that the other side closed the connection.
var errPeer = fmt.Errorf("the other side closed the connection: %w", io.EOF)

// errTooMany ends a link beyond maxLinks.
var errTooMany = errors.New("drive: too many links for one loop")

// serve runs turns until it is told to stop and everything has ended.
func (l *Loop) serve() error {
	for {
		done, err := l.loop.Turn()
		if err != nil {
			return fmt.Errorf("drive: %w", err)
		}
		for i := range done {
			l.completed(&done[i])
		}
		if !l.mail.Empty() {
			l.read()
		}
		for _, k := range l.dirty {
			k.dirty = false
			l.move(k)
		}
		l.dirty = l.dirty[:0]
		if l.stopping && l.live == 0 && l.closing == 0 {
			return nil
		}
	}
}

func (l *Loop) completed(x *reactor.Completion) {
	switch x.Token.Kind() {
	case kindRecv:
		k := l.links[x.Token.Index()]
		l.received(k, x)
		l.loop.Recycle(x.Buffer)
		l.touch(k)
	case kindSend:
		k := l.links[x.Token.Index()]
		k.sending = false
		if x.Result < 0 {
			k.fail(fmt.Errorf("send: %w", syscall.Errno(-x.Result)))
		} else {
			k.sent(int(x.Result))
		}
		l.touch(k)
	case kindAlarm:
		l.alarms[x.Token.Index()].ring()
	case kindClose:
		l.closing--
	}
}

// touch has the link looked after at the end of this turn.
func (l *Loop) touch(k *Link) {
	if !k.dirty {
		k.dirty = true
		l.dirty = append(l.dirty, k)
	}
}

// received gives the client what came. What comes to a link that is ending is
// dropped.
func (l *Loop) received(k *Link, x *reactor.Completion) {
	room := k.room
	k.receiving, k.room = false, nil
	switch {
	case k.dead:
	case x.Result < 0:
		k.fail(fmt.Errorf("receive: %w", syscall.Errno(-x.Result)))
	case x.Result == 0:
		k.fail(errPeer)
	default:
		var err error
		if room != nil {
			err = k.client.Placed(int(x.Result))
		} else {
			err = k.client.Take(l.loop.Received(*x))
		}
		if err != nil {
			k.fail(err)
		}
	}
}

// move submits what the link needs next: a send of everything queued, then the next
// reception, which may find the answer to it.
func (l *Loop) move(k *Link) {
	if k.dead {
		l.end(k)
		return
	}
	if k.gather() {
		k.sending = true
		l.loop.Submit(reactor.Op{Token: k.token(kindSend), Code: reactor.Send, FD: k.fd, Iov: k.rest})
	}
	if k.receiving {
		return
	}
	k.receiving = true
	k.room = k.client.Room()
	l.loop.Submit(reactor.Op{Token: k.token(kindRecv), Code: reactor.Recv, FD: k.fd, Data: k.room})
}

// end gives the link up when nothing of it is in flight, and sees to it that this
// comes about.
func (l *Loop) end(k *Link) {
	if k.receiving || k.sending {
		if !k.shut {
			k.shut = true
			l.loop.Submit(reactor.Op{Token: k.token(kindShut), Code: reactor.Shutdown, FD: k.fd})
		}
		return
	}
	l.links[k.index] = nil
	l.free = append(l.free, k.index)
	l.live--
	l.closing++
	l.loop.Submit(reactor.Op{Token: k.token(kindClose), Code: reactor.Close, FD: k.fd})
	k.client.Ended(k.err)
}

// read takes the messages that wait.
func (l *Loop) read() {
	for _, m := range l.mail.take() {
		switch m.kind {
		case begin:
			l.begin(m.link, m.received)
		case flush:
			m.link.called.Store(false)
			if l.holds(m.link) {
				l.touch(m.link)
			}
		case hangUp:
			if l.holds(m.link) {
				m.link.fail(m.err)
				l.touch(m.link)
			}
		case call:
			m.do()
		case stop:
			l.stopping = true
			for _, k := range l.links {
				if k != nil {
					k.fail(ErrStopped)
					l.touch(k)
				}
			}
		}
	}
}

// holds says whether the link has begun and not ended.
func (l *Loop) holds(k *Link) bool {
	return int(k.index) < len(l.links) && l.links[k.index] == k
}

// begin takes a link.
func (l *Loop) begin(k *Link, received []byte) {
	if n := len(l.free); n > 0 {
		k.index, l.free = l.free[n-1], l.free[:n-1]
	} else {
		k.index = uint32(len(l.links))
		l.links = append(l.links, nil)
	}
	l.links[k.index] = k
	l.live++
	l.touch(k)
	switch {
	case l.stopping:
		k.fail(ErrStopped)
	case l.live > maxLinks:
		k.fail(errTooMany)
	case len(received) > 0:
		if err := k.client.Take(received); err != nil {
			k.fail(err)
		}
	}
}
