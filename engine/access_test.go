package engine

import (
	"fmt"
	"net/netip"
	"testing"

	"lunar/initiator"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

func TestRules_Find(t *testing.T) {
	lab := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	r := newRules([]Access{
		{Initiator: "iqn.a:evil", Deny: true},
		{Initiator: "iqn.a:*", Sources: lab},
		{Initiator: "iqn.a:db"},
		{Initiator: "iqn.b:db", Sources: lab},
		{Initiator: "iqn.b:db", Deny: true},
		{Initiator: "iqn.b:*"},
		{Initiator: "iqn.d:*", Sources: []netip.Prefix{netip.MustParsePrefix("fe80::/10")}, Deny: true},
		{Initiator: "iqn.d:*"},
	})
	for _, k := range []struct {
		initiator, source string
		rule              int
		ok                bool
	}{
		{"iqn.a:evil", "192.0.2.7", 0, false},
		{"iqn.a:db", "192.0.2.7", 1, true},
		{"iqn.a:db", "::ffff:192.0.2.7", 1, true},
		{"iqn.a:db", "2001:db8::7", 1, true},
		{"iqn.a:db", "198.51.100.1", 2, true},
		{"iqn.a:other", "198.51.100.1", 8, false},
		{"iqn.b:db", "192.0.2.7", 3, true},
		{"iqn.b:db", "198.51.100.1", 4, false},
		{"iqn.b:", "198.51.100.1", 5, true},
		{"iqn.c:db", "192.0.2.7", 8, false},
		{"iqn.d:db", "fe80::7%eth0", 6, false},
		{"iqn.d:db", "2001:db8::7", 7, true},
	} {
		rule, ok := r.find(k.initiator, netip.MustParseAddr(k.source))
		if rule != k.rule || ok != k.ok {
			t.Errorf("%s from %s: rule %d %v, want %d %v", k.initiator, k.source, rule, ok, k.rule, k.ok)
		}
	}
	open := newRules(nil)
	if n, ok := open.find("iqn.a:x", netip.Addr{}); n != everyone || !ok {
		t.Errorf("without rules: %d %v", n, ok)
	}
}

// testReady is the sense code that TEST UNIT READY ends with, 0 for GOOD.
func testReady(t *testing.T, s *initiator.Session, lun uint16) uint16 {
	t.Helper()
	r, err := s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(lun), CDB: make([]byte, 6)})
	if err != nil {
		t.Fatal(err)
	}
	return senseCode(r)
}

func senseCode(r initiator.Result) uint16 {
	if r.Status == sam.Good || len(r.Sense) < 14 {
		return 0
	}
	return uint16(r.Sense[12])<<8 | uint16(r.Sense[13])
}

// Two initiators see two maps of one target: their own numbers, their own rights,
// their own REPORT LUNS; a third is refused and does not see the target at all.
func TestAccess_MapsByInitiator(t *testing.T) {
	c := testConfig(t, 2,
		Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512},
		Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512},
	)
	one, two := c.Units[0].Name, c.Units[1].Name
	c.Targets[0].Access = []Access{
		{Initiator: "iqn.2026-11.host:a"},
		{Initiator: "iqn.2026-11.host:b", LUNs: []Mapping{{Number: 0, Unit: two}, {Number: 300, Unit: one, ReadOnly: true}}},
		{Initiator: "iqn.2026-11.host:none", LUNs: []Mapping{}},
	}
	e := start(t, c)
	a, b := enter(t, e, "iqn.2026-11.host:a", DefaultTarget), enter(t, e, "iqn.2026-11.host:b", DefaultTarget)
	writeAs(t, a, 0, 5)
	writeAs(t, b, 0, 6)
	readAs(t, b, 300, 5)
	readAs(t, a, 1, 6)
	d, err := initiator.OpenDisk(t.Context(), b, 300)
	if err != nil {
		t.Fatal(err)
	}
	cdb := d.BlockCDB(0x2a, 0, 512)
	r, err := b.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(300), CDB: cdb[:10], Out: make([]byte, 512)})
	if err != nil || senseCode(r) != 0x2702 {
		t.Errorf("a write to a read-only LUN: %v, %+v", err, r)
	}
	for s, want := range map[*initiator.Session]string{
		a: "00 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00",
		b: "00 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00 41 2c 00 00 00 00 00 00",
	} {
		in := make([]byte, 64)
		r, err := s.Do(t.Context(), initiator.Command{CDB: []byte{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}, In: in})
		if err != nil || r.Status != sam.Good {
			t.Fatal(err, r)
		}
		if got := fmt.Sprintf("% x", in[:24]); got != want {
			t.Errorf("REPORT LUNS: %s, want %s", got, want)
		}
	}
	none := enter(t, e, "iqn.2026-11.host:none", DefaultTarget)
	if code := testReady(t, none, 0); code != 0x2500 {
		t.Errorf("an empty map: %04x", code)
	}
	refused(t, e, "iqn.2026-11.host:c", DefaultTarget, pdu.LoginForbidden)
	for name, n := range map[string]int{"iqn.2026-11.host:a": 1, "iqn.2026-11.host:c": 0} {
		found, err := initiator.Discover(t.Context(), e.Portals()[0], name)
		if err != nil || len(found) != n {
			t.Errorf("%s discovers %+v, %v", name, found, err)
		}
	}
	// A rule that goes takes its sessions along; the others stay.
	less := again(c)
	less.Targets[0].Access = less.Targets[0].Access[1:]
	apply(t, e, less)
	ended(t, a)
	readAs(t, b, 300, 5)
}

// A session that ends because its target goes is lost for the units that stay, and who
// comes back hears of it (RFC 3720 §5.3.5.1 [R-5.3.5.1-1]).
func TestApply_TargetGoesAndComes_NexusLoss(t *testing.T) {
	e, c := twoUnits(t, 2)
	both := again(c)
	both.Targets = append(both.Targets, Target{Name: "iqn.2026-11.lunar:two", LUNs: c.Targets[0].LUNs})
	apply(t, e, both)
	in := func(want uint16) *raw {
		r := dialRaw(t, e, 0)
		r.in("iqn.2026-11.lunar:two")
		if got := r.testReady(0); got != want {
			t.Errorf("attention %04x, want %04x", got, want)
		}
		return r
	}
	s := in(0x2900)
	for s.testReady(0) != 0 {
		t.Log("an attention is taken")
	}
	apply(t, e, c)
	s.closed(pdu.OpAsync)
	if !e.eventually(func() bool { return len(status(t, e).Sessions) == 0 }) {
		t.Fatal("the session stays")
	}
	apply(t, e, again(both))
	in(0x2907)
}

// What a session holds of a unit ends with the session also when its target showed it
// another map meanwhile, or none.
func TestApply_UnitLeavesAMap_FreesIt(t *testing.T) {
	e, c := twoUnits(t, 2)
	both := again(c)
	both.Targets = append(both.Targets, Target{Name: "iqn.2026-11.lunar:two", LUNs: c.Targets[0].LUNs})
	less := again(both)
	less.Targets[1].LUNs = less.Targets[1].LUNs[1:]
	for name, next := range map[string]Config{"the unit leaves": less, "the target goes": c} {
		apply(t, e, both)
		s, holder := enter(t, e, "", DefaultTarget), enter(t, e, "", "iqn.2026-11.lunar:two")
		for range 4 {
			testReady(t, holder, 0)
			testReady(t, s, 0)
		}
		reserve := initiator.Command{CDB: []byte{0x16, 0, 0, 0, 0, 0}}
		if r, err := holder.Do(t.Context(), reserve); err != nil || r.Status != sam.Good {
			t.Fatalf("%s: RESERVE(6): %v %v", name, r.Status, err)
		}
		apply(t, e, next)
		free := e.eventually(func() bool {
			r, err := s.Do(t.Context(), initiator.Command{CDB: make([]byte, 6)})
			return err == nil && r.Status == sam.Good
		})
		if !free {
			t.Errorf("%s: the unit stays reserved", name)
		}
		_ = s.Close()
		_ = holder.Close()
	}
}
