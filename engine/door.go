package engine

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// door limits the logins under way, over all reactors: anyone may open connections
// and say nothing (RFC 3720 §7.1.2 [R-7.1.2-1]). It is passed when a connection is
// accepted and when its login is over, never by a PDU of a session.
type door struct {
	limits Limits
	// first and longest are how long refusals wait: firstHold and longestHold.
	first, longest time.Duration

	mu      sync.Mutex
	logins  int
	sources map[netip.Prefix]*source
	// turned counts connections that found no room, told when that was last said.
	turned uint64
	told   time.Time
}

// source is where connections come from: an IPv4 address, or an IPv6 network of 64
// bits, within which addresses cost nothing.
type source struct {
	logins int
	// failures are failed authentications in a row, the last at failed.
	failures int
	failed   time.Time
}

// Defaults of Limits.
const (
	defaultLogins          = 1024
	defaultLoginsPerSource = 64
)

// Back-off after failed authentication: the first answer comes at once, for someone
// who mistyped; each further one within forgetAfter waits twice as long.
const (
	firstHold   = 500 * time.Millisecond
	longestHold = 4 * time.Second
	forgetAfter = time.Minute
)

func newDoor(l Limits) *door {
	if l.Logins == 0 {
		l.Logins = defaultLogins
	}
	if l.LoginsPerSource == 0 {
		l.LoginsPerSource = defaultLoginsPerSource
	}
	return &door{limits: l, first: firstHold, longest: longestHold, sources: map[netip.Prefix]*source{}}
}

// sourceOf is the source of an address.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such are one source
	}
	return p
}

// enter takes a connection in, or finds no room for it.
func (d *door) enter(a netip.Addr, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sources[sourceOf(a)]
	if d.logins >= d.limits.Logins || s != nil && s.logins >= d.limits.LoginsPerSource {
		d.turned++
		if now.Sub(d.told) >= time.Second {
			d.told = now
			slog.Warn("too many logins under way; connections are turned away", "source", a, "logins", d.logins, "turned", d.turned)
		}
		return false
	}
	if s == nil {
		s = &source{}
		d.sources[sourceOf(a)] = s
	}
	d.logins++
	s.logins++
	return true
}

// leave says that a login is over.
func (d *door) leave(a netip.Addr, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logins--
	p := sourceOf(a)
	s := d.sources[p]
	s.logins--
	if s.logins == 0 && (s.failures == 0 || now.Sub(s.failed) >= forgetAfter) {
		delete(d.sources, p)
	}
	if len(d.sources) > maxSources {
		d.forget(now)
	}
}

// maxSources bounds the sources that are remembered for their failures alone.
const maxSources = 1 << 14

// forget drops the sources without a login, the old ones if that is enough.
func (d *door) forget(now time.Time) {
	for _, age := range []time.Duration{forgetAfter, 0} {
		for p, s := range d.sources {
			if s.logins == 0 && now.Sub(s.failed) >= age {
				delete(d.sources, p)
			}
		}
		if len(d.sources) <= maxSources {
			return
		}
	}
}

// failed notes a failed authentication and returns how long its answer waits. Other
// logins of the source do not wait: they may be those of somebody else behind the
// same address.
func (d *door) failed(a netip.Addr, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sources[sourceOf(a)]
	if s == nil {
		return d.longest
	}
	if now.Sub(s.failed) >= forgetAfter {
		s.failures = 0
	}
	s.failures++
	s.failed = now
	if s.failures == 1 {
		return 0
	}
	return min(d.first<<min(s.failures-2, 8), d.longest)
}

// under is how many logins are under way, and how many connections were turned away
// since the start.
func (d *door) under() (logins int, turned uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logins, d.turned
}
