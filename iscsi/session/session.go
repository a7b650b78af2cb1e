package session

import (
	"lunar/internal/invariant"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// Limits of a session, in requests.
type Limits struct {
	// Window is how many non-immediate commands may be under way.
	Window uint32
	// Immediate is how many immediate ones may be besides; at least two, so that a
	// task management function and one other always find room (RFC 3720 §3.2.2.1
	// [R-3.2.2.1-4]).
	Immediate uint32
}

// Session is a normal or discovery session with its tasks.
type Session struct {
	Identity login.Identity
	Params   login.Params

	window window
	tasks  []Task
	free   []uint32
	// functions and others count the immediate tasks under way, at most immediate
	// together.
	functions, others, immediate uint32
	dir                          directory
	// ready are delivered tasks in the order they start, a ring as large as the
	// slab.
	ready            []uint32
	readyAt, readyTo uint32
}

// New returns a session whose first command carries the leading login's CmdSN
// (RFC 3720 §10.12.8 [R-10.12.8-1]).
func New(id login.Identity, m *login.Machine, l Limits) *Session {
	return newSession(id, m.Params(), m.CmdSN(), l)
}

// Renew is New in the memory of a session that has ended, when that was as large.
func Renew(old *Session, id login.Identity, m *login.Machine, l Limits) *Session {
	if old == nil || old.immediate != l.Immediate || len(old.tasks) != int(l.Window+l.Immediate) {
		return New(id, m, l)
	}
	invariant.Check(old.Live() == 0, "session: a session with tasks is given away")
	old.Identity, old.Params, old.window = id, m.Params(), newWindow(m.CmdSN(), l.Window)
	old.functions, old.others, old.readyAt, old.readyTo = 0, 0, 0, 0
	return old
}

func newSession(id login.Identity, p login.Params, first serial.CmdSN, l Limits) *Session {
	n := l.Window + l.Immediate
	s := &Session{
		Identity: id, Params: p, window: newWindow(first, l.Window),
		tasks: make([]Task, n), free: make([]uint32, n), dir: newDirectory(int(n)),
		ready: make([]uint32, n), immediate: l.Immediate,
	}
	for i := range s.tasks {
		s.tasks[i].index = uint32(i)
		s.free[i] = n - 1 - uint32(i)
	}
	return s
}

// Tasks is the slab; its length bounds everything kept per task.
func (s *Session) Tasks() []Task { return s.tasks }

// Task returns the slab element i.
func (s *Session) Task(i uint32) *Task { return &s.tasks[i] }

// Live is the number of tasks under way.
func (s *Session) Live() int { return len(s.tasks) - len(s.free) }

// Find returns the live task with a tag.
func (s *Session) Find(t pdu.ITT) (*Task, bool) {
	i, ok := s.dir.find(t)
	if !ok {
		return nil, false
	}
	return &s.tasks[i], true
}

// take draws a slab element for a request, or nil when there is none. Immediate
// ones have places of their own, of which functions never take the last from the
// others nor the others from them (RFC 3720 §3.2.2.1 [R-3.2.2.1-4]).
func (s *Session) take(k Kind, h *pdu.Header) *Task {
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
func (s *Session) immediateOf(k Kind) *uint32 {
	if k == KindManage {
		return &s.functions
	}
	return &s.others
}

// Release ends a task: its tag may be used again, and if it held a place in the
// command window, the window moves on.
func (s *Session) Release(t *Task) {
	invariant.Check(t.Kind != KindFree, "session: a task is released twice")
	s.dir.remove(t.ITT)
	if t.counted {
		s.window.credit()
	}
	if t.Immediate {
		*s.immediateOf(t.Kind)--
	}
	t.Kind = KindFree
	s.free = append(s.free, t.index)
}

// arrive puts a completely received task in order: immediate ones start at once,
// others when every earlier CmdSN has come (RFC 3720 §3.2.2.1 [R-3.2.2.1-5]).
func (s *Session) arrive(t *Task) {
	if t.Immediate {
		s.deliver(t)
		return
	}
	t.counted = true
	if !s.window.offer(t.CmdSN, t.index) {
		t.Phase = Waiting
		return
	}
	s.deliver(t)
	s.drain()
}

// drain delivers what waited behind a gap that is now closed.
func (s *Session) drain() {
	for {
		i, ok := s.window.pop()
		if !ok {
			return
		}
		s.deliver(&s.tasks[i])
	}
}

func (s *Session) deliver(t *Task) {
	t.Phase = Running
	s.ready[s.readyTo%uint32(len(s.ready))] = t.index
	s.readyTo++
}

// NextReady returns the next task to start, in order of delivery. One that was
// ended since its delivery, by a function or a logout in front of it, is passed
// over.
func (s *Session) NextReady() *Task {
	for s.readyAt != s.readyTo {
		t := &s.tasks[s.ready[s.readyAt%uint32(len(s.ready))]]
		s.readyAt++
		if t.Kind != KindFree && t.Phase == Running {
			return t
		}
	}
	return nil
}
