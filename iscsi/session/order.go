package session

// Release ends a task: its tag may be used again, and if it held a place in the
// command window, the window moves on.
func (c *Conn) Release(t *Task) {
	if t.counted {
		c.window.credit()
	}
	c.give(t)
}

// arrive puts a completely received task in order: immediate ones start at once,
// others when every earlier CmdSN has come (RFC 3720 §3.2.2.1 [R-3.2.2.1-5]).
func (c *Conn) arrive(t *Task) {
	if t.Immediate {
		c.deliver(t)
		return
	}
	t.counted = true
	if !c.window.offer(t.CmdSN, t.index) {
		t.Phase = Waiting
		return
	}
	c.deliver(t)
	c.drain()
}

// drain delivers what waited behind a gap that is now closed.
func (c *Conn) drain() {
	for {
		i, ok := c.window.pop()
		if !ok {
			return
		}
		c.deliver(&c.tasks[i])
	}
}

// StopWaiting takes a task out of the queue of commands that wait for an earlier
// CmdSN. Its number is given up, so the queue moves on without it.
func (c *Conn) StopWaiting(t *Task) {
	cell := c.window.cell(t.CmdSN)
	if t.Phase == Waiting && *cell == t.index+1 {
		*cell = plugged
		t.counted = false
	}
}
