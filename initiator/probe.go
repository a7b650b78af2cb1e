package initiator

import (
	"fmt"
	"time"

	"lunar/iscsi/pdu"
)

// silentTicks is for how many ticks a connection that owes an answer may be silent
// before it counts as lost; probePatience after how many a probe is sent anew.
const (
	silentTicks   = 20
	probePatience = 3
)

// watch is the goroutine that looks after what does not come.
func (s *Session) watch(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.dead:
			return
		case <-tick.C:
		}
		for _, l := range s.live() {
			s.mu.Lock()
			err := l.tick()
			s.mu.Unlock()
			if err != nil {
				l.fail(err)
			}
		}
		s.Flush()
	}
}

// tick asks again for what is missing, and probes with a NOP-Out whether something is:
// its answer shows StatSN, and whether commands arrived (RFC 3720 §6.1.4.2). An error is
// that of a connection that has failed. mu is held.
func (l *link) tick() error {
	if l.err != nil {
		return nil
	}
	if !l.expects() {
		l.silent, l.heard = 0, false
		return nil
	}
	if l.silent++; l.heard {
		l.silent, l.heard = 0, false
	}
	if l.silent > silentTicks {
		return fmt.Errorf("connection %d: %w", l.cid, ErrSilent)
	}
	if l.level > 0 {
		if err := l.askAgain(); err != nil {
			return err
		}
	}
	l.sendProbe()
	return nil
}

// expects says whether something is to come on the connection.
func (l *link) expects() bool {
	return l.busy > 0 || len(l.waiting) > 0 || l.s.first != nil || l.probe.answer != nil || l.asking()
}

// asking says whether a request other than a command waits for its answer. mu is held.
func (l *link) asking() bool {
	for i := range l.s.control {
		if k := &l.s.control[i]; k.link == l && k.answer != nil {
			return true
		}
	}
	return false
}

// askAgain repeats the SNACKs whose answers have not come. mu is held.
func (l *link) askAgain() error {
	if l.nextStatSN.Less(l.asked) && (len(l.waiting) == 0 || l.waiting[0].statSN() != l.nextStatSN) {
		to := l.asked
		if len(l.waiting) > 0 && l.waiting[0].statSN().Less(to) {
			to = l.waiting[0].statSN()
		}
		if l.asks++; l.asks > mostAsks {
			return fmt.Errorf("StatSN %v does not come, asked for %d times: %w", l.nextStatSN, mostAsks, ErrDataLost)
		}
		l.askStatus(l.nextStatSN, to)
	}
	for i := range l.s.tasks {
		t := &l.s.tasks[i]
		if t.req == nil || t.link != l || len(t.holes) == 0 || t.lost || len(t.req.In) == 0 {
			continue // §6.1.4.1 [R-6.1.4.1-20]: an R2T is not asked for on a timer
		}
		if t.asks++; t.asks > mostAsks {
			return fmt.Errorf("DataSN %v does not come, asked for %d times: %w", t.holes[0].from, mostAsks, ErrDataLost)
		}
		l.askData(t, t.holes[0])
	}
	return nil
}

// sendProbe sends a ping of the session's own, one at a time.
func (l *link) sendProbe() {
	k := &l.probe
	if k.answer != nil {
		if l.probed++; l.probed < probePatience {
			return
		}
		k.itt += generationStep
	}
	l.probed = 0
	l.probes++
	k.answer, k.cmdSN = probeAnswer, l.s.cmdSN
	h := l.blank()
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(k.itt)
	out := pdu.AsNOPOut(h)
	out.SetTTT(pdu.NoTag)
	out.SetCmdSN(l.s.cmdSN)
	l.put(h, nil, nil)
}

// probeAnswer stands for somebody who waits; nobody reads it.
var probeAnswer = make(chan reply)

// answersProbe takes the answer to a probe. A command that was sent on this connection
// before it and is not acknowledged was lost if it is the next that the target expects;
// those behind it may wait there for it. It is sent again, under its number (§6.2.1
// [R-6.2.1-1], [R-6.2.1-2]).
func (l *link) answersProbe(itt pdu.ITT) bool {
	k := &l.probe
	if itt&slotMask != k.itt&slotMask {
		return false
	}
	if itt != k.itt || k.answer == nil {
		return true // a late one
	}
	k.answer = nil
	k.itt += generationStep
	if l.level == 0 {
		return true
	}
	for i := range l.s.tasks {
		t := &l.s.tasks[i]
		if t.req != nil && t.link == l && t.cmdSN == l.s.exp && t.cmdSN.Less(k.cmdSN) {
			l.retry(t)
		}
	}
	l.askAnew()
	return true
}

// retry sends a command again on the connection that carried it.
func (l *link) retry(t *task) {
	if l.out.Left(t.lent) {
		l.resend(t)
	}
}

// askAnew sends requests again that are not commands and were sent before the probe that
// was answered now: they were lost, or are being served, and then the target says so
// (§10.17.1, reason 7), which is no harm. All answers before that of the probe have come.
// A function over many tasks is left to its caller: if the answer to the first is on its
// way, the second would end what was sent since.
func (l *link) askAnew() {
	for i := range l.s.control {
		k := &l.s.control[i]
		if k.link != l || k.answer == nil || k.mark >= l.probes || k.opcode == pdu.OpTaskResponse && k.spreads() {
			continue
		}
		k.mark = l.probes
		h := l.blank()
		*h = k.header
		l.put(h, nil, k.data)
		l.s.counters.Retried++
	}
}
