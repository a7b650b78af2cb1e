package session

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// PRI is looked at, and a status qualifier sent, at protocol level 2 only.
func TestProtocolLevel_PriorityAndQualifier(t *testing.T) {
	conform.Covers(t, "N-25", "N-26")
	for level, want := range map[uint32]struct {
		priority  sam.Priority
		qualifier sam.Qualifier
	}{0: {}, 1: {}, 2: {9, sam.RetrySoon}} {
		s := defaults()
		s.params.ProtocolLevel = level
		c := newPlay(s).c
		var h pdu.Header
		h.SetOpcode(pdu.OpSCSICommand)
		h.SetFlags(pdu.FlagFinal | byte(sam.Simple))
		h.SetITT(1)
		p := pdu.AsSCSICommand(&h)
		p.SetCmdSN(c.expected())
		p.SetPriority(9)
		c.Header(&h, nil)
		c.End(true)
		task := c.NextReady()
		if task.Priority != want.priority {
			t.Errorf("level %d: priority %d", level, task.Priority)
		}
		task.Defer()
		c.Begun(task)
		c.Responded(task)
		var r pdu.Header
		c.EmitResponse(task, &r, make([]byte, MaxInlineBytes))
		if a := pdu.AsSCSIResponse(&r); a.Status() != sam.Busy || a.StatusQualifier() != want.qualifier {
			t.Errorf("level %d: status %02x, qualifier %04x", level, a.Status(), a.StatusQualifier())
		}
	}
}
