package engine

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// A function that is answered "complete" has ended its command for good: whatever the block
// holds then, it holds later (SAM-5 §7.2). A thousand writes race their ABORT TASK, on a
// file, whose writes take their time.
func TestAbortTask_NothingLandsBehindTheAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	e := start(t, testConfig(t, 2, Unit{Medium: File, Path: path, Bytes: 16 << 20, BlockBytes: 512, Direct: "auto"}))
	s, other := dialWith(t, e, initiator.Config{}), diskOf(t, dialWith(t, e, initiator.Config{}))
	d := diskOf(t, s)
	const bytesEach = 128 << 10
	written, ended := 0, 0
	for i := range 1000 {
		done := make(chan error, 1)
		cdb := d.BlockCDB(0x8a, 0, bytesEach)
		r := &initiator.Request{
			Command: initiator.Command{LUN: d.LUN(), CDB: cdb[:], Out: bytes.Repeat([]byte{byte(i), byte(i >> 8), 1, byte(i * 7)}, bytesEach/4)},
			Done:    func(r *initiator.Request) { done <- r.Err },
		}
		if err := s.Submit(r); err != nil {
			t.Fatal(err)
		}
		s.Flush()
		time.Sleep(time.Duration(i%20) * 20 * time.Microsecond)
		result := pdu.TaskResult(0)
		if tag, ok := s.Task(r); ok {
			var err error
			if result, err = s.TaskManagement(t.Context(), sam.AbortTask, d.LUN(), tag); err != nil {
				t.Fatal(err)
			}
		}
		first, second := make([]byte, bytesEach), make([]byte, bytesEach)
		if _, err := other.ReadAt(first, 0); err != nil {
			t.Fatal(err)
		}
		err := <-done
		if err == nil {
			written++
		} else {
			ended++
		}
		time.Sleep(200 * time.Microsecond)
		if _, err := other.ReadAt(second, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Fatalf("write %d (%v, function %v) landed behind the answer", i, err, result)
		}
	}
	t.Logf("%d writes were in time, %d were ended", written, ended)
}
