package engine

import (
	"net/netip"
	"slices"

	"lunar/iscsi/auth"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/lun"
	"lunar/scsi/sam"
)

// catalog is what the node offers: targets, their ports and their LUN maps. It does
// not change, so that every core may look into it; a reload makes another.
type catalog struct {
	targets map[string]*target
	// names are those of the targets in order.
	names []string
	// removed are targets that were, since the start.
	removed map[string]bool
	// portals are the addresses in use, by group.
	portals map[uint16][]string
	tags    []uint16
	// discovery is what discovery sessions must prove.
	discovery *auth.Policy
}

// target is one target of a catalog.
type target struct {
	*Target
	tags  []uint16
	rules rules
	// maps are the LUN maps by rule and portal group; own is that of rules without
	// one, maps[n] is nil then.
	own  map[uint16]*lun.Map
	maps []map[uint16]*lun.Map
}

// newCatalog builds the catalog of a configuration that is right. Absent answers for
// empty numbers, by reactor; before is the catalog that this one replaces, or nil.
func newCatalog(c *Config, units map[string]*unit, portals map[uint16][]string, absent []*lun.Unit, before *catalog) *catalog {
	k := &catalog{targets: map[string]*target{}, removed: map[string]bool{}, portals: portals, discovery: c.Discovery}
	for _, g := range c.Groups {
		k.tags = append(k.tags, g.Tag)
	}
	slices.Sort(k.tags)
	for i := range c.Targets {
		t := newTarget(&c.Targets[i], k.tags)
		t.own = t.mapsOf(t.LUNs, units, absent)
		for _, a := range t.Access {
			var m map[uint16]*lun.Map
			if a.LUNs != nil {
				m = t.mapsOf(a.LUNs, units, absent)
			}
			t.maps = append(t.maps, m)
		}
		k.targets[t.Name] = t
		k.names = append(k.names, t.Name)
	}
	slices.Sort(k.names)
	if before != nil {
		k.remember(before)
	}
	return k
}

// remember keeps the names of targets that are gone: who asks for one is told so
// (RFC 3720 §10.13.5, status 0204).
func (k *catalog) remember(before *catalog) {
	for _, names := range [][]string{before.names, slices.Collect(keysOf(before.removed))} {
		for _, name := range names {
			if k.targets[name] == nil && len(k.removed) < maxTargets {
				k.removed[name] = true
			}
		}
	}
}

func keysOf(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range m {
			if !yield(name) {
				return
			}
		}
	}
}

func newTarget(c *Target, all []uint16) *target {
	t := &target{Target: c, tags: slices.Sorted(slices.Values(c.Groups)), rules: newRules(c.Access)}
	if len(t.tags) == 0 {
		t.tags = all
	}
	return t
}

// mapsOf makes the LUN map of each port of a target.
func (t *target) mapsOf(luns []Mapping, units map[string]*unit, absent []*lun.Unit) map[uint16]*lun.Map {
	var entries []lun.Entry
	for _, m := range luns {
		if need := int(m.Number) + 1 - len(entries); need > 0 {
			entries = append(entries, make([]lun.Entry, need)...)
		}
		entries[m.Number] = lun.Entry{Unit: units[m.Unit].lun, ReadOnly: m.ReadOnly}
	}
	maps := map[uint16]*lun.Map{}
	var ports []sam.Port
	for _, tag := range t.tags {
		ports = append(ports, sam.Port{PortalGroupTag: tag, Relative: relativePort(tag)})
	}
	for _, tag := range t.tags {
		path := sam.Path{TargetName: t.Name, PortalGroupTag: tag, RelativePort: relativePort(tag), Ports: ports}
		maps[tag] = lun.NewMap(path, entries, absent)
	}
	return maps
}

// relativePort is the relative target port identifier of a portal group: its tag,
// so that it stays when others come, and for tag 0 the largest (SPC-4 §7.8.6.7: not
// 0).
func relativePort(tag uint16) uint16 {
	if tag == 0 {
		return 1<<16 - 1
	}
	return tag
}

// asker is who asks, and where.
type asker struct {
	initiator string
	source    netip.Addr
	tag       uint16
}

// find looks whether an initiator may log in to a target (RFC 3720 §10.13.5).
func (k *catalog) find(a asker, name string) (t *target, rule int, status pdu.LoginStatus) {
	t = k.targets[name]
	if t == nil {
		if k.removed[name] {
			return nil, 0, pdu.LoginTargetRemoved
		}
		return nil, 0, pdu.LoginNotFound
	}
	if !slices.Contains(t.tags, a.tag) {
		// The target is not to be found at this portal.
		return nil, 0, pdu.LoginNotFound
	}
	rule, ok := t.rules.find(a.initiator, a.source)
	if !ok {
		return nil, 0, pdu.LoginForbidden
	}
	return t, rule, pdu.LoginSuccess
}

// view is the LUN map of an initiator, nil when it may not log in.
func (k *catalog) view(a asker, name string) *lun.Map {
	t, rule, status := k.find(a, name)
	if status != pdu.LoginSuccess || t.Redirect != nil {
		return nil
	}
	if rule != everyone && t.maps[rule] != nil {
		return t.maps[rule][a.tag]
	}
	return t.own[a.tag]
}

// look is what a session finds at its target now.
func (k *catalog) look(a asker, name string) transport.View {
	v := transport.View{Units: k.view(a, name), MaxRecv: login.DefaultOffer().MaxRecvDataSegmentLength}
	if v.Units != nil && k.targets[name].Offer != nil {
		v.MaxRecv = k.targets[name].Offer.MaxRecvDataSegmentLength
	}
	return v
}
