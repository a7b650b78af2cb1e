package initiator

import (
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// TaskReporting is how a target reports the end of tasks (RFC 7143 §13.23). Each value
// includes what those before it promise.
type TaskReporting uint8

// Values of TaskReporting.
const (
	// RFC3720 is the default, and not offered.
	RFC3720 TaskReporting = iota
	// ResponseFence has the target keep responses of several connections in order where
	// SCSI needs it (§4.2.2.3).
	ResponseFence
	// FastAbort spares functions over many tasks the wait for data of those (§4.2.3.4).
	FastAbort
)

// reportings are the values, each with what is offered to get it: RFC3720 and
// ResponseFence always are (§13.23).
var reportings = [...]struct{ name, offer string }{
	RFC3720:       {"RFC3720", "RFC3720"},
	ResponseFence: {"ResponseFence", "ResponseFence,RFC3720"},
	FastAbort:     {"FastAbort", "FastAbort,ResponseFence,RFC3720"},
}

// String is the value as it is negotiated.
func (r TaskReporting) String() string { return reportings[r].name }

// reportingOf is the value of a name that the key's rule allowed.
func reportingOf(name string) TaskReporting {
	for r := range reportings {
		if reportings[r].name == name {
			return TaskReporting(r)
		}
	}
	return RFC3720
}

// owed is an R2T that is not served while a function over its task is under way.
type owed struct {
	tag      pdu.TTT
	from, to int
}

// mute has no more data sent for the tasks of this connection that a function is to end,
// from the moment it is sent (RFC 7143 §4.2.3.4, initiator a). mu is held.
func (l *link) mute(k *control) {
	if l.params.TaskReporting != FastAbort || !k.spreads() {
		return
	}
	for i := range l.s.tasks {
		if t := &l.s.tasks[i]; t.req != nil && t.link == l && t.muted == 0 && k.covers(t) {
			t.muted = k.itt
		}
	}
}

// unmute goes on with the tasks of a function that was not carried out. mu is held.
func (l *link) unmute(function pdu.ITT) {
	for i := range l.s.tasks {
		t := &l.s.tasks[i]
		if t.req == nil || t.link != l || t.muted != function {
			continue
		}
		t.muted = 0
		unserved := t.unserved
		t.unserved = nil
		for _, o := range unserved {
			l.sendData(t, o.tag, o.from, o.to)
		}
	}
}

// serve sends the data that an R2T asks for.
func (l *link) serve(t *task, tag pdu.TTT, from, to int) {
	if t.muted != 0 {
		t.unserved = append(t.unserved, owed{tag, from, to})
		return
	}
	l.sendData(t, tag, from, to)
}

// terminated answers the announcement that the tasks of a unit are ended (RFC 7143
// §11.9.1): by a NOP-Out that names the unit and acknowledges the message. Data that was
// asked for before it has been queued as a whole, so it stands in front of the answer,
// and behind it comes nothing of what was ended. mu is held.
func (l *link) terminated(lun sam.LUN) error {
	if l.params.TaskReporting != FastAbort {
		return broken("Async Message event 5 without FastAbort")
	}
	h := l.blank()
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	h.SetLUN(lun)
	h.SetITT(pdu.NoTag)
	out := pdu.AsNOPOut(h)
	out.SetTTT(pdu.NoTag)
	out.SetCmdSN(l.s.cmdSN)
	l.put(h, nil, nil)
	return nil
}
