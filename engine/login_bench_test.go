package engine

import (
	"sync"
	"testing"

	"lunar/initiator"
)

// BenchmarkEngine_Login is a session opened and closed, eight at a time.
func BenchmarkEngine_Login(b *testing.B) {
	e, err := Start(testConfig(b, 1, Unit{Medium: RAM, Bytes: 64 << 20, BlockBytes: 512}))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := e.Stop(); err != nil {
			b.Error(err)
		}
	}()
	b.ReportAllocs()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; n < b.N; n += 8 {
				s, err := initiator.Dial(b.Context(), initiator.Config{Portal: e.Portals()[0], Target: DefaultTarget})
				if err == nil {
					err = s.Logout(b.Context())
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
