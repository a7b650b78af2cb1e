package initiator

import "lunar/iscsi/pdu"

// mostRefused is how often a target may refuse to send the same data again before that
// counts as lost: it may only have had no room for the question.
const mostRefused = 3

// reject takes a Reject (RFC 3720 §10.17). One of a command ends that, one of another
// request answers it, and some are no more than news.
func (l *link) reject(p pdu.Reject) error {
	if err := l.takeStatSN(p.Response); err != nil {
		return err
	}
	l.s.counters.Rejects++
	e := &RejectError{Reason: p.Reason()}
	copy(e.Header[:], l.in.into[:l.in.got])
	if l.in.got < pdu.HeaderBytes {
		e.Header.SetITT(pdu.NoTag)
	}
	if l.level > 0 && l.excused(e) {
		return nil
	}
	if t := l.s.find(e.Header.ITT()); t != nil && t.link == l {
		l.plugGap(t)
		l.end(t, e)
		return nil
	}
	if l.s.rejectControl(e) {
		return nil
	}
	if l.s.cfg.Event != nil {
		l.s.mu.Unlock()
		l.s.cfg.Event(e)
		l.s.mu.Lock()
	}
	return nil
}

// excused says whether a Reject ends nothing, by its reason (§10.17.1): what was damaged
// on the way is asked for by the target or sent again, and what came too late is over.
func (l *link) excused(e *RejectError) bool {
	h := &e.Header
	if h.Opcode() == pdu.OpSNACK {
		l.refused(e)
		return true
	}
	switch e.Reason {
	case pdu.RejectDataDigest:
		if t := l.s.find(h.ITT()); t != nil && t.link == l && h.Opcode() == pdu.OpSCSICommand {
			l.retry(t)
		}
		return h.Opcode() == pdu.OpDataOut || h.Opcode() == pdu.OpSCSICommand
	case pdu.RejectTaskInProgress:
		return true
	case pdu.RejectInvalidField, pdu.RejectProtocolError:
		return h.Opcode() == pdu.OpDataOut // for an R2T that is over
	case pdu.RejectSNACK, pdu.RejectNotSupported, pdu.RejectImmediate, pdu.RejectInvalidDataACK, pdu.RejectLongOperation,
		pdu.RejectWaitingForLogout:
	}
	return false
}

// refused takes the Reject of a SNACK. Data that will not come is given up when the
// status has come (§6.7 [R-6.7-21]); what else is missing is asked for again at the
// next tick, for a while.
func (l *link) refused(e *RejectError) {
	p := pdu.AsSNACK(&e.Header)
	t := l.s.find(p.ITT())
	if p.Type() != pdu.SNACKData || t == nil || t.link != l {
		return
	}
	if len(t.req.In) == 0 {
		t.holes = nil // R2Ts that are over, or come anew
		return
	}
	if t.refused++; e.Reason != pdu.RejectSNACK || t.refused >= mostRefused {
		t.lost = true
	}
}

// plugGap fills the gap that a rejected command leaves among the numbers, as the target
// never received it (§6.3 [R-6.3-3], [R-6.3-4]), with a ping under its number.
func (l *link) plugGap(t *task) {
	if t.cmdSN.Less(l.s.exp) {
		return
	}
	k := &l.probe
	k.itt += generationStep
	k.answer, k.cmdSN, l.probed = probeAnswer, l.s.cmdSN, 0
	h := l.blank()
	h.SetOpcode(pdu.OpNOPOut)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(k.itt)
	out := pdu.AsNOPOut(h)
	out.SetTTT(pdu.NoTag)
	out.SetCmdSN(t.cmdSN)
	l.put(h, nil, nil)
}
