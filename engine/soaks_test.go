package engine

import (
	"fmt"
	"os"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/initiator/drive"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
)

// soakCuts is how often a connection is reset.
const soakCuts = 50 * time.Millisecond

// bursts has transfers go in several bursts, so that R2Ts are open when a connection
// breaks.
func bursts(cfg initiator.Config) initiator.Config {
	cfg.MaxBurst, cfg.FirstBurst = 32768, 8192
	return cfg
}

// atLevel2 is a session at level 2 that is to lose nothing.
func atLevel2(connections int) initiator.Config {
	return bursts(initiator.Config{Connections: connections, RecoveryLevel: 2, Time2Retain: 5, Probe: soakCuts})
}

// soakLevel2 resets a connection every now and then, and expects the session to go on.
func soakLevel2(t *testing.T, reactors int, cfg initiator.Config) {
	t.Helper()
	e := soakEngine(t, reactors)
	p := startProxy(t, e.Portals()[0], false)
	s := soakSession(t, e, p, cfg)
	shown := func(c initiator.Counters) bool { return c.Recovered > 0 }
	soak(t, s, p, shown, func(stop <-chan struct{}) { p.cutEvery(soakCuts, stop) })
	if c := s.Counters(); p.cuts == 0 || c.Recovered == 0 || c.Reconnects > 0 {
		t.Errorf("%+v", c)
	}
}

// TestSoak_Level2 resets one of several connections every 50 ms; on one reactor, where
// the order of the session is that of one core, and on several. One connection is its
// own successor.
func TestSoak_Level2(t *testing.T) {
	conform.Covers(t, "R-6.1.4.3-20", "R-6.2.1-3")
	for _, x := range []struct{ connections, reactors int }{
		{1, 1}, {1, 3}, {2, 3}, {3, 1}, {4, 3}, {5, 2}, {6, 3}, {7, 1}, {8, 3},
	} {
		t.Run(fmt.Sprintf("%d on %d", x.connections, x.reactors), func(t *testing.T) {
			soakLevel2(t, x.reactors, atLevel2(x.connections))
		})
	}
}

// TestSoak_Level2_Loop is the same with the bytes moved by a loop.
func TestSoak_Level2_Loop(t *testing.T) {
	loop, err := drive.Start(drive.Config{Links: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Stop(); err != nil {
			t.Error(err)
		}
	})
	cfg := atLevel2(4)
	cfg.Loop = loop
	soakLevel2(t, 3, cfg)
}

// atLevel1 is a session at level 1 that sees every damage.
func atLevel1(connections int) initiator.Config {
	return bursts(initiator.Config{
		Connections: connections, RecoveryLevel: 1, Probe: 10 * time.Millisecond, HeaderDigest: true, DataDigest: true,
		MaxRecvDataSegmentLength: 8192,
	})
}

// TestSoak_Level1 loses or damages one PDU of a hundred, both ways.
func TestSoak_Level1(t *testing.T) {
	conform.Covers(t, "R-6.7-20", "R-6.8-20", "R-6.2.1-1", "R-6.2.1-2")
	e := soakEngine(t, 3)
	p := startProxy(t, e.Portals()[0], true)
	s := soakSession(t, e, p, atLevel1(2))
	if os.Getenv("LUNAR_LONG") == "" {
		// What a target misses by its clock takes seconds each.
		p.spared = func(o pdu.Opcode) bool { return o == pdu.OpDataOut || o == pdu.OpR2T }
	}
	shown := func(c initiator.Counters) bool { return c.StatusSNACKs > 0 }
	soak(t, s, p, shown, func(stop <-chan struct{}) { p.spoil(10000, stop) })
	if c := s.Counters(); c.Lost > 0 || c.StatusSNACKs == 0 {
		t.Errorf("%+v", c)
	}
}

// TestSoak_Level1_Damage has the data of one PDU of ten thousand wrong, both ways, or
// more where time is short; all of it is recovered, and no connection lost for it.
func TestSoak_Level1_Damage(t *testing.T) {
	conform.Covers(t, "R-6.7-20", "R-6.7-5")
	odds := int64(200) // half of what is hit is damaged, where none is lost
	if os.Getenv("LUNAR_LONG") == "" {
		odds = 20000
	}
	for _, connections := range []int{1, 4} {
		t.Run(fmt.Sprint(connections), func(t *testing.T) {
			e := soakEngine(t, 2)
			p := startProxy(t, e.Portals()[0], true)
			p.spared = func(pdu.Opcode) bool { return true }
			s := soakSession(t, e, p, atLevel1(connections))
			shown := func(c initiator.Counters) bool { return c.DigestErrors > 0 && p.damaged.Load() > int64(c.DigestErrors) }
			soak(t, s, p, shown, func(stop <-chan struct{}) { p.spoil(odds, stop) })
			if c := s.Counters(); c.Lost > 0 || c.Reconnects > 0 || p.damaged.Load() == 0 || p.lost.Load() > 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestSoak_Level0 resets connections every 50 ms and logs in again.
func TestSoak_Level0(t *testing.T) {
	for _, connections := range []int{1, 4} {
		t.Run(fmt.Sprint(connections), func(t *testing.T) {
			e := soakEngine(t, 3)
			p := startProxy(t, e.Portals()[0], false)
			s := soakSession(t, e, p, bursts(initiator.Config{
				Connections: connections, Reconnect: &initiator.Reconnect{Delay: time.Millisecond},
			}))
			shown := func(c initiator.Counters) bool { return c.Reconnects > 0 }
			soak(t, s, p, shown, func(stop <-chan struct{}) { p.cutEvery(soakCuts, stop) })
			if c := s.Counters(); c.Reconnects == 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}
