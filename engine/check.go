package engine

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"lunar/iscsi/auth"
	"lunar/iscsi/login"
	"lunar/iscsi/text"
	"lunar/lun/file"
	"lunar/scsi/sam"
)

// ConfigError is what is wrong with one object of a configuration.
type ConfigError struct {
	// Path leads to it as keys of the document do: "target[2].lun[0].unit".
	Path string
	// What names the object and the remedy.
	What string
}

// Error is What.
func (e *ConfigError) Error() string { return e.What }

func wrong(path, format string, a ...any) error {
	return &ConfigError{Path: path, What: fmt.Sprintf(format, a...)}
}

// Check looks at a configuration as a whole, before anything is opened, and brings
// names and addresses to the form in which they are compared. Its errors are of
// type *ConfigError.
func (c *Config) Check() error {
	if len(c.CPUs) == 0 || len(c.CPUs) > maxReactors {
		return wrong("reactors", "%d reactors; give 1 to %d", len(c.CPUs), maxReactors)
	}
	tags, err := c.checkGroups()
	if err != nil {
		return err
	}
	units, err := c.checkUnits()
	if err != nil {
		return err
	}
	if len(c.Targets) > maxTargets {
		return wrong("target", "%d targets; give at most %d", len(c.Targets), maxTargets)
	}
	if err := checkAuth("discovery.chap", "discovery", c.Discovery); err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range c.Targets {
		t, path := &c.Targets[i], fmt.Sprintf("target[%d]", i)
		if err := t.check(path, tags, units); err != nil {
			return err
		}
		if names[t.Name] {
			return wrong(path+".name", "target %q is configured twice; give every target a name of its own", t.Name)
		}
		names[t.Name] = true
	}
	return nil
}

func (c *Config) checkGroups() (tags map[uint16]bool, err error) {
	tags = map[uint16]bool{}
	used := map[string]bool{}
	for i, g := range c.Groups {
		path := fmt.Sprintf("portal_group[%d]", i)
		if tags[g.Tag] {
			return nil, wrong(path+".tag", "portal group %d is configured twice; give each group a tag of its own", g.Tag)
		}
		tags[g.Tag] = true
		if len(g.Portals) == 0 || len(g.Portals) > maxPortals {
			return nil, wrong(path, "portal group %d has %d portals; give it 1 to %d", g.Tag, len(g.Portals), maxPortals)
		}
		for n := range g.Portals {
			at := fmt.Sprintf("%s.portals[%d]", path, n)
			p, err := portalAddress(g.Portals[n])
			if err != nil {
				return nil, wrong(at, "%s", err)
			}
			// RFC 3720 §3.4.1 [R-3.4.1-1]: a portal is in exactly one group.
			if used[p] && !strings.HasSuffix(p, ":0") {
				return nil, wrong(at, "portal %s is configured twice; a portal belongs to one group", p)
			}
			g.Portals[n], used[p] = p, true
		}
	}
	if len(c.Groups) == 0 {
		return nil, wrong("portal_group", "no portal; give at least one --portal ADDR:PORT or [[portal_group]]")
	}
	if tags[0] && tags[relativePort(0)] {
		return nil, wrong("portal_group", "portal groups 0 and %d would be one relative port; use another tag", relativePort(0))
	}
	return tags, nil
}

// defaultPort is the iSCSI port (RFC 3720 §13 [R-13-1]).
const defaultPort = 3260

// portalAddress reads an address, with port 3260 when it names none.
func portalAddress(s string) (string, error) {
	a, err := netip.ParseAddrPort(s)
	if err == nil {
		return a.String(), nil
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return "", fmt.Errorf("portal %q: use ADDR or ADDR:PORT with a numeric address, IPv6 in brackets, for instance 127.0.0.1:%d", s, defaultPort)
	}
	return netip.AddrPortFrom(ip, defaultPort).String(), nil
}

// unitName is what a unit may be called.
var unitName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$`)

func (c *Config) checkUnits() (names map[string]bool, err error) {
	names = map[string]bool{}
	paths := map[string]string{}
	if len(c.Units) > maxLUNs {
		return nil, wrong("unit", "%d units; give at most %d", len(c.Units), maxLUNs)
	}
	for i := range c.Units {
		u, path := &c.Units[i], fmt.Sprintf("unit[%d]", i)
		if !unitName.MatchString(u.Name) {
			return nil, wrong(path+".name", "unit %q: a name is 1 to 255 letters, digits and . _ : -, and starts with a letter or digit", u.Name)
		}
		if names[u.Name] {
			return nil, wrong(path+".name", "unit %q is configured twice; give every unit a name of its own", u.Name)
		}
		names[u.Name] = true
		if err := u.check(); err != nil {
			return nil, wrong(path, "unit %q: %s", u.Name, err)
		}
		if !u.Medium.hasPath() {
			continue
		}
		p, err := filepath.Abs(u.Path)
		if err != nil {
			return nil, wrong(path+".path", "unit %q: %s", u.Name, err)
		}
		if other, twice := paths[p]; twice {
			return nil, wrong(path+".path", "units %q and %q share the %s %s; give each one of its own", other, u.Name, u.Medium.noun(), p)
		}
		paths[p] = u.Name
		if !u.Protects {
			continue
		}
		if other, twice := paths[file.TuplesPath(p)]; twice {
			return nil, wrong(path+".path", "unit %q keeps its protection information in %s, which is unit %q; give that one another path", u.Name, file.TuplesPath(p), other)
		}
		paths[file.TuplesPath(p)] = u.Name
	}
	return names, nil
}

// datedName is an iqn. name with a month in which its authority may have owned the
// domain. Peers' names are taken as they are; ours are to be right.
var datedName = regexp.MustCompile(`^iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[^:.][^:]*(:.*)?$`)

func (t *Target) check(path string, tags map[uint16]bool, units map[string]bool) error {
	name, ok := text.Name([]byte(t.Name))
	if !ok {
		return wrong(path+".name", "target %q is no iSCSI name; use iqn.YYYY-MM.reversed.domain:name", t.Name)
	}
	if strings.HasPrefix(name, "iqn.") && !datedName.MatchString(name) {
		// RFC 3720 §3.2.6.3.1 [R-3.2.6.3.1-1].
		return wrong(path+".name", "target %q: behind iqn. stands a month and a reversed domain; use iqn.YYYY-MM.reversed.domain:name", t.Name)
	}
	t.Name = name
	if len(t.Alias) > text.MaxValueBytes || strings.ContainsRune(t.Alias, 0) {
		return wrong(path+".alias", "target %q: an alias is at most %d bytes without NUL", name, text.MaxValueBytes)
	}
	for i, g := range t.Groups {
		if !tags[g] {
			return wrong(fmt.Sprintf("%s.portal_groups[%d]", path, i), "target %q: portal group %d is not configured; add a [[portal_group]] with that tag", name, g)
		}
	}
	if t.Offer != nil {
		if err := checkOffer(path+".keys", name, t.Offer); err != nil {
			return err
		}
	}
	if r := t.Redirect; r != nil {
		if len(r.Addresses) == 0 || len(r.Addresses) > maxPortals {
			return wrong(path+".redirect", "target %q: a redirect names 1 to %d addresses", name, maxPortals)
		}
		for i, a := range r.Addresses {
			if !validHost(a) {
				return wrong(fmt.Sprintf("%s.redirect.to[%d]", path, i), "target %q: redirect to %q: use host or host:port, IPv6 in brackets", name, a)
			}
		}
	}
	if err := checkMap(path+".lun", name, t.LUNs, units); err != nil {
		return err
	}
	if err := checkAuth(path+".chap", "target "+name, t.Auth); err != nil {
		return err
	}
	return t.checkAccess(path, units)
}

func (t *Target) checkAccess(path string, units map[string]bool) error {
	if len(t.Access) > maxRules {
		return wrong(path+".access", "target %q: %d access rules; give at most %d", t.Name, len(t.Access), maxRules)
	}
	for i := range t.Access {
		a, at := &t.Access[i], fmt.Sprintf("%s.access[%d]", path, i)
		start, pattern := strings.CutSuffix(a.Initiator, "*")
		if pattern {
			a.Initiator = strings.ToLower(start) + "*"
			if strings.Contains(start, "*") {
				return wrong(at+".initiator", "target %q: %q: a * stands only at the end", t.Name, a.Initiator)
			}
		} else if n, ok := text.Name([]byte(a.Initiator)); ok {
			a.Initiator = n
		} else {
			return wrong(at+".initiator", "target %q: initiator %q is no iSCSI name; use one, or its start and a *", t.Name, a.Initiator)
		}
		if err := checkMap(at+".lun", t.Name, a.LUNs, units); err != nil {
			return err
		}
		if err := checkAuth(at+".chap", "target "+t.Name, a.Auth); err != nil {
			return err
		}
	}
	return nil
}

func checkMap(path, target string, luns []Mapping, units map[string]bool) error {
	numbers := map[uint16]bool{}
	for i, m := range luns {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case m.Number > sam.MaxLUN:
			return wrong(at+".number", "target %q: LUN %d; numbers go from 0 to %d", target, m.Number, sam.MaxLUN)
		case numbers[m.Number]:
			return wrong(at+".number", "target %q: LUN %d is mapped twice; give each number one unit", target, m.Number)
		case !units[m.Unit]:
			return wrong(at+".unit", "target %q: LUN %d is unit %q, which is not configured; add a [[unit]] of that name", target, m.Number, m.Unit)
		}
		numbers[m.Number] = true
	}
	return nil
}

func checkAuth(path, who string, p *auth.Policy) error {
	if p == nil {
		return nil
	}
	if err := p.Check(); err != nil {
		return wrong(path, "%s: %s", who, err)
	}
	return nil
}

// checkOffer looks whether what a target offers can be kept.
func checkOffer(path, target string, o *login.Offer) error {
	const maxLength, maxTime, minLength = 1<<24 - 1, 3600, 512
	for _, k := range []struct {
		key           string
		value, lo, hi uint32
	}{
		{"max_burst_length", o.MaxBurstLength, minLength, maxLength},
		{"first_burst_length", o.FirstBurstLength, minLength, min(unaskedBuffer, o.MaxBurstLength)},
		{"max_recv_data_segment_length", o.MaxRecvDataSegmentLength, minLength, login.DefaultOffer().MaxRecvDataSegmentLength},
		{"max_outstanding_r2t", o.MaxOutstandingR2T, 1, maxOutstandingR2T},
		{"max_connections", o.MaxConnections, 1, login.DefaultOffer().MaxConnections},
		{"error_recovery_level", o.ErrorRecoveryLevel, 0, login.DefaultOffer().ErrorRecoveryLevel},
		{"default_time2wait", o.DefaultTime2Wait, 0, maxTime},
		{"default_time2retain", o.DefaultTime2Retain, 0, maxTime},
	} {
		if k.value < k.lo || k.value > k.hi {
			return wrong(path+"."+k.key, "target %q: %s is %d; use %d to %d", target, k.key, k.value, k.lo, k.hi)
		}
	}
	return nil
}

// validHost says whether s is "host[:port]" (RFC 3720 §12.8 [R-12.8-1]).
func validHost(s string) bool {
	if len(s) == 0 || len(s) > text.MaxValueBytes || strings.ContainsAny(s, " ,/\x00") {
		return false
	}
	if ip, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(ip, "]") {
		a, err := netip.ParseAddr(strings.TrimSuffix(ip, "]"))
		return err == nil && a.Is6()
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return !strings.Contains(s, ":")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && host != ""
}
