package engine

import (
	"slices"
	"strings"
	"testing"
)

// Portals without a number are as many as there are, and stay what they were.
func TestApply_PortalsWithoutANumber_Stay(t *testing.T) {
	c := testConfig(t, 1, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	c.Groups[0].Portals = []string{"127.0.0.1:0", "127.0.0.1:0"}
	e := start(t, c)
	before := e.Portals()
	apply(t, e, again(c))
	if after := e.Portals(); !slices.Equal(before, after) {
		t.Errorf("portals %v became %v", before, after)
	}
}

// An address that this target itself has in use is not blamed on somebody else.
func TestApply_PortalOfAnotherGroup(t *testing.T) {
	c := testConfig(t, 1, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	e := start(t, c)
	fixed := again(c)
	fixed.Groups[0].Portals = []string{e.Portals()[0]}
	for _, change := range []func(c *Config){
		func(c *Config) { c.Groups[0].Tag = 7 },
		func(c *Config) {
			c.Groups = append(c.Groups, Group{Tag: 7, Portals: c.Groups[0].Portals})
			c.Groups[0].Portals = loopback
		},
	} {
		moved := again(fixed)
		change(&moved)
		err := e.Apply(moved)
		if err == nil || !strings.Contains(err.Error(), "portal group 1") || strings.Contains(err.Error(), "another process") {
			t.Errorf("a portal that changes its group: %v", err)
		}
	}
	readBack(t, enter(t, e, "", DefaultTarget))
}
