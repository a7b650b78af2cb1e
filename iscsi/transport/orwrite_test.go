package transport

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// ORWRITE writes what stands there OR what is sent, piece by piece; what cannot be read is
// a read error, and nothing is written there.
func TestOrWrite(t *testing.T) {
	const blocks, at = 1200, 8 // more than two pieces
	cdb := []byte{0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0, at, 0, 0, blocks >> 8, blocks & 0xff, 0, 0}
	for _, fails := range []blk.Op{0, blk.Read, blk.Write} {
		w := newWorld(t, options{})
		c := w.login("InitialR2T=Yes", "ImmediateData=No")
		data := w.bytesOf(blocks * 512)
		place := w.medium[at*512:][:len(data)]
		copy(place, w.bytesOf(len(data)))
		before := bytes.Clone(place)
		want := bytes.Clone(place)
		for i := range want {
			want[i] |= data[i]
		}
		w.queue.fail = func(r *blk.Request) blk.Result {
			if r.Op == blk.Write && !r.FUA {
				t.Error("a write that is not durable")
			}
			if r.Op == fails {
				return blk.MediumError
			}
			return blk.OK
		}
		a := c.writeAll(cdb, data)
		switch {
		case fails == 0 && (statusOf(a) != sam.Good || !bytes.Equal(place, want)):
			t.Errorf("%v, sense %05x", statusOf(a), senseOf(c, a))
		case fails == blk.Read && (senseOf(c, a) != 0x31100 || !bytes.Equal(place, before)):
			t.Errorf("a read that fails: %v, sense %05x", statusOf(a), senseOf(c, a))
		case fails == blk.Write && senseOf(c, a) != 0x30c00:
			t.Errorf("a write that fails: %v, sense %05x", statusOf(a), senseOf(c, a))
		}
	}
}
