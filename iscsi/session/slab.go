package session

import (
	"lunar/internal/invariant"
	"lunar/iscsi/pdu"
)

// Limits of a session, in requests.
type Limits struct {
	// Window is how many non-immediate commands may be under way.
	Window uint32
	// Immediate is how many immediate ones may be besides, on each connection; at
	// least two, so that a task management function and one other always find room
	// (RFC 3720 §3.2.2.1 [R-3.2.2.1-4]).
	Immediate uint32
}

// slab holds the tasks of one connection: those whose requests it carried, and which
// are bound to it (RFC 3720 §3.2.4.1 [R-3.2.4.1-1]).
type slab struct {
	tasks []Task
	free  []uint32
	// functions and others count the immediate tasks under way, at most immediate
	// together.
	functions, others, immediate uint32
	dir                          directory
	// ready are delivered tasks in the order they start, a ring as large as the
	// slab.
	ready            []uint32
	readyAt, readyTo uint32
}

func newSlab(l Limits) slab {
	n := l.Window + l.Immediate
	s := slab{
		tasks: make([]Task, n), free: make([]uint32, n), dir: newDirectory(int(n)),
		ready: make([]uint32, n), immediate: l.Immediate,
	}
	for i := range s.tasks {
		s.tasks[i].index = uint32(i)
		s.free[i] = n - 1 - uint32(i)
	}
	return s
}

// renew is a slab of these limits in the memory of an empty one, when that was as
// large.
func (s *slab) renew(l Limits) slab {
	if s.immediate != l.Immediate || len(s.tasks) != int(l.Window+l.Immediate) {
		return newSlab(l)
	}
	invariant.Check(s.Live() == 0, "session: a slab with tasks is given away")
	s.functions, s.others, s.readyAt, s.readyTo = 0, 0, 0, 0
	return *s
}

// Tasks is the slab; its length bounds everything kept per task.
func (s *slab) Tasks() []Task { return s.tasks }

// Task returns the slab element i.
func (s *slab) Task(i uint32) *Task { return &s.tasks[i] }

// Live is the number of tasks under way.
func (s *slab) Live() int { return len(s.tasks) - len(s.free) }

// Find returns the live task with a tag.
func (s *slab) Find(t pdu.ITT) (*Task, bool) {
	i, ok := s.dir.find(t)
	if !ok {
		return nil, false
	}
	return &s.tasks[i], true
}

// take draws a slab element for a request, or nil when there is none. Immediate
// ones have places of their own, of which functions never take the last from the
// others nor the others from them (RFC 3720 §3.2.2.1 [R-3.2.2.1-4]).
func (s *slab) take(k Kind, h *pdu.Header) *Task {
	if h.Immediate() {
		n := s.immediateOf(k)
		if s.functions+s.others == s.immediate || *n+1 == s.immediate {
			return nil
		}
		*n++
	}
	invariant.Check(len(s.free) > 0, "session: no place for a command inside the window")
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	t := &s.tasks[i]
	t.reset()
	t.Kind, t.Phase = k, Receiving
	t.ITT, t.CmdSN, t.Immediate = h.ITT(), pdu.Request{Header: h}.CmdSN(), h.Immediate()
	s.dir.add(t.ITT, i)
	return t
}

// immediateOf is the count of immediate tasks that a kind belongs to.
func (s *slab) immediateOf(k Kind) *uint32 {
	if k == KindManage {
		return &s.functions
	}
	return &s.others
}

// give takes a task that is over back.
func (s *slab) give(t *Task) {
	invariant.Check(t.Kind != KindFree, "session: a task is released twice")
	if !t.outlived {
		s.dir.remove(t.ITT)
	}
	if t.Immediate {
		*s.immediateOf(t.Kind)--
	}
	t.Kind = KindFree
	s.free = append(s.free, t.index)
}

// deliver has a task start behind those delivered before it.
func (s *slab) deliver(t *Task) {
	t.Phase = Running
	s.ready[s.readyTo%uint32(len(s.ready))] = t.index
	s.readyTo++
}

// NextReady returns the next task to start, in order of delivery. One that was
// ended since its delivery, by a function or a logout in front of it, is passed
// over.
func (s *slab) NextReady() *Task {
	for s.readyAt != s.readyTo {
		t := &s.tasks[s.ready[s.readyAt%uint32(len(s.ready))]]
		s.readyAt++
		if t.Kind != KindFree && t.Phase == Running {
			return t
		}
	}
	return nil
}
