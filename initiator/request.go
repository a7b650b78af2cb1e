package initiator

import (
	"fmt"

	"lunar/initiator/drive"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Command is one SCSI command. Out is sent to the target, In is filled by it; their
// lengths are what the command is expected to transfer (RFC 3720 §10.3.4), and both
// set make it bidirectional. The CDB has 6 to 260 bytes.
type Command struct {
	LUN       sam.LUN
	Attribute sam.Attribute
	CDB       []byte
	Out, In   []byte
}

// Result is how a command ended. Counts are in bytes.
type Result struct {
	Status sam.Status
	// Sense is the autosense of CHECK CONDITION, a copy.
	Sense []byte
	// Read is how many bytes of Command.In were filled, from its start.
	Read int
	// Residual is the difference between what was expected and what the command
	// transfers: missing with Underflow, too much with Overflow (RFC 3720 §10.4.1).
	Residual            uint32
	Overflow, Underflow bool
}

// Request is a Command on the asynchronous path. It belongs to the session from
// Submit until Done is called, its buffers included, which the kernel may read and
// write until then. It can be submitted again from inside Done.
type Request struct {
	Command
	// Done is called when the request has ended, on a goroutine that receives: with
	// several connections and without Config.Loop, those of two requests may run at once.
	// It must not block, nor call anything of the session but Submit.
	Done func(*Request)
	// Result is valid when Err is nil.
	Result Result
	Err    error
}

// task is a slot of the session's slab: a request in progress.
type task struct {
	// itt is the slot's number with a generation above it, so that an answer to an
	// earlier user of the slot is not taken for one to this (RFC 3720 §10.2.1.8
	// [R-10.2.1.8-1]: unique while the task exists).
	itt pdu.ITT
	req *Request // nil when the slot is free
	// link is the connection that carries it, nil before it is sent.
	link  *link
	sent  bool
	cmdSN serial.CmdSN
	next  *task // in the chain that waits for the window
	// dataSN is the next number of a Data-In or R2T.
	dataSN serial.DataSN
	// read and wrote are how far In and Out have been transferred; burst is what
	// the current Data-In sequence has carried.
	read, wrote, burst int
	// lent is when the last data that is sent from Out will have left.
	lent drive.Ticket
	// Of recovery levels above 0: end is how far data-in reaches, holes what is missing of
	// it, asks how often it was asked for; lost says that it will not come.
	end   int
	holes []hole
	asks  int
	lost  bool
	// refused is how often the target would not send data again.
	refused int
	// ackDue says that the target wants data-in acknowledged, under a tag.
	ackDue bool
	ackTag pdu.TTT
	ackLUN sam.LUN
	// resumed: it was reassigned, so R2TSN goes on where the target says. attempts counts
	// what was done to bring it to an end.
	resumed  bool
	attempts int
	// muted is the function under way that is to end it on this connection, 0 when there is
	// none; unserved are R2Ts that came since.
	muted    pdu.ITT
	unserved []owed
	// cancelled says that its caller has gone.
	cancelled bool
	// doomed is why a task ends as soon as nothing is received into its buffer.
	doomed error
}

const (
	slotMask       = 0xffff
	generationStep = 0x10000
)

// find returns the task an answer belongs to, or nil.
func (s *Session) find(itt pdu.ITT) *task {
	i := int(itt & slotMask)
	if i >= len(s.tasks) {
		return nil
	}
	if t := &s.tasks[i]; t.itt == itt && t.req != nil {
		return t
	}
	return nil
}

// Submit starts a request and returns. It is ErrFull when Config.QueueDepth
// requests are in progress. A request that cannot be sent yet, because the target's
// command window is closed, waits inside. Outside of Done, the caller calls Flush
// after the last of a batch.
func (s *Session) Submit(r *Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.start(r)
	return err
}

func (s *Session) start(r *Request) (*task, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.leaving != nil {
		return nil, s.leaving
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if len(s.free) == 0 {
		return nil, ErrFull
	}
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	t := &s.tasks[i]
	*t = task{itt: t.itt, req: r}
	r.Result, r.Err = Result{}, nil
	// Behind those that wait, in order of arrival.
	l := s.choose()
	if s.first != nil || l == nil || !s.open() {
		s.enqueue(t)
		return t, nil
	}
	l.send(t)
	return t, nil
}

func (r *Request) check() error {
	if n := len(r.CDB); n < 6 || n > maxCDBBytes {
		return fmt.Errorf("initiator: a CDB of %d bytes is not one of 6 to %d", n, maxCDBBytes)
	}
	return nil
}

// release frees a task's slot and returns its request, which the caller reports
// after unlocking.
func (s *Session) release(t *task) *Request {
	r := t.req
	if t.link != nil {
		t.link.busy--
	}
	i := uint16(t.itt & slotMask)
	*t = task{itt: t.itt + generationStep}
	s.free = append(s.free, i)
	if s.waiting > 0 {
		s.wake()
	}
	return r
}

func (s *Session) wake() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

func (s *Session) enqueue(t *task) {
	if s.first == nil {
		s.first = t
	} else {
		s.last.next = t
	}
	s.last = t
}

// dequeue removes a task that waits for the window.
func (s *Session) dequeue(t *task) {
	var before *task
	for p := s.first; p != t; p = p.next {
		before = p
	}
	if before == nil {
		s.first = t.next
	} else {
		before.next = t.next
	}
	if s.last == t {
		s.last = before
	}
	t.next = nil
}

// open says whether a command may be sent now.
func (s *Session) open() bool { return s.cmdSN.AtMost(s.top) && s.quiet == 0 }

// sendWaiting sends what the window has room for (RFC 3720 §3.2.2.1: no command
// beyond MaxCmdSN).
func (s *Session) sendWaiting() {
	for s.first != nil && s.open() {
		l := s.choose()
		if l == nil {
			return
		}
		t := s.first
		s.dequeue(t)
		l.send(t)
	}
}
