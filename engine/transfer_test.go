package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"lunar/initiator"
	"lunar/lun/cache"
)

// transferLengths are odd multiples of a block and their neighbours: they end in
// the middle of bursts, pieces and pages.
var transferLengths = []int{1, 3, 7, 8, 9, 23, 24, 25, 63, 129, 511}

const transferUnitBytes = 8 << 20

func startTransferEngine(t *testing.T) *Engine {
	t.Helper()
	return start(t, testConfig(t, 1,
		Unit{Medium: RAM, Bytes: transferUnitBytes, BlockBytes: 512},
		Unit{Medium: RAM, Bytes: transferUnitBytes, BlockBytes: 4096},
		Unit{Medium: RAM, Bytes: transferUnitBytes, BlockBytes: 512, Cache: 4 << 20},
	))
}

// TestEngine_Transfers writes and reads back every way that data may travel, and
// compares every byte.
func TestEngine_Transfers(t *testing.T) {
	e := startTransferEngine(t)
	for bits := range 16 {
		immediate, initial, header, data := bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0
		if testing.Short() && header != data {
			continue
		}
		for _, first := range []uint32{512, 4096, 12000, 65536} {
			for _, most := range []uint32{1000, 20000, 262144} {
				name := fmt.Sprintf("immediate=%v,r2t=%v,first=%d,max=%d,digests=%v/%v", immediate, initial, first, most, header, data)
				t.Run(name, func(t *testing.T) {
					transferAll(t, e, initiator.Config{
						ImmediateData: &immediate, InitialR2T: &initial, FirstBurst: min(first, most), MaxBurst: most,
						HeaderDigest: header, DataDigest: data, MaxOutstandingR2T: 4,
					})
				})
			}
		}
	}
	if hits, misses := e.units[e.cfg.Units[2].Name].medium.Backend.(*cache.Backend).Counters(); hits == 0 {
		t.Errorf("no hit among %d reads of the unit with a cache", misses)
	}
}

func transferAll(t *testing.T, e *Engine, cfg initiator.Config) {
	t.Helper()
	cfg.Portal, cfg.Target = e.Portals()[0], e.Targets()[0]
	s, err := initiator.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for unit := range uint16(3) {
		d, err := initiator.OpenDisk(t.Context(), s, unit)
		if err != nil {
			t.Fatal(err)
		}
		transferUnit(t, d, cfg.MaxBurst)
	}
	if err := s.Logout(t.Context()); err != nil {
		t.Error(err)
	}
}

func transferUnit(t *testing.T, d *initiator.Disk, seed uint32) {
	t.Helper()
	block := d.BlockBytes()
	r := rand.New(rand.NewPCG(uint64(seed), uint64(block)))
	lengths := append([]int{}, transferLengths...)
	if block == 512 {
		lengths = append(lengths, 2047) // one block less than 1 MiB
	}
	for _, n := range lengths {
		if n *= block; n > 1<<20 {
			continue
		}
		at := int64(r.IntN((transferUnitBytes-n)/block)) * int64(block)
		want, got := make([]byte, n), make([]byte, n)
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		if _, err := d.WriteAt(want, at); err != nil {
			t.Fatalf("write of %d: %v", n, err)
		}
		// The second read may come from a cache that the first one filled.
		for range 2 {
			clear(got)
			if _, err := d.ReadAt(got, at); err != nil {
				t.Fatalf("read of %d: %v", n, err)
			}
			if i := differ(want, got); i >= 0 {
				t.Fatalf("%d bytes in blocks of %d: the first difference is at %d", n, block, i)
			}
		}
	}
}

// differ is the offset of the first difference, -1 without one.
func differ(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
