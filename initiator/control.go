package initiator

import (
	"context"
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// controlSlots is how many pings, task management functions and text exchanges may
// be in progress; further ones wait.
const controlSlots = 16

// control is a request other than a SCSI command. All are sent as immediate (RFC
// 3720 §3.2.2.1), so none waits for the command window or takes a CmdSN.
type control struct {
	itt  pdu.ITT
	held bool
	// link is the connection that it was sent on. answer is where the answer goes, nil
	// when none is awaited; opcode is its opcode.
	link   *link
	answer chan reply
	opcode pdu.Opcode
	// Of a task management function: what it ends when it is complete. cmdSN is the
	// next command's when it was sent; later ones are not affected.
	function sam.Function
	lun      sam.LUN
	ref      pdu.ITT
	cmdSN    serial.CmdSN
	// from is, of a reassignment, the connection that was lost.
	from *link
	// header and data are what was sent, to be sent again where that may be needed; mark is
	// how many probes the connection had sent before.
	header pdu.Header
	data   []byte
	mark   int
}

type reply struct {
	pdu PDU
	err error
}

// exchange sends one request on any connection and waits for its answer. The ITT,
// CmdSN and I bit of h are written here.
func (s *Session) exchange(ctx context.Context, h *pdu.Header, data []byte, c control) (PDU, error) {
	l, err := s.route(ctx, pdu.NoTag)
	if err != nil {
		return PDU{}, err
	}
	return s.exchangeOn(ctx, l, h, data, c)
}

// exchangeOn is exchange on one connection.
func (s *Session) exchangeOn(ctx context.Context, l *link, h *pdu.Header, data []byte, c control) (PDU, error) {
	k, err := s.hold(ctx)
	if err != nil {
		return PDU{}, err
	}
	defer s.drop(k)
	return s.ask(ctx, l, k, h, data, c)
}

// route finds the connection for a request: that of the task it names (RFC 3720
// §3.2.4.1 [R-3.2.4.1-1]), else the least busy. It waits while there is none.
func (s *Session) route(ctx context.Context, ref pdu.ITT) (*link, error) {
	for {
		s.mu.Lock()
		l, err, changed := s.choose(), s.err, s.changed
		if t := s.find(ref); t != nil && t.link != nil {
			l = t.link
			if l.err != nil {
				l = nil
			}
		}
		for _, o := range s.live() { // better one that takes no commands than none
			if l == nil && o.err == nil && !o.parting && s.find(ref) == nil {
				l = o
			}
		}
		s.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case l != nil:
			return l, nil
		}
		select {
		case <-changed:
		case <-s.dead:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// hold takes a control slot, and with it an ITT.
func (s *Session) hold(ctx context.Context) (*control, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.control[:]
	for slot[0].held { // the token says that one is free
		slot = slot[1:]
	}
	slot[0].held = true
	return &slot[0], nil
}

// drop gives a slot back; an answer that is still to come will not match.
func (s *Session) drop(k *control) {
	s.mu.Lock()
	*k = control{itt: k.itt + generationStep}
	s.mu.Unlock()
	<-s.slots
}

// ask sends one request of a held slot and waits for its answer.
func (s *Session) ask(ctx context.Context, l *link, k *control, h *pdu.Header, data []byte, c control) (PDU, error) {
	answer, err := l.sendControl(k, h, data, c)
	if err != nil {
		return PDU{}, err
	}
	l.drive.Flush()
	select {
	case r := <-answer:
		return r.pdu, r.err
	case <-s.dead:
		// A target closes right behind its Logout Response: an answer that came
		// first is the outcome, whichever is noticed first.
		select {
		case r := <-answer:
			return r.pdu, r.err
		default:
			return PDU{}, s.Err()
		}
	case <-ctx.Done():
		return PDU{}, fmt.Errorf("initiator: %v to %s at %s: no answer: %w",
			h.Opcode(), s.cfg.Target, s.cfg.Portal, context.Cause(ctx))
	}
}

func (l *link) sendControl(k *control, h *pdu.Header, data []byte, c control) (chan reply, error) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if l.err != nil || l.parting && c.opcode != pdu.OpLogoutResp {
		return nil, l.lost()
	}
	c.itt, c.held, c.answer, c.cmdSN, c.link = k.itt, true, make(chan reply, 1), s.cmdSN, l
	*k = c
	h.SetImmediate()
	h.SetITT(k.itt)
	pdu.Request{Header: h}.SetCmdSN(s.cmdSN)
	if l.level > 0 {
		k.header, k.data, k.mark = *h, append([]byte(nil), data...), l.probes
	}
	l.put(h, nil, data)
	l.mute(k)
	return c.answer, nil
}

func (s *Session) findControl(itt pdu.ITT) *control {
	i := int(itt&slotMask) - len(s.tasks)
	if i < 0 || i >= len(s.control) {
		return nil
	}
	return &s.control[i]
}

// answered hands an answer to whoever waits. One that came too late, to a slot that
// was given up, is dropped.
func (l *link) answered(p pdu.Response) error {
	if err := l.takeStatSN(p); err != nil {
		return err
	}
	if l.answersProbe(p.ITT()) {
		return nil
	}
	k := l.s.findControl(p.ITT())
	if k == nil {
		return broken("%v for ITT 0x%08x, which no request has", p.Opcode(), uint32(p.ITT()))
	}
	if k.itt != p.ITT() || k.answer == nil {
		return nil
	}
	if k.opcode != p.Opcode() {
		return broken("%v in answer to a request for %v", p.Opcode(), k.opcode)
	}
	data := append([]byte(nil), l.in.into[:l.in.got]...)
	k.answer <- reply{pdu: PDU{Header: *p.Header, Data: data}}
	k.answer = nil
	return nil
}

func (s *Session) rejectControl(e *RejectError) bool {
	for _, l := range s.live() {
		l.unmute(e.Header.ITT())
	}
	k := s.findControl(e.Header.ITT())
	if k == nil || k.itt != e.Header.ITT() || k.answer == nil {
		return false
	}
	k.answer <- reply{err: e}
	k.answer = nil
	return true
}

// Ping sends a NOP-Out and returns the data of its answer, which is what was sent
// as far as the target's limit allows (RFC 3720 §10.18, §10.19).
func (s *Session) Ping(ctx context.Context, data []byte) ([]byte, error) {
	var h pdu.Header
	h.SetOpcode(pdu.OpNOPOut)
	h.SetFlags(pdu.FlagFinal)
	pdu.AsNOPOut(&h).SetTTT(pdu.NoTag)
	l, err := s.route(ctx, pdu.NoTag)
	if err != nil {
		return nil, err
	}
	if limit := int(l.params.MaxSendDataSegmentLength); len(data) > limit {
		return nil, fmt.Errorf("initiator: ping of %d bytes; the target takes %d", len(data), limit)
	}
	p, err := s.exchangeOn(ctx, l, &h, data, control{opcode: pdu.OpNOPIn})
	return p.Data, err
}

// nopIn answers a target's ping (RFC 3720 §10.18.2 [R-10.18.2-20]) or takes the
// answer to ours.
func (l *link) nopIn(p pdu.NOPIn) error {
	if p.ITT() != pdu.NoTag {
		return l.answered(p.Response)
	}
	// §10.19.2: StatSN is the next one and is not consumed.
	if err := l.checkStatSN(p.Response); err != nil {
		return err
	}
	return l.pinged(p)
}

// pinged answers a ping of the target.
func (l *link) pinged(p pdu.NOPIn) error {
	if p.TTT() == pdu.NoTag {
		return nil // it only moves the window
	}
	h := l.blank()
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	h.SetLUN(p.LUN())
	h.SetITT(pdu.NoTag)
	out := pdu.AsNOPOut(h)
	out.SetTTT(p.TTT())
	out.SetCmdSN(l.s.cmdSN)
	l.put(h, nil, nil)
	return nil
}

// Logout closes the session in good order and then its connections (RFC 3720
// §10.14). Commands in progress end with ErrClosed.
func (s *Session) Logout(ctx context.Context) error {
	var h pdu.Header
	h.SetOpcode(pdu.OpLogoutReq)
	pdu.AsLogoutRequest(&h).SetReason(pdu.CloseSession)
	s.mu.Lock()
	s.farewell = true
	s.mu.Unlock()
	p, err := s.exchange(ctx, &h, nil, control{opcode: pdu.OpLogoutResp})
	_ = s.Close()
	if err != nil {
		return err
	}
	if r := pdu.AsLogoutResponse(&p.Header).Result(); r != pdu.LogoutDone {
		return fmt.Errorf("initiator: log out of %s at %s: response %d", s.cfg.Target, s.cfg.Portal, r)
	}
	return nil
}
