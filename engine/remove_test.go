package engine

import (
	"sync"
	"testing"
	"time"

	"lunar/initiator"
)

// Connections that are added and removed while others are reset disturb nobody.
func TestSession_AddAndRemove_WhileConnectionsBreak(t *testing.T) {
	e := soakEngine(t, 3)
	p := startProxy(t, e.Portals()[0], false)
	s := soakSession(t, e, p, initiator.Config{Connections: 3, MaxConnections: 5, RecoveryLevel: 2, Time2Retain: 5, Probe: 20 * time.Millisecond})
	d := diskOf(t, s)
	stop := make(chan struct{})
	var trouble, load sync.WaitGroup
	trouble.Go(func() { p.cutEvery(25*time.Millisecond, stop) })
	trouble.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if cid, err := s.Add(t.Context()); err == nil {
				_ = s.Remove(t.Context(), cid) // it may have been lost before
			}
		}
	})
	for i := range 6 {
		load.Go(func() { scribble(t, d, i, 30) })
	}
	load.Wait()
	close(stop)
	trouble.Wait()
	if err := s.Logout(t.Context()); err != nil {
		t.Error(err)
	}
}
