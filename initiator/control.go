package initiator

import (
	"context"
	"fmt"
	"time"

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
	// answer is where the answer goes, nil when none is awaited; opcode is its
	// opcode.
	answer chan reply
	opcode pdu.Opcode
	// Of a task management function: what it ends when it is complete. cmdSN is the
	// next command's when it was sent; later ones are not affected.
	function sam.Function
	lun      sam.LUN
	ref      pdu.ITT
	cmdSN    serial.CmdSN
}

type reply struct {
	pdu PDU
	err error
}

// exchange sends one request and waits for its answer. The ITT, CmdSN and I bit of
// h are written here.
func (s *Session) exchange(ctx context.Context, h *pdu.Header, data []byte, c control) (PDU, error) {
	k, err := s.hold(ctx)
	if err != nil {
		return PDU{}, err
	}
	defer s.drop(k)
	return s.ask(ctx, k, h, data, c)
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
func (s *Session) ask(ctx context.Context, k *control, h *pdu.Header, data []byte, c control) (PDU, error) {
	answer, err := s.sendControl(k, h, data, c)
	if err != nil {
		return PDU{}, err
	}
	s.Flush()
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
			h.Opcode(), s.cfg.Target, s.params.Portal, context.Cause(ctx))
	}
}

func (s *Session) sendControl(k *control, h *pdu.Header, data []byte, c control) (chan reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	c.itt, c.held, c.answer, c.cmdSN = k.itt, true, make(chan reply, 1), s.cmdSN
	*k = c
	h.SetImmediate()
	h.SetITT(k.itt)
	pdu.Request{Header: h}.SetCmdSN(s.cmdSN)
	s.put(h, nil, data)
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
func (s *Session) answered(p pdu.Response) error {
	if err := s.takeStatSN(p); err != nil {
		return err
	}
	k := s.findControl(p.ITT())
	if k == nil {
		return broken("%v for ITT 0x%08x, which no request has", p.Opcode(), uint32(p.ITT()))
	}
	if k.itt != p.ITT() || k.answer == nil {
		return nil
	}
	if k.opcode != p.Opcode() {
		return broken("%v in answer to a request for %v", p.Opcode(), k.opcode)
	}
	data := append([]byte(nil), s.in.into[:s.in.got]...)
	k.answer <- reply{pdu: PDU{Header: *p.Header, Data: data}}
	k.answer = nil
	return nil
}

func (s *Session) rejectControl(e *RejectError) bool {
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
	if limit := int(s.params.MaxSendDataSegmentLength); len(data) > limit {
		return nil, fmt.Errorf("initiator: ping of %d bytes; the target takes %d", len(data), limit)
	}
	p, err := s.exchange(ctx, &h, data, control{opcode: pdu.OpNOPIn})
	return p.Data, err
}

// nopIn answers a target's ping (RFC 3720 §10.18.2 [R-10.18.2-20]) or takes the
// answer to ours.
func (s *Session) nopIn(p pdu.NOPIn) error {
	if p.ITT() != pdu.NoTag {
		return s.answered(p.Response)
	}
	// §10.19.2: StatSN is the next one and is not consumed.
	if err := s.checkStatSN(p.Response); err != nil {
		return err
	}
	if p.TTT() == pdu.NoTag {
		return nil // it only moves the window
	}
	h := s.blank()
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	h.SetLUN(p.LUN())
	h.SetITT(pdu.NoTag)
	out := pdu.AsNOPOut(h)
	out.SetTTT(p.TTT())
	out.SetCmdSN(s.cmdSN)
	s.put(h, nil, nil)
	return nil
}

// Logout closes the session in good order and then the connection (RFC 3720
// §10.14). Commands in progress end with ErrClosed.
func (s *Session) Logout(ctx context.Context) error {
	var h pdu.Header
	h.SetOpcode(pdu.OpLogoutReq)
	pdu.AsLogoutRequest(&h).SetReason(pdu.CloseSession)
	p, err := s.exchange(ctx, &h, nil, control{opcode: pdu.OpLogoutResp})
	_ = s.Close()
	if err != nil {
		return err
	}
	if r := pdu.AsLogoutResponse(&p.Header).Result(); r != pdu.LogoutDone {
		return fmt.Errorf("initiator: log out of %s at %s: response %d", s.cfg.Target, s.params.Portal, r)
	}
	return nil
}

// leave logs out because the target asked for it.
func (s *Session) leave(why *AsyncError) {
	wait := time.Duration(max(why.Parameter3, 1)) * time.Second
	ctx, cancel := context.WithTimeoutCause(context.Background(), wait, why)
	defer cancel()
	if err := s.Logout(ctx); err != nil && s.cfg.Event != nil {
		s.cfg.Event(err)
	}
}
