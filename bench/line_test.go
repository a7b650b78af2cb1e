package bench

import (
	"testing"

	"lunar/bench/echo"
	"lunar/initiator"
	"lunar/initiator/drive"
)

// A reply that overtakes the send of its request's data is reported when that has
// left, and only once.
func TestLine_ReplyBeforeDataLeft_Waits(t *testing.T) {
	l := &line{dead: make(chan struct{}), requests: make([]*initiator.Request, 2), lent: make([]drive.Ticket, 2), free: []uint32{1, 0}}
	done := 0
	r := &initiator.Request{Command: initiator.Command{Out: make([]byte, drive.LendBytes)}, Done: func(*initiator.Request) { done++ }}
	if err := l.Submit(r); err != nil {
		t.Fatal(err)
	}
	var reply [echo.HeaderBytes]byte
	echo.Header{Op: echo.Write, Tag: 0}.Put(reply[:])
	spent := l.Queued(drive.Queue{})
	if err := l.Take(reply[:]); err != nil || done != 0 || len(l.free) != 1 {
		t.Fatalf("%v, ended %d times, tags %v", err, done, l.free)
	}
	if err := l.Take(reply[:]); err == nil {
		t.Error("a second reply was taken")
	}
	l.Sent()
	if done != 1 || len(l.free) != 2 {
		t.Errorf("ended %d times, tags %v", done, l.free)
	}
	// The next one's connection ends while its data is on its way.
	if err := l.Submit(r); err != nil {
		t.Fatal(err)
	}
	_ = l.Queued(spent)
	_ = l.Take(reply[:])
	l.Ended(errLineClosed)
	if done != 2 || r.Err == nil {
		t.Errorf("ended %d times, with %v", done, r.Err)
	}
}
