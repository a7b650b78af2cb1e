package transport

import (
	"lunar/internal/buf"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
)

// loginRequest takes a complete Login Request.
func (c *Conn) loginRequest() {
	var resp pdu.Header
	c.answerLogin(&resp, func() (login.Outcome, []byte) {
		return c.machine.Step(pdu.AsLoginRequest(&c.head), c.text, &resp)
	})
}

// answerLogin carries out what a step of the login machine decided.
func (c *Conn) answerLogin(resp *pdu.Header, step func() (login.Outcome, []byte)) {
	outcome, text := step()
	switch outcome {
	case login.Reply:
		c.say(resp, text)
	case login.Refuse:
		c.refuse(resp, text)
	case login.Admit:
		c.phase = admitting
		c.askAdmission()
	case login.Done:
	}
}

// refuse answers a login with a status, now or after a while: somebody who tries
// secrets waits for each answer.
func (c *Conn) refuse(resp *pdu.Header, text []byte) {
	c.refusal, c.refusalText = *resp, append([]byte(nil), text...)
	hold := c.stack.keeper.LoginOver(c.machine.Identity(), pdu.AsLoginResponse(resp).Status())
	if hold <= 0 {
		c.sayRefusal()
		return
	}
	// Nothing is read meanwhile.
	c.phase, c.heldUntil = admitting, c.stack.loop.Now()+hold
}

func (c *Conn) sayRefusal() {
	c.heldUntil = 0
	c.say(&c.refusal, c.refusalText)
	c.leave()
}

// askAdmission asks the keeper for a session, if there is memory for one.
func (c *Conn) askAdmission() {
	if !c.reserve() {
		c.admitted(Admission{Status: pdu.LoginOutOfResources})
		return
	}
	c.apply()
}

func (c *Conn) apply() {
	c.stack.keeper.Admit(Application{
		Conn: c.name(), Identity: c.machine.Identity(), Params: c.machine.Params(),
		First: c.machine.CmdSN(), Window: c.limits.Window, Placed: c.settled,
	})
}

// fit sets memory aside for the window of a session that this connection joins: every
// command of it may come here. It is false when there is too little.
func (c *Conn) fit(window uint32) bool {
	s := c.stack
	more := int(window+c.limits.Immediate) - c.promised
	all, _ := s.unasked.Count(c.promisedOf)
	if more > all-s.promised[c.promisedOf] {
		return false
	}
	c.promised += more
	s.promised[c.promisedOf] += more
	c.limits.Window = window
	return true
}

// reserve sets aside memory for everything the initiator may send unasked: a
// buffer of its first burst for each command of the window and each immediate
// one. When little is left the window is smaller. A discovery session has no
// commands.
func (c *Conn) reserve() bool {
	if c.machine.Identity().Discovery {
		return true
	}
	s := c.stack
	first := max(int(c.machine.Params().FirstBurstLength), minUnasked)
	class := s.unasked.Class(first)
	if class < 0 {
		return false
	}
	all, _ := s.unasked.Count(class)
	left := all - s.promised[class]
	immediate := int(c.limits.Immediate)
	window := min(int(c.limits.Window), max(left/s.limits.SharesLeft-immediate, minWindow))
	if window+immediate > left {
		return false
	}
	c.limits.Window = uint32(window)
	c.firstBytes, c.promised, c.promisedOf = first, window+immediate, class
	s.promised[class] += c.promised
	return true
}

// minWindow is the smallest command window a session is given; when not even that
// is left, logins are refused (adr/0004).
const minWindow = 8

// unaskedBuffer lends memory for n bytes that come unasked. It is of the class
// the session was promised, or of a smaller one when nobody was promised the
// buffer it takes.
func (c *Conn) unaskedBuffer(n int) *buf.Buf {
	pool := c.stack.unasked
	small := pool.Class(max(n, minUnasked))
	if _, free := pool.Count(small); small < c.promisedOf && free > c.stack.promised[small] {
		return pool.Get(n)
	}
	return pool.Get(c.firstBytes)
}

// minUnasked is the smallest buffer a command can be given.
const minUnasked = 4096

// admitted takes the keeper's answer.
func (c *Conn) admitted(a Admission) {
	var resp pdu.Header
	if a.Status == pdu.LoginSuccess && a.Order != nil && !c.fit(a.Order.Size()) {
		a.Status = pdu.LoginOutOfResources
	}
	c.isAdmitted = a.Status == pdu.LoginSuccess
	if a.Session != nil {
		c.machine.Inherit(*a.Session)
	}
	exp := c.machine.CmdSN()
	last := exp.Add(c.limits.Window - 1)
	if a.Order != nil {
		exp, last = a.Order.Expected(), a.Order.Last()
	}
	outcome, text := c.machine.Admitted(a.Status, a.TSIH, exp, last, &resp)
	if outcome != login.Done {
		c.refuse(&resp, text)
		return
	}
	c.stack.keeper.LoginOver(c.machine.Identity(), pdu.LoginSuccess)
	c.say(&resp, text)
	c.full(a)
	// What was sent behind the last request may be looked at now.
	c.resumeParse()
	c.arm()
}

// say puts one PDU of the login phase into the batch; digests are not in use yet
// (RFC 3720 §10.13). A login is one request and one answer at a time, so there is
// always room.
func (c *Conn) say(h *pdu.Header, text []byte) {
	if b := c.batch(); b != nil {
		b.add(h, nil, append([]byte(nil), text...), false, false)
		c.stack.touch(c)
	}
}
