package initiator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lunar/iscsi/pdu"
)

// call is a Request with somebody waiting for it.
type call struct {
	Request
	ended chan struct{}
}

var calls = sync.Pool{New: func() any {
	c := &call{ended: make(chan struct{}, 1)}
	c.Done = func(*Request) { c.ended <- struct{}{} }
	return c
}}

// Do runs one command and waits for it. A status other than GOOD is not an error:
// it stands in Result. When ctx ends first, the command is aborted with ABORT TASK
// and Do returns, once it is sure that the buffers are no longer in use, the
// context's cause (RFC 3720 §10.5.1).
func (s *Session) Do(ctx context.Context, c Command) (Result, error) {
	k := calls.Get().(*call)
	k.Command = c
	t, err := s.submitWait(ctx, &k.Request)
	if err != nil {
		calls.Put(k)
		return Result{}, err
	}
	s.Flush()
	select {
	case <-k.ended:
	case <-ctx.Done():
		if s.withdraw(t) {
			calls.Put(k)
			return Result{}, s.gaveUp(ctx, c)
		}
		<-k.ended
	}
	res, err := k.Result, k.Err
	k.Command, k.Result, k.Err = Command{}, Result{}, nil
	calls.Put(k)
	if err != nil && ctx.Err() != nil {
		err = s.gaveUp(ctx, c)
	}
	return res, err
}

func (s *Session) gaveUp(ctx context.Context, c Command) error {
	return fmt.Errorf("initiator: SCSI command 0x%02x to %s at %s aborted: %w",
		c.CDB[0], s.cfg.Target, s.cfg.Portal, context.Cause(ctx))
}

// submitWait submits, waiting for a free slot.
func (s *Session) submitWait(ctx context.Context, r *Request) (started, error) {
	for {
		t, err := s.tryStart(r)
		if !errors.Is(err, ErrFull) {
			return t, err
		}
		select {
		case <-s.freed:
		case <-s.dead:
		case <-ctx.Done():
		}
		s.mu.Lock()
		s.waiting--
		// A token stands for one slot, so what is left is passed on.
		if len(s.free) > 1 && s.waiting > 0 {
			s.wake()
		}
		s.mu.Unlock()
		if ctx.Err() != nil {
			return started{}, context.Cause(ctx)
		}
	}
}

// started is a task with the tag it had when its request was submitted.
type started struct {
	t   *task
	tag pdu.ITT
}

func (s *Session) tryStart(r *Request) (started, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.start(r)
	if err != nil {
		if errors.Is(err, ErrFull) {
			s.waiting++
		}
		return started{}, err
	}
	return started{t, t.itt}, nil
}

// withdraw gives up a task. It is true when the task was never sent and is gone at
// once; otherwise its request ends soon, aborted or not.
func (s *Session) withdraw(w started) bool {
	s.mu.Lock()
	t := w.t
	if t.itt == w.tag && t.req != nil && !t.sent && s.err == nil {
		s.dequeue(t)
		s.release(t)
		s.mu.Unlock()
		return true
	}
	s.mu.Unlock()
	s.abort(w)
	return false
}
