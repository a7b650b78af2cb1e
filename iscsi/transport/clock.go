package transport

import "lunar/iscsi/pdu"

// armTimer asks for the next tick. A connection has one timer, armed here when it
// opens and by each tick, so that the loop's table of timers holds them all. A
// tick is the grain of every bound of a connection; one that was asked to log out
// has a finer one.
func (c *Conn) armTimer() {
	now := c.stack.loop.Now()
	at := now + c.stack.limits.AbortNanos
	for _, earlier := range []int64{c.logoutBy, c.heldUntil} {
		if earlier > now {
			at = min(at, earlier)
		}
	}
	c.stack.loop.Arm(c.token(KindTimer), at)
}

// tick looks at the times of a connection. One that is parked by it has a time as well.
func (c *Conn) tick() {
	now := c.stack.loop.Now()
	switch c.phase {
	case loggingIn, admitting:
		if c.heldUntil != 0 && now >= c.heldUntil {
			c.sayRefusal()
		} else if now >= c.deadline {
			c.close("login took too long")
		}
	case fullFeature, leaving:
		c.tickOfSession(now)
	case parked:
		if now >= c.deadline {
			// RFC 3720 §7.2 [R-7.2-1], M1: nobody took its commands in time.
			c.close("its commands were not reassigned")
		}
	case gone, closing:
	}
	if c.phase != gone && c.phase != closing {
		c.armTimer()
	}
}

func (c *Conn) tickOfSession(now int64) {
	if c.aborts > 0 {
		c.abandonOwed(now)
	}
	if c.logoutBy != 0 && now >= c.logoutBy && c.phase == fullFeature && !c.goodbye && !c.sess.LoggingOut() {
		// RFC 3720 §10.9.1 [R-10.9.1-2]: it was asked to log out and did not.
		c.farewell()
	}
	if (c.goodbye || c.phase == leaving) && now >= c.deadline {
		c.close("the last word was not taken")
		return
	}
	if len(c.fences) > 0 && c.phase == fullFeature && !c.urge(now) {
		return
	}
	if c.keep != nil && c.phase == fullFeature && !c.watch(now) {
		return
	}
	if now-c.heard >= c.stack.limits.PingNanos {
		c.askForLife(now)
	}
}

// askForLife pings a silent peer, or drops one that did not answer.
func (c *Conn) askForLife(now int64) {
	// RFC 3720 §6.12 [R-6.12-1]: a ping finds a dead peer that TCP keeps. Discovery
	// knows no pings, and an idle one ends (RFC 7143 §7.4 [N-10]).
	if c.pinged || c.phase == leaving || c.sess.Identity.Discovery {
		c.lost("no sign of life")
		return
	}
	c.pinged, c.wantsPing = true, true
	c.heard = now
	c.stack.touch(c)
}

// logoutSeconds is how long an initiator has at least to log out when the target
// stops; the tick under way may make it one more.
const logoutSeconds = 1

// askForLogout has the initiator log out, within a bound.
func (c *Conn) askForLogout() {
	if c.sess.LoggingOut() || c.logoutBy != 0 {
		return
	}
	c.logoutBy, c.wantsLogout = c.stack.loop.Now()+logoutSeconds*1e9, true
	c.stack.touch(c)
}

// announce says, past whatever is broken, that the connection ends, and has it close
// behind that. It is false when it cannot be said: a send is under way, or nobody
// listens for it (RFC 3720 §3.2.5 [R-3.2.5-2]).
func (c *Conn) announce() bool {
	if c.phase != fullFeature || c.flying != nil || c.sess.Identity.Discovery {
		return false
	}
	c.dropBuild()
	b := c.stack.getBatch()
	if b == nil {
		return false
	}
	c.interrupted()
	var h pdu.Header
	c.sess.EmitDropping(&h)
	b.add(&h, nil, nil, c.framer.HeaderDigest, c.framer.DataDigest)
	c.flying = b
	c.leave()
	c.send()
	return true
}

// renegotiateSeconds is how long an initiator has to ask for what is new. One that
// does not goes on as before.
const renegotiateSeconds = 5

// renegotiate asks for a text exchange when we take other data segments than the
// session knows.
func (c *Conn) renegotiate(maxRecv uint32) {
	if maxRecv == 0 || maxRecv == c.sess.Params.MaxRecv || c.sess.LoggingOut() {
		return
	}
	c.newRecv = maxRecv
	c.stack.touch(c)
}

// leave has the connection close once what it has laid out was sent, or time is up.
func (c *Conn) leave() {
	c.phase, c.deadline = leaving, c.stack.loop.Now()+c.stack.limits.PingNanos
}

// farewell announces the end of the connection, then closes once it was sent. What
// comes from now on is not looked at: the session may have no right to it any more, and
// its initiator, who need not read, shall not keep it.
func (c *Conn) farewell() {
	if !c.goodbye {
		c.goodbye, c.deadline = true, c.stack.loop.Now()+c.stack.limits.AbortNanos
	}
	c.stack.touch(c)
}
