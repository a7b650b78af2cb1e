package reactor

// timer is one armed deadline.
type timer struct {
	at    int64
	token Token
}

// timers is a binary heap by deadline in memory that is taken once. Timers with
// the same deadline expire in no particular order.
type timers struct {
	heap []timer
}

func newTimers(limit int) timers { return timers{heap: make([]timer, 0, limit)} }

// add reports false when the heap is full.
func (t *timers) add(token Token, at int64) bool {
	if len(t.heap) == cap(t.heap) {
		return false
	}
	t.heap = append(t.heap, timer{at, token})
	t.up(len(t.heap) - 1)
	return true
}

// next is the earliest deadline.
func (t *timers) next() (at int64, ok bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// expire takes the earliest timer if its deadline is not after now.
func (t *timers) expire(now int64) (Token, bool) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return 0, false
	}
	token := t.heap[0].token
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap = t.heap[:last]
	t.down(0)
	return token, true
}

func (t *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].at <= t.heap[i].at {
			return
		}
		t.heap[parent], t.heap[i] = t.heap[i], t.heap[parent]
		i = parent
	}
}

func (t *timers) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.heap[child].at < t.heap[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		t.heap[least], t.heap[i] = t.heap[i], t.heap[least]
		i = least
	}
}
