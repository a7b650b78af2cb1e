package engine

import (
	"fmt"
	"net/netip"

	"lunar/iscsi/auth"
)

// Warnings are what a configuration allows and its operator may not have meant
// (RFC 3720 §8 [R-8-2], §8.2.1 [R-8.2.1-11]): secrets that several names share, and
// targets that anyone who reaches a portal from elsewhere may use.
func (c *Config) Warnings() []string {
	var policies []*auth.Policy
	for _, p := range append([]*auth.Policy{c.Discovery}, c.policies()...) {
		if p != nil {
			policies = append(policies, p)
		}
	}
	warnings := auth.Shared(policies...)
	portal := c.exposed()
	for i := range c.Targets {
		if t := &c.Targets[i]; portal != "" && t.open() {
			warnings = append(warnings, fmt.Sprintf(
				"target %s asks nobody for a proof and portal %s is not on loopback: whoever reaches it may write; give chap, or access rules with chap",
				t.Name, portal))
		}
	}
	return warnings
}

func (c *Config) policies() (all []*auth.Policy) {
	for i := range c.Targets {
		all = append(all, c.Targets[i].Auth)
		for _, a := range c.Targets[i].Access {
			all = append(all, a.Auth)
		}
	}
	return all
}

// exposed is a portal that can be reached from other machines.
func (c *Config) exposed() string {
	for _, g := range c.Groups {
		for _, p := range g.Portals {
			if a, err := netip.ParseAddrPort(p); err == nil && !a.Addr().IsLoopback() {
				return p
			}
		}
	}
	return ""
}

// open says whether some initiator gets in without a proof. A name that is only
// claimed is none.
func (t *Target) open() bool {
	if t.Redirect != nil || t.Auth != nil {
		return false
	}
	for _, a := range t.Access {
		if !a.Deny && a.Auth == nil {
			return true
		}
	}
	return len(t.Access) == 0
}
