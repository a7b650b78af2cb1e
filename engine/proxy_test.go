package engine

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lunar/iscsi/pdu"
)

// proxy stands between initiators and a portal. It cuts connections, or, since it knows
// where PDUs begin, loses and damages some of the full feature phase.
type proxy struct {
	l      net.Listener
	portal string
	// odds is how many of a million PDUs are lost or damaged.
	odds    atomic.Int64
	digests bool
	// spared PDUs are damaged, never lost.
	spared  func(pdu.Opcode) bool
	cuts    int
	lost    atomic.Int64
	damaged atomic.Int64

	mu    sync.Mutex
	rng   *rand.Rand
	pairs map[*pair]struct{}
	wg    sync.WaitGroup
}

// pair is one connection through the proxy; full says that its login is over.
type pair struct {
	near, far *net.TCPConn
	full      atomic.Bool
}

func startProxy(t *testing.T, portal string, digests bool) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, portal: portal, digests: digests, rng: rand.New(rand.NewPCG(3, 4)), pairs: map[*pair]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		for p.cut(false) {
		}
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.portal)
		if err != nil {
			_ = near.Close()
			continue
		}
		x := &pair{near: near.(*net.TCPConn), far: far.(*net.TCPConn)}
		p.mu.Lock()
		p.pairs[x] = struct{}{}
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { p.carry(x, x.near, x.far) })
		both.Go(func() { p.carry(x, x.far, x.near) })
		p.wg.Go(func() {
			both.Wait()
			p.mu.Lock()
			delete(p.pairs, x)
			p.mu.Unlock()
		})
	}
}

// cut resets one connection, or closes it; it is false when there is none.
func (p *proxy) cut(reset bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.pairs)
	if n == 0 {
		return false
	}
	for x := range p.pairs {
		if n--; n > 0 && p.rng.IntN(2) == 0 {
			continue
		}
		if reset {
			_ = x.near.SetLinger(0)
			_ = x.far.SetLinger(0)
		}
		_, _ = x.near.Close(), x.far.Close()
		delete(p.pairs, x)
		p.cuts++
		return true
	}
	return false
}

// cutEvery cuts connections until stop is closed.
func (p *proxy) cutEvery(d time.Duration, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(d):
			p.cut(true)
		}
	}
}

// spoil loses and damages PDUs, so many of a million, until stop is closed.
func (p *proxy) spoil(odds int64, stop <-chan struct{}) {
	p.odds.Store(odds)
	<-stop
	p.odds.Store(0)
}

// carry copies one direction, PDU by PDU.
func (p *proxy) carry(x *pair, from, to *net.TCPConn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	f := pdu.Framer{}
	var all []byte
	var at, data int
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		rest, out := buf[:n], []byte(nil)
		for {
			ev, used := f.Next(rest)
			all = append(all, rest[:used]...)
			rest = rest[used:]
			if ev == pdu.EventMore {
				break
			}
			h := f.Header()
			if ev == pdu.EventHeader {
				at, data = len(all), h.DataBytes()
			}
			if ev == pdu.EventPiece || ev == pdu.EventHeader && data > 0 {
				continue
			}
			out = append(out, p.judged(x, all, at, data)...)
			all = all[:0]
			p.follow(x, &f, h)
		}
		if _, err := to.Write(out); err != nil {
			return
		}
	}
}

// follow switches digests on in the moment in which the connection does.
func (p *proxy) follow(x *pair, f *pdu.Framer, h *pdu.Header) {
	if h.Opcode() == pdu.OpLoginResp {
		l := pdu.AsLoginResponse(h)
		if l.Status() == pdu.LoginSuccess && l.Transit() && l.Next() == pdu.FullFeature {
			x.full.Store(true)
		}
	}
	if h.Opcode() == pdu.OpLoginReq && !pdu.AsLoginRequest(h).Transit() || h.Opcode() == pdu.OpLoginReq && pdu.AsLoginRequest(h).Next() != pdu.FullFeature {
		return
	}
	f.HeaderDigest, f.DataDigest = p.digests, p.digests
	if h.Opcode() == pdu.OpLoginResp && !x.full.Load() {
		f.HeaderDigest, f.DataDigest = false, false
	}
}

// judged is what of a PDU goes on: all of it, nothing, or with a bit of its data wrong.
func (p *proxy) judged(x *pair, all []byte, at, data int) []byte {
	if !x.full.Load() || p.odds.Load() == 0 {
		return all
	}
	p.mu.Lock()
	hit, flip, bit := p.rng.Int64N(1e6) < p.odds.Load(), p.rng.IntN(2) == 0, p.rng.IntN(max(8*data, 1))
	p.mu.Unlock()
	first := pdu.Header(all[:pdu.HeaderBytes])
	spared := p.spared != nil && p.spared(first.Opcode())
	switch {
	case !hit || spared && (data == 0 || !flip):
		return all
	case flip && data > 0 && p.digests:
		p.damaged.Add(1)
		all[at+bit/8] ^= 1 << (bit % 8)
		return all
	}
	p.lost.Add(1)
	return nil
}
