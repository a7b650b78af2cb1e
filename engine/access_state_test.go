package engine

import (
	"testing"

	"lunar/initiator"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// The operator sets the access state of a portal group by a reload; who comes through it is
// told, and then refused or served (SPC-4 §5.15.2).
func TestAccess_StatesByReload(t *testing.T) {
	cfg := testConfig(t, 2, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	cfg.Groups = append(cfg.Groups, Group{Tag: 2, Portals: []string{"127.0.0.1:0"}})
	e := start(t, cfg)
	var sessions []*initiator.Session
	for _, portal := range e.Portals() {
		s, err := initiator.Dial(t.Context(), initiator.Config{Portal: portal, Target: e.Targets()[0]})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		sessions = append(sessions, s)
	}
	ready := func(n int) uint16 {
		t.Helper()
		r, err := sessions[n].Do(t.Context(), initiator.Command{CDB: make([]byte, 6)})
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Status == sam.Good:
			return 0
		}
		return uint16(r.Sense[12])<<8 | uint16(r.Sense[13])
	}
	for n := range sessions {
		for ready(n) != 0 {
			continue
		}
	}
	next := cfg
	for _, k := range []struct {
		state scsi.Access
		code  uint16
	}{{scsi.Standby, 0x040b}, {scsi.Unavailable, 0x040c}, {scsi.Optimized, 0}} {
		next.Groups = append([]Group(nil), cfg.Groups...)
		next.Groups[1].Access = k.state
		if err := e.Apply(next); err != nil {
			t.Fatal(err)
		}
		for n, code := range []uint16{0, k.code} {
			if told := ready(n); told != 0x2a06 {
				t.Errorf("state %d: session %d is told %04x", k.state, n, told)
			}
			if got := ready(n); got != code {
				t.Errorf("state %d: session %d gets %04x, want %04x", k.state, n, got, code)
			}
		}
	}
}
