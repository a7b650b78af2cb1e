package engine

import (
	"fmt"
	"strings"
	"testing"
)

// A session on another reactor than its connection came in on asks the catalog of the
// reactor it is on: that of the other changes under its hands.
func TestMovedSession_AsksItsOwnReactor(t *testing.T) {
	e := start(t, testConfig(t, 2, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512}))
	for _, k := range e.cores {
		e.on(k, func() {
			c := *k.catalog
			c.portals = map[uint16][]string{defaultTag: {fmt.Sprintf("192.0.2.%d:3260", k.id)}}
			k.catalog = &c
		})
	}
	raws := map[uint16]*raw{}
	for i := range 32 {
		r := dialRaw(t, e, 0)
		r.isid[5] = byte(i)
		raws[uint16(r.in(DefaultTarget))] = r
	}
	st, err := e.Status(t.Context())
	if err != nil || len(st.Sessions) != len(raws) {
		t.Fatalf("%d sessions of %d, %v", len(st.Sessions), len(raws), err)
	}
	for _, s := range st.Sessions {
		answer, _ := raws[s.ID].ask("SendTargets=")
		if want := fmt.Sprintf("TargetAddress=192.0.2.%d:3260,%d", s.Reactor, defaultTag); !strings.Contains(answer, want) {
			t.Errorf("session on reactor %d: %s", s.Reactor, answer)
		}
	}
}
