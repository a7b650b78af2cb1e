package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"lunar/iscsi/auth"
	"lunar/iscsi/login"
	"lunar/reactor"
	"lunar/scsi"
)

// Config is what an engine is built from, and what it is changed to while it runs
// (Engine.Apply).
type Config struct {
	Groups  []Group
	Units   []Unit
	Targets []Target
	// Discovery is what discovery sessions must prove; nil demands nothing.
	Discovery *auth.Policy
	Limits    Limits

	// The rest stays as it is for the life of an engine.

	// CPUs are the processors of the reactors, one each; -1 leaves one unpinned.
	CPUs []int
	// Ring is "auto", "uring" or "epoll".
	Ring string
	Poll reactor.PollMode
	// State is a directory for what must survive a restart.
	State string
	// Status is the URL of the metrics, if they are on a network; initiators read it in VPD
	// page 85h.
	Status string
}

// Group is a portal group: addresses that lead to the same target ports
// (RFC 3720 §3.4.1 [R-3.4.1-1]).
type Group struct {
	Tag uint16
	// Portals are "host:port" addresses, numeric, IPv6 in brackets. Without a port
	// it is 3260 (RFC 3720 §13 [R-13-1]).
	Portals []string
	// Access is the asymmetric access state of what is reached through it, Preferred that
	// initiators should rather come here (SPC-4 §5.15.2).
	Access    scsi.Access
	Preferred bool
}

// ParseAccess reads an access state; nothing is "optimized".
func ParseAccess(s string) (scsi.Access, error) {
	switch s {
	case "", "optimized":
		return scsi.Optimized, nil
	case "non-optimized":
		return scsi.NonOptimized, nil
	case "standby":
		return scsi.Standby, nil
	case "unavailable":
		return scsi.Unavailable, nil
	case "transitioning":
		return scsi.Transitioning, nil
	}
	return 0, fmt.Errorf("access %q: use optimized, non-optimized, standby, unavailable or transitioning", s)
}

// Target is an iSCSI target node.
type Target struct {
	// Name is its iSCSI name, Alias a text for people.
	Name, Alias string
	// Groups are the tags of the portal groups that lead to it; none means all.
	Groups []uint16
	// Offer is our side of its negotiations; nil means login.DefaultOffer.
	Offer *login.Offer
	// LUNs is the map of initiators whose rule has none of its own, Auth what they
	// must prove; nil demands nothing.
	LUNs []Mapping
	Auth *auth.Policy
	// Access are its rules; none lets everyone in.
	Access []Access
	// Redirect sends every login elsewhere.
	Redirect *Redirect
}

// Mapping puts a unit under a number.
type Mapping struct {
	Number uint16
	Unit   string
	// ReadOnly keeps the initiators of this map from writing.
	ReadOnly bool
}

// Access is one rule of who may use a target. The first rule that fits an
// initiator decides.
type Access struct {
	// Initiator is an iSCSI name, or the start of one before a "*".
	Initiator string
	// Sources are the networks it may come from; none means all.
	Sources []netip.Prefix
	// Deny refuses what the rule fits.
	Deny bool
	// LUNs are what it sees; nil means the target's map. Auth is what it must prove;
	// nil means what the target demands.
	LUNs []Mapping
	Auth *auth.Policy
}

// Redirect is where initiators go instead (RFC 3720 §10.13.5, statuses 0101 and
// 0102).
type Redirect struct {
	// Addresses are "host[:port]" without a tag.
	Addresses []string
	Permanent bool
}

// Limits of a running engine; what is zero has its default.
type Limits struct {
	// LoginTime bounds a login from accept to full feature phase, PingTime how long
	// a peer may be silent.
	LoginTime, PingTime time.Duration
	// Logins bounds the logins under way, LoginsPerSource those from one address.
	Logins, LoginsPerSource int
}

// DefaultTarget is the name of the target without configuration.
const DefaultTarget = "iqn.2026-11.lunar:default"

// defaultTag is the portal group of a configuration that names none.
const defaultTag = 1

// Single is the configuration of one target, open to everyone, whose units are
// numbered from 0.
func Single(target string, portals []string, units ...Unit) Config {
	c := Config{Groups: []Group{{Tag: defaultTag, Portals: portals}}}
	t := Target{Name: target}
	for n, u := range units {
		u.Name = fmt.Sprintf("%s.%d.%s", strings.ReplaceAll(target, ":", "_"), n, u.Medium)
		c.Units = append(c.Units, u)
		t.LUNs = append(t.LUNs, Mapping{Number: uint16(n), Unit: u.Name})
	}
	c.Targets = []Target{t}
	return c
}
