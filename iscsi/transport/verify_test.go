package transport

import (
	"bytes"
	"testing"

	"lunar/iscsi/pdu"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// WRITE AND VERIFY makes durable what it writes and reads it back, piece by piece; a
// medium that holds something else is found out.
func TestWriteVerify(t *testing.T) {
	const blocks, at = 1200, 8 // more than two pieces
	for name, cdb := range map[string][]byte{
		"(10)": cdb10(0x2e, at, blocks),
		"(16)": {0x8e, 0x02, 0, 0, 0, 0, 0, 0, 0, at, 0, 0, blocks >> 8, blocks & 0xff, 0, 0},
	} {
		for _, wrong := range []int{-1, 0, blocks*512 - 1} {
			w := newWorld(t, options{})
			c := w.login("InitialR2T=Yes", "ImmediateData=No")
			data := w.bytesOf(blocks * 512)
			writes, reads, spot := 0, 0, int64(at*512+wrong)
			w.queue.fail = func(r *blk.Request) blk.Result {
				switch {
				case r.Op == blk.Write && !r.FUA:
					t.Errorf("%s: a write that is not durable", name)
				case r.Op == blk.Write:
					writes++
				case r.Op == blk.Read:
					reads++
					if wrong >= 0 && r.Offset <= spot && spot < r.Offset+r.Length {
						w.medium[spot] ^= 1
					}
				}
				return blk.OK
			}
			a := c.writeAll(cdb, data)
			switch {
			case wrong < 0 && (writes < 3 || reads < writes):
				t.Errorf("%s: %d writes, %d reads", name, writes, reads)
			case wrong < 0 && (statusOf(a) != sam.Good || !bytes.Equal(w.medium[at*512:][:len(data)], data)):
				t.Errorf("%s: %v, sense %05x", name, statusOf(a), senseOf(c, a))
			case wrong >= 0 && senseOf(c, a) != 0xe1d00:
				t.Errorf("%s: byte %d is another one, and %v, sense %05x", name, wrong, statusOf(a), senseOf(c, a))
			}
		}
	}
}

// writeAll sends a write and its data as it is asked for, and returns the response.
func (c *client) writeAll(cdb, data []byte) *answer {
	c.w.Helper()
	c.command(cdb, pdu.FlagFinal|pdu.CommandWrite, len(data), nil)
	for {
		got := c.answers()
		if len(got) == 0 {
			c.w.Fatal("the write does not end")
		}
		for i := range got {
			if got[i].h.Opcode() != pdu.OpR2T {
				return &got[i]
			}
			c.answerR2T(&got[i], data, 65536)
		}
	}
}
