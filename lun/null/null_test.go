package null

import (
	"testing"

	"lunar/lun/blk/blktest"
)

func TestNull_Suite(t *testing.T) {
	blktest.Run(t, func(t testing.TB) blktest.Subject {
		b, err := New(2<<20, 512)
		if err != nil {
			t.Fatal(err)
		}
		return blktest.Subject{Backend: b, Queue: b.NewQueue(), Forgets: true}
	})
}

func TestNull_NewRefusesWrongSizes(t *testing.T) {
	for _, k := range []struct {
		bytes int64
		block uint32
	}{{0, 512}, {-512, 512}, {1000, 512}, {1 << 20, 1024}} {
		if _, err := New(k.bytes, k.block); err == nil {
			t.Errorf("%d bytes in blocks of %d: no error", k.bytes, k.block)
		}
	}
}
