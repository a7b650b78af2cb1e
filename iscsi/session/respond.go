package session

import (
	"encoding/binary"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Responded says that the outcome of a task stands, so its response may be sent
// as soon as no data is owed.
func (c *Conn) Responded(t *Task) {
	t.Phase = Responding
	if t.failed {
		t.Fail(t.failure)
	}
}

// Aborted gives a task that was ended by another nexus the status it has for that.
func (c *Conn) Aborted(t *Task) {
	t.failed = false
	t.End(sam.TaskAborted)
}

// MayRespond says whether the response may go now: the outcome stands, all data
// of a read is out, and the initiator has ended every burst it owes (RFC 3720
// §10.4.2 [R-10.4.2-1]).
func (t *Task) MayRespond() bool {
	return t.Phase == Responding && !t.Out.Owed() && (t.In.Sent == t.In.Total || t.Status != sam.Good)
}

// EmitResponse writes the response that ends a task and releases it. The data
// segment, if any, is built in scratch, which holds at least MaxInlineBytes, or is
// the task's text.
func (c *Conn) EmitResponse(t *Task, h *pdu.Header, scratch []byte) (data []byte) {
	switch t.Kind {
	case KindSCSI:
		if t.said != nil {
			return c.sayAgain(t, h, scratch)
		}
		return c.scsiResponse(t, h, scratch)
	case KindManage:
		c.begin(h, pdu.OpTaskResponse, t.ITT)
		pdu.AsTaskResponse(h).SetResult(t.Result)
		pdu.AsTaskResponse(h).SetAdditionalInformation(t.Information)
		if t.Function == sam.NexusReset && c.State == InLogout {
			c.State, _ = c.State.Next(T13)
		}
	case KindPing:
		return c.pingResponse(t, h)
	case KindText:
		return c.textResponse(t, h)
	case KindLogout:
		c.logoutResponse(t, h)
	case KindFree:
		panic("session: response of a free task")
	}
	c.Release(t)
	c.status(pdu.Response{Header: h})
	return nil
}

// MaxInlineBytes is the most a response builds itself: SenseLength and sense.
const MaxInlineBytes = 2 + sam.MaxSenseBytes

func (c *Conn) scsiResponse(t *Task, h *pdu.Header, scratch []byte) (data []byte) {
	c.begin(h, pdu.OpSCSIResponse, t.ITT)
	p := pdu.AsSCSIResponse(h)
	flags, residual := t.residual()
	h.SetFlags(pdu.FlagFinal | flags)
	p.SetStatus(t.Status)
	if c.Params.ProtocolLevel >= protocolLevel2 {
		// RFC 7144 §5.2.1 [N-26]: below it the field is 0.
		p.SetStatusQualifier(t.Qualifier)
	}
	p.SetResidual(residual)
	if t.In.sn > 0 {
		// §10.4.8 [R-10.4.8-1]: Data-In and R2T PDUs sent; 0 without Data-In.
		p.SetExpDataSN(serial.Data(t.In.sn + t.Out.r2tSN))
	}
	if t.Read && t.Write {
		flags, residual := t.bidiResidual()
		h.SetFlags(h.Flags() | flags)
		p.SetBidiResidual(residual)
	}
	if t.Status == sam.CheckCondition {
		// §10.4.7 [R-10.4.7-1]: SenseLength, then the sense.
		data = t.Sense.Append(scratch[:2])
		binary.BigEndian.PutUint16(data, uint16(len(data)-2))
		h.SetDataBytes(len(data))
	}
	if c.kept != nil {
		p.SetSNACKTag(c.kept.of(t).tag)
	}
	c.Release(t)
	c.status(p.Response)
	c.kept.conclude(t, data)
	return data
}

// residual is what the transfer differs from the expected one: more than the
// initiator expected (O) or less (U) (RFC 3720 §10.4.5 [R-10.4.5-1], RFC 7143
// §11.4.5 [N-12]). For a bidirectional command it speaks of the data-out.
func (t *Task) residual() (flags byte, count uint32) {
	var wanted, expected int64
	switch {
	case t.Write:
		wanted, expected = t.DataOutBytes, t.ExpectOut()
		if t.Status != sam.Good {
			// A command that failed because of its lengths still says what it takes
			// (§10.4.5 [R-10.4.5-1]: also with CHECK CONDITION); others what they moved.
			wanted = max(t.moved, t.DataOutBytes)
		}
	default:
		wanted, expected = t.DataInBytes, t.ExpectIn()
		if t.Status != sam.Good {
			wanted = int64(t.In.Sent)
		}
		if !t.Read {
			// Without R and W nothing was expected, whatever EDTL says; what the command
			// would have moved either way is overflow.
			wanted = max(t.DataInBytes, t.DataOutBytes)
		}
	}
	switch {
	case wanted > expected:
		return pdu.ResidualOverflow, uint32(wanted - expected)
	case wanted < expected:
		return pdu.ResidualUnderflow, uint32(expected - wanted)
	}
	return 0, 0
}

// bidiResidual is the same for the data-in of a bidirectional command. A flag is
// set only where there is a residual (§10.4.6 [R-10.4.6-1]).
func (t *Task) bidiResidual() (flags byte, count uint32) {
	wanted := t.DataInBytes
	if t.Status != sam.Good {
		wanted = int64(t.In.Sent)
	}
	switch expected := int64(t.BidiRead); {
	case wanted > expected:
		return pdu.ResidualBidiOverflow, uint32(wanted - expected)
	case wanted < expected:
		return pdu.ResidualBidiUnderflow, uint32(expected - wanted)
	}
	return 0, 0
}

// Moved counts bytes of a write that reached the medium, for the residual of a
// command that fails behind them.
func (t *Task) Moved(bytes int64) { t.moved += bytes }
