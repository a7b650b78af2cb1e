package config

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lunar/engine"
	"lunar/iscsi/auth"
	"lunar/iscsi/login"
	"lunar/reactor"
	"lunar/reactor/rings"
)

// builder turns a document into what the engine takes, and collects what is wrong
// with it: a reader who mends one error wants to see the next too.
type builder struct {
	processors []int
	errs       []error
}

// maxErrors is how many errors are shown of one document.
const maxErrors = 20

func (b *builder) wrong(path, format string, a ...any) {
	if len(b.errs) < maxErrors {
		b.errs = append(b.errs, &engine.ConfigError{Path: path, What: fmt.Sprintf(format, a...)})
	}
}

func (b *builder) file(d *document) *File {
	f := &File{Admin: d.Admin, Metrics: d.Metrics}
	b.endpoints(d, &f.Engine)
	if d.LogLevel != "" {
		if err := f.LogLevel.UnmarshalText([]byte(d.LogLevel)); err != nil {
			b.wrong("log_level", "log_level %q: use debug, info, warn or error", d.LogLevel)
		}
	} else {
		f.LogLevel = slog.LevelInfo
	}
	c := &f.Engine
	if c.State = d.State; c.State == "" {
		b.wrong("state", "no state directory; give state = \"/var/lib/lunar\" or another")
	}
	b.reactors(&d.Reactors, c)
	b.limits(&d.Limits, &c.Limits)
	for i, g := range d.Groups {
		tag := 1
		if g.Tag != nil {
			tag = *g.Tag
		}
		path := fmt.Sprintf("portal_group[%d]", i)
		access, err := engine.ParseAccess(g.Access)
		if err != nil {
			b.wrong(path+".access", "portal group %d: %s", tag, err)
		}
		c.Groups = append(c.Groups, engine.Group{Tag: b.tag(path+".tag", tag), Portals: g.Portals, Access: access, Preferred: g.Preferred})
	}
	c.Discovery = b.chap("discovery.chap", d.Discovery.CHAP)
	for i := range d.Units {
		c.Units = append(c.Units, b.unit(fmt.Sprintf("unit[%d]", i), &d.Units[i]))
	}
	for i := range d.Targets {
		c.Targets = append(c.Targets, b.target(fmt.Sprintf("target[%d]", i), &d.Targets[i]))
	}
	return f
}

func (b *builder) tag(path string, n int) uint16 {
	if n < 0 || n > math.MaxUint16 {
		b.wrong(path, "portal group tag %d: use 0 to %d", n, math.MaxUint16)
	}
	return uint16(n)
}

func (b *builder) reactors(r *reactors, c *engine.Config) {
	c.Ring, c.Poll = "auto", reactor.Auto
	if r.Ring != "" {
		c.Ring = r.Ring
		if err := rings.Check(r.Ring); err != nil {
			b.wrong("reactors.ring", "ring: %s", err)
		}
	}
	if r.Poll != "" {
		var err error
		if c.Poll, err = reactor.ParsePollMode(r.Poll); err != nil {
			b.wrong("reactors.poll", "poll: %s", err)
		}
	}
	switch {
	case r.Count != nil && r.CPUs != nil:
		b.wrong("reactors.count", "reactors have both count and cpus; give one of them")
	case r.CPUs != nil:
		for i, cpu := range r.CPUs {
			if !slices.Contains(b.processors, cpu) || slices.Contains(r.CPUs[:i], cpu) {
				b.wrong(fmt.Sprintf("reactors.cpus[%d]", i), "processor %d is not usable or named twice; usable are %v", cpu, b.processors)
			}
		}
		c.CPUs = r.CPUs
	case r.Count != nil && (*r.Count < 1 || *r.Count > max(len(b.processors), 1)):
		b.wrong("reactors.count", "%d reactors on %d usable processors; use 1 to %d", *r.Count, len(b.processors), len(b.processors))
	case r.Count != nil:
		c.CPUs = slices.Repeat([]int{-1}, *r.Count)
	default:
		c.CPUs = []int{-1}
	}
}

func (b *builder) limits(l *limits, to *engine.Limits) {
	to.LoginTime = b.time("limits.login_time", l.LoginTime)
	to.PingTime = b.time("limits.ping_time", l.PingTime)
	to.Logins = b.count("limits.logins", l.Logins)
	to.LoginsPerSource = b.count("limits.logins_per_source", l.LoginsPerSource)
}

// Bounds of times that a configuration gives.
const minTime, maxTime = time.Second, time.Hour

func (b *builder) time(path, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < minTime || d > maxTime {
		b.wrong(path, "%s %q: use a time from %v to %v, for instance \"10s\"", path, s, minTime, maxTime)
	}
	return d
}

func (b *builder) count(path string, n *int) int {
	if n == nil {
		return 0
	}
	if *n < 1 || *n > math.MaxUint16 {
		b.wrong(path, "%s is %d; use 1 to %d", path, *n, math.MaxUint16)
	}
	return *n
}

func (b *builder) unit(path string, u *unit) engine.Unit {
	to := engine.NewUnit(u.Name, engine.Medium(u.Medium))
	if !to.Medium.Known() {
		b.wrong(path+".medium", "unit %q: unknown medium %q; use %s", u.Name, u.Medium, engine.Media)
		return to
	}
	for _, o := range []struct {
		key, option, value string
	}{
		{"size", "size", u.Size},
		{"block_size", "bs", number(u.BlockSize)},
		{"cache", "cache", u.Cache},
		{"path", "path", u.Path},
		{"direct", "direct", u.Direct},
		{"sync", "sync", onOff(u.Sync)},
		{"removable", "removable", onOff(u.Removable)},
		{"protection", "protection", number(u.Protection)},
	} {
		if o.value == "" {
			continue
		}
		if err := to.Set(o.option, o.value); err != nil {
			b.wrong(path+"."+o.key, "unit %q: %s", u.Name, err)
		}
	}
	if to.Path != "" && !filepath.IsAbs(to.Path) {
		// A daemon's working directory is nobody's business.
		b.wrong(path+".path", "unit %q: path %q is relative; give an absolute one", u.Name, to.Path)
	}
	return to
}

func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func onOff(v *bool) string {
	switch {
	case v == nil:
		return ""
	case *v:
		return "on"
	}
	return "off"
}

func (b *builder) target(path string, t *target) engine.Target {
	to := engine.Target{Name: t.Name, Alias: t.Alias, Auth: b.chap(path+".chap", t.CHAP), Offer: offer(t.Keys)}
	for i, g := range t.Groups {
		to.Groups = append(to.Groups, b.tag(fmt.Sprintf("%s.portal_groups[%d]", path, i), g))
	}
	to.LUNs = b.luns(path, t.LUNs)
	if t.Redirect != nil {
		to.Redirect = &engine.Redirect{Addresses: t.Redirect.To, Permanent: t.Redirect.Permanent}
	}
	for i := range t.Access {
		a, at := &t.Access[i], fmt.Sprintf("%s.access[%d]", path, i)
		rule := engine.Access{Initiator: a.Initiator, Deny: a.Deny, Auth: b.chap(at+".chap", a.CHAP)}
		if a.LUNs != nil {
			rule.LUNs = append([]engine.Mapping{}, b.luns(at, *a.LUNs)...)
		}
		for n, s := range a.Sources {
			rule.Sources = append(rule.Sources, b.source(fmt.Sprintf("%s.sources[%d]", at, n), s))
		}
		to.Access = append(to.Access, rule)
	}
	return to
}

// source reads a network, or an address as the network of it alone.
func (b *builder) source(path, s string) netip.Prefix {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Masked() != p {
		b.wrong(path, "source %q: use a network such as 192.0.2.0/24, with zeros behind its length, or an address", s)
	}
	return p
}

func (b *builder) luns(path string, luns []mapping) (to []engine.Mapping) {
	for i, m := range luns {
		if m.Number < 0 || m.Number > math.MaxUint16 {
			b.wrong(fmt.Sprintf("%s.lun[%d].number", path, i), "LUN %d: use a number from 0 to 16383", m.Number)
			continue
		}
		to = append(to, engine.Mapping{Number: uint16(m.Number), Unit: m.Unit, ReadOnly: m.ReadOnly})
	}
	return to
}

// offer is the default with what a document says otherwise.
func offer(k *keys) *login.Offer {
	if k == nil {
		return nil
	}
	o := login.DefaultOffer()
	for _, f := range []struct {
		to   *uint32
		from *uint32
	}{
		{&o.MaxBurstLength, k.MaxBurstLength},
		{&o.FirstBurstLength, k.FirstBurstLength},
		{&o.MaxRecvDataSegmentLength, k.MaxRecvDataSegmentLength},
		{&o.MaxOutstandingR2T, k.MaxOutstandingR2T},
		{&o.MaxConnections, k.MaxConnections},
		{&o.ErrorRecoveryLevel, k.ErrorRecoveryLevel},
		{&o.DefaultTime2Wait, k.DefaultTime2Wait},
		{&o.DefaultTime2Retain, k.DefaultTime2Retain},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if k.InitialR2T != nil {
		o.InitialR2T = *k.InitialR2T
	}
	if k.ImmediateData != nil {
		o.ImmediateData = *k.ImmediateData
	}
	return &o
}

func (b *builder) chap(path string, c *chap) *auth.Policy {
	if c == nil {
		return nil
	}
	p := &auth.Policy{ShortSecrets: c.ShortSecrets}
	for i := range c.Users {
		p.Users = append(p.Users, b.credentials(fmt.Sprintf("%s.users[%d]", path, i), &c.Users[i]))
	}
	if c.Mutual != nil {
		m := b.credentials(path+".mutual", c.Mutual)
		p.Mutual = &m
	}
	for i, name := range c.Algorithms {
		all := auth.Algorithms()
		n := slices.IndexFunc(all, func(a auth.Algorithm) bool { return strings.EqualFold(a.String(), name) })
		if n < 0 {
			b.wrong(fmt.Sprintf("%s.algorithms[%d]", path, i), "CHAP algorithm %q: use %v", name, all)
			continue
		}
		p.Algorithms = append(p.Algorithms, all[n])
	}
	return p
}

func (b *builder) credentials(path string, c *credentials) auth.Credentials {
	s, err := secret(c.Secret)
	if err != nil {
		b.wrong(path+".secret", "CHAP user %q: %s", c.Name, err)
	}
	return auth.Credentials{Name: c.Name, Secret: s}
}
