//go:build system

package system

import (
	"bytes"
	be "encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// atomicBlocks is as long as WRITE ATOMIC(16) can be, at an address that no alignment has.
const atomicBlocks, atomicLBA = 2048, 3

// stamped is the data of one lap.
func stamped(lap uint64) []byte {
	return bytes.Repeat(be.BigEndian.AppendUint64(nil, lap), atomicBlocks*512/8)
}

// What WRITE ATOMIC(16) writes to a file survives kill -9 at any moment as a whole or not at all,
// and what was answered is there.
func TestWriteAtomic_SurvivesKill(t *testing.T) {
	laps := 40
	if testing.Short() {
		laps = 5
	}
	dir := t.TempDir()
	d := serve(t, "--state", dir+"/state", "--lun", fmt.Sprintf("file:path=%s/f,size=16MiB", dir))
	r := rand.New(rand.NewPCG(3, 4))
	last, answered, begun := uint64(0), 0, 0
	for lap := range uint64(laps) {
		s := host(t, d)
		done := make(chan bool, 1)
		q := &initiator.Request{
			Command: initiator.Command{
				LUN: sam.LUNOf(0), CDB: []byte{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, atomicLBA, 0, 0, atomicBlocks >> 8, atomicBlocks & 0xff, 0, 0},
				Out: stamped(lap + 1),
			},
			Done: func(q *initiator.Request) { done <- q.Err == nil && q.Result.Status == sam.Good },
		}
		if err := s.Submit(q); err != nil {
			t.Fatal(err)
		}
		s.Flush()
		time.Sleep(time.Duration(r.IntN(8000)) * time.Microsecond)
		d.kill(t)
		good := <-done
		d.start(t)
		disk, err := initiator.OpenDisk(t.Context(), host(t, d), 0)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, atomicBlocks*512)
		if _, err := disk.ReadAt(got, atomicLBA*512); err != nil {
			t.Fatal(err)
		}
		now := be.BigEndian.Uint64(got)
		if !bytes.Equal(got, stamped(now)) || now != lap+1 && (good || now != last) {
			t.Fatalf("lap %d after %d, answered %v: it begins with %d, whole %v", lap+1, last, good, now, bytes.Equal(got, stamped(now)))
		}
		if good {
			answered++
		}
		if now == lap+1 {
			begun++
		}
		last = now
	}
	t.Logf("%d kills, %d writes were there, %d had been answered", laps, begun, answered)
}
