package faketarget

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// reply is what was sent, or should have been; status says that it took a StatSN.
type reply struct {
	h      pdu.Header
	data   []byte
	status bool
}

// snack sends again what is asked for: exact copies, whatever became of the first ones
// (RFC 3720 §10.16 [R-10.16-2]).
func (c *Conn) snack(p pdu.SNACK) {
	c.t.mu.Lock()
	c.t.snacks = append(c.t.snacks, *p.Header)
	c.t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number("ErrorRecoveryLevel", 0) == 0 {
		c.t.fault("SNACK at level 0")
	}
	first, count := p.Run()
	for _, r := range c.kept {
		n := pdu.Response{Header: &r.h}.StatSN().Uint32()
		wanted := p.Type() == pdu.SNACKStatus && r.status
		if p.Type() == pdu.SNACKData && r.h.ITT() == p.ITT() && r.h.Opcode() == pdu.OpDataIn {
			wanted, n = true, pdu.AsDataIn(&r.h).DataSN().Uint32()
		}
		if wanted && serial.Data(n).In(serial.Data(first), serial.Data(first+count-1)) {
			c.encode(&r.h, r.data, Deliver)
		}
	}
}

// Continue sends, as after a reassignment, what an earlier connection had for a command
// from a number on, with the status numbered anew.
func (c *Conn) Continue(itt pdu.ITT, from serial.DataSN) {
	for _, old := range c.t.Conns() {
		if old == c {
			continue
		}
		old.mu.Lock()
		kept := append([]reply(nil), old.kept...)
		old.mu.Unlock()
		for _, r := range kept {
			if r.h.Opcode() == pdu.OpDataIn && r.h.ITT() == itt && !pdu.AsDataIn(&r.h).DataSN().Less(from) {
				c.Send(&r.h, r.data, r.status)
			}
		}
	}
}
