package transport

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// start runs every task that may start now.
func (c *Conn) start() {
	for (c.phase == fullFeature || c.phase == parked) && !c.goodbye {
		s := c.sess.NextReady()
		if s == nil {
			break
		}
		c.run(&c.tasks[s.Index()])
	}
	if len(c.delayed) > 0 {
		c.retryDelayed()
	}
}

// run starts one delivered task.
func (c *Conn) run(t *task) {
	if c.phase == parked && t.s.Kind != session.KindSCSI {
		// There is nobody to answer.
		c.sess.Release(t.s)
		c.over(t)
		return
	}
	switch t.s.Kind {
	case session.KindSCSI:
		c.runCommand(t)
	case session.KindManage:
		c.runManage(t)
	case session.KindPing:
		c.respond(t)
	case session.KindText:
		if c.sess.RunText(t.s) {
			c.enqueue(t)
			return
		}
		c.over(t)
		c.stack.touch(c)
	case session.KindLogout:
		c.runLogout(t)
	case session.KindFree:
		panic("transport: a free task was delivered")
	}
}

func (c *Conn) runLogout(t *task) {
	switch c.sess.RunLogout(t.s) {
	case session.LogoutAnswered:
		c.respond(t)
	case session.LogoutElsewhere:
		c.stack.keeper.Logout(c.name(), t.s.Owner, t.s.CID, t.s.Reason)
	case session.LogoutHere:
		if t.s.Reason == pdu.RemoveForRecovery {
			c.remove(t)
			return
		}
		if t.s.Reason == pdu.CloseConnection {
			c.interrupted()
		}
		c.logout, c.delayed = t, nil
		c.alone = c.sess.Shared() == nil || t.s.Reason == pdu.CloseConnection
		c.abortAll(t)
		if !c.alone {
			// RFC 3720 §10.14 [R-10.14-1]: the commands of every connection end.
			c.stack.keeper.Logout(c.name(), t.s.Owner, 0, t.s.Reason)
		}
		c.logoutReady()
	}
}

func (c *Conn) runCommand(t *task) {
	c.stack.stats.Commands++
	c.commands++
	cmd := &t.s.Command
	cmd.Numbered = !t.s.Immediate
	t.unit, _ = c.introduce(cmd, t.s.CmdSN)
	cmd.ExpectedOutBytes = t.s.ExpectOut()
	t.began = true
	if !c.stack.local.Begin(t.unit, cmd) {
		t.asking = true
		return
	}
	c.begun(t)
}

// introduce says to a command where it comes from, and returns its unit; present is
// false when the LUN has none.
func (c *Conn) introduce(cmd *sam.Command, n serial.CmdSN) (u *lun.Unit, present bool) {
	e, present := c.unit(cmd.LUN)
	cmd.ReadOnly, cmd.Path, cmd.Nexus, cmd.Place = e.ReadOnly, c.units.Path(), c.nexus, n.Uint32()
	cmd.Joint, cmd.TransportLevel = c.sess.Shared() != nil, uint8(c.sess.Params.ProtocolLevel)
	return e.Unit, present
}

// begun carries out what the device server decided.
func (c *Conn) begun(t *task) {
	t.asking = false
	if t.orphan != nil && !c.continued(t) {
		return
	}
	if t.s.Phase == session.Aborting {
		c.quiet(t)
		return
	}
	c.sess.Begun(t.s)
	switch t.s.Action {
	case sam.Complete:
		c.conclude(t)
	case sam.Execute:
		if max(t.s.DataOutBytes, t.s.DataInBytes) > MaxListBytes {
			// No command takes or returns parameter data of this size.
			t.s.FailData(sam.NewSense(sam.IllegalRequest, 0x2400))
		}
		c.progress(t)
	case sam.ReadMedium:
		c.read(t)
	case sam.WriteMedium, sam.CompareMedium:
		c.write(t)
	}
}

// conclude ends a task whose outcome stands. Memory that still received data is
// given back; what the initiator still sends is thrown away.
func (c *Conn) conclude(t *task) {
	if c.current.Task == t.s {
		c.place = nil
	}
	if c.direct == nil || c.current.Task != t.s {
		c.dropData(t)
	}
	c.respond(t)
}

// prepare gives an Execute its memory. It is false while it has none.
func (c *Conn) prepare(t *task) bool {
	n := max(t.s.DataOutBytes, t.s.DataInBytes)
	if n == 0 || t.buffer != nil {
		return true
	}
	if c.current.Task == t.s {
		// A PDU of it is being received where data lies now; its end comes first.
		return false
	}
	if t.buffer = c.stack.borrow(int(n)); t.buffer == nil {
		c.stack.starve(c)
		return false
	}
	if t.count > 0 {
		// What came with the command lies in its own buffer; the list must be in one.
		copy(t.buffer.Bytes(), t.chunkAt(0).buf.Bytes()[:min(t.s.Out.Reached(), t.s.Out.Total)])
		release(t.pop())
	}
	return true
}

// progress goes on with a task after data came or a request ended.
func (c *Conn) progress(t *task) {
	switch {
	case t.s.Phase == session.Aborting:
		c.quiet(t)
	case t.s.Phase == session.Responding:
		c.enqueue(t)
	case t.s.Phase != session.Running || t.asking || t.s.Action == 0:
	case t.s.Failed():
		// The first failure decides; what moves to the medium is awaited.
		if t.moving == 0 {
			c.conclude(t)
		}
	case t.s.Action == sam.Execute:
		c.progressExecute(t)
	case t.s.Action == sam.ReadMedium:
		c.progressRead(t)
	default:
		c.progressWrite(t)
	}
}

func (c *Conn) progressExecute(t *task) {
	if c.phase == parked && !t.s.Out.Complete() {
		return // the rest of its data comes to another connection
	}
	if !c.prepare(t) {
		return
	}
	if !t.s.Out.Complete() {
		c.enqueue(t)
		return
	}
	if t.buffer != nil {
		t.s.Buffer = t.buffer.Bytes()
	}
	t.s.Received = int(min(t.s.Out.Received, t.s.Out.Total))
	if !c.stack.local.Execute(t.unit, &t.s.Command) {
		t.asking, t.executing = true, true
		return
	}
	c.executed(t)
}

// executed takes the end of an Execute.
func (c *Conn) executed(t *task) {
	t.asking, t.executing = false, false
	t.s.Buffer = nil
	if t.s.Phase == session.Aborting {
		c.quiet(t)
		return
	}
	if c.phase == parked {
		// What it returns is asked for again.
		c.dropData(t)
	}
	c.sess.DataInReady(t.s)
	t.ready = t.s.In.Total
	c.respond(t)
}

// arrived goes on with the task a PDU belonged to.
func (c *Conn) arrived(t *task) {
	switch t.s.Kind {
	case session.KindSCSI:
		c.progress(t)
	case session.KindFree:
		// Its PDU was refused after all; memory for its data was drawn already.
		c.over(t)
	case session.KindManage, session.KindPing, session.KindText, session.KindLogout:
	}
}

// resume goes on with every task that may have waited for memory.
func (c *Conn) resume() {
	for i := range c.tasks {
		t := &c.tasks[i]
		if t.s.Kind == session.KindSCSI && t.s.Phase == session.Running && !t.asking {
			c.progress(t)
		}
	}
}

// failMedium makes what the medium said the outcome of a task.
func (c *Conn) failMedium(t *task, k *chunk) {
	block := uint64(t.unit.Info().BlockBytes)
	cmd := &t.s.Command
	scsi.FailMedium(cmd, k.Result, k.Op == blk.Write, uint64(k.Offset+k.Progress)/block)
	t.s.FailData(cmd.Sense)
}
