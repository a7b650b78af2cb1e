package initiator

import (
	"fmt"
	"hash/crc32"
	"slices"

	"lunar/initiator/drive"
	"lunar/iscsi/pdu"
)

// directBytes is the least rest of a data segment that is read straight into the
// command's buffer instead of through the receive buffer.
const directBytes = 16 << 10

// inbox is the PDU being received; the drive's goroutine owns it.
type inbox struct {
	framer pdu.Framer
	header pdu.Header
	// into is where the data segment goes: a command's buffer for Data-In, data
	// for everything else. got bytes of it have arrived.
	into []byte
	got  int
	// task is the command of a Data-In that is being received, guarded by the session's
	// mu. Nobody but the drive ends it.
	task *task
	data []byte
	crc  uint32
	// damaged says that the data digest of the PDU is wrong, skip that MangleIn lost it.
	damaged error
	skip    bool
	// spoil says that MangleIn damages it.
	spoil bool
	// ended collects requests that ended, reported without the lock.
	ended []*Request
}

// room is where the rest of a large data segment goes; nil when what comes next goes
// through consume.
func (l *link) room() []byte {
	in := &l.in
	left := in.framer.DataLeft()
	if left < directBytes {
		return nil
	}
	return in.into[in.got : in.got+left]
}

// placed counts the first n bytes of room as received.
func (l *link) placed(n int) {
	in := &l.in
	l.place(in.into[in.got : in.got+n])
	in.framer.Placed(n)
}

// early is a request that ended before all data it lent had left.
type early struct {
	req  *Request
	lent drive.Ticket
}

// reportEarly reports the requests whose buffers are in no send any more.
func (l *link) reportEarly() {
	if len(l.early) == 0 {
		return
	}
	l.early = slices.DeleteFunc(l.early, func(e early) bool {
		left := l.out.Left(e.lent)
		if left {
			l.in.ended = append(l.in.ended, e.req)
		}
		return left
	})
	l.report()
}

// place counts bytes that already stand where they belong.
func (l *link) place(p []byte) {
	l.in.got += len(p)
	if l.params.DataDigest {
		l.in.crc = crc32.Update(l.in.crc, castagnoli, p)
	}
}

// consume takes received bytes, in any division, through the connection.
func (l *link) consume(p []byte) error {
	in := &l.in
	for {
		ev, n := in.framer.Next(p)
		p = p[n:]
		var err error
		switch ev {
		case pdu.EventMore:
			l.s.flushOthers(l)
			return nil
		case pdu.EventHeader:
			err = l.header()
		case pdu.EventPiece:
			piece := in.framer.Piece()
			l.place(in.into[in.got : in.got+copy(in.into[in.got:], piece)])
		case pdu.EventEnd:
			if in.damaged = l.checkData(); in.damaged == nil || l.level > 0 {
				err = l.handle()
			} else {
				err = in.damaged
			}
		}
		if err != nil {
			return err
		}
	}
}

// checkData compares the data digest of the PDU that is complete.
func (l *link) checkData() error {
	if l.in.spoil {
		return fmt.Errorf("data %w", ErrDigest)
	}
	return checkData(&l.in.framer, l.in.crc)
}

// header takes a complete header and finds the place of its data.
func (l *link) header() error {
	in := &l.in
	if err := checkHeader(&in.framer); err != nil {
		return err
	}
	in.header = *in.framer.Header()
	in.got, in.crc, in.damaged, in.skip, in.spoil = 0, 0, nil, false, false
	n := in.header.DataBytes()
	// RFC 3720 §12.12: a sender keeps to what the receiver declared.
	if n > int(l.params.MaxRecvDataSegmentLength) {
		return broken("%v with %d bytes of data; we take %d", in.header.Opcode(), n, l.params.MaxRecvDataSegmentLength)
	}
	if in.header.AHSBytes() > 0 { // RFC 3720 §10.2 [R-10.2-2]
		return broken("%v with an additional header segment", in.header.Opcode())
	}
	if in.skip = l.mangledIn(); in.header.Opcode() == pdu.OpDataIn && !in.skip {
		if err := l.openDataIn(n); err != nil {
			return err
		}
	} else {
		l.scratchpad(n)
	}
	if n > 0 {
		return nil
	}
	return l.handle()
}

// scratchpad takes data that has no place in a command.
func (l *link) scratchpad(n int) {
	in := &l.in
	if cap(in.data) < n {
		in.data = make([]byte, n)
	}
	in.into = in.data[:n]
}

// handle acts on a complete PDU, then reports the requests it ended.
func (l *link) handle() error {
	l.s.mu.Lock()
	l.heard = true
	err := l.dispatch()
	l.settle()
	l.s.mu.Unlock()
	l.report()
	return err
}

// report calls back for the requests that ended; they may submit others.
func (l *link) report() {
	ended := l.in.ended
	for i, r := range ended {
		ended[i] = nil
		r.Done(r)
	}
	l.in.ended = ended[:0]
}

// moveWindow takes the window of a response.
func (l *link) moveWindow(h *pdu.Header) {
	r := pdu.Response{Header: h}
	l.s.moveWindow(r.ExpCmdSN(), r.MaxCmdSN())
}

// settle ends the reception of a PDU: a task that was doomed meanwhile ends. mu is
// held.
func (l *link) settle() {
	if t := l.in.task; t != nil {
		l.in.task = nil
		if t.req != nil && t.doomed != nil {
			l.end(t, t.doomed)
		}
	}
}

// endFrom ends a task of any connection, on the goroutine of l's drive; later, if
// something is being received into its buffer. mu is held.
func (l *link) endFrom(t *task, err error) {
	if t.link != l && t.link.in.task == t {
		t.doomed = err
		return
	}
	l.end(t, err)
}

// end ends a task. Only a drive's goroutine does, so that nobody else can still be
// writing into a buffer whose request has been reported. A target may answer before
// it has all data, of a command that failed for one; such a request is reported when
// nothing reads from its buffer any more.
func (l *link) end(t *task, err error) {
	t.req.Err = err
	lent, of := t.lent, t.link
	r := l.s.release(t)
	if of == nil || of.out.Left(lent) {
		l.in.ended = append(l.in.ended, r)
	} else {
		of.early = append(of.early, early{r, lent})
	}
}

// dispatch acts on a PDU that has come, in order or not. mu is held.
func (l *link) dispatch() error {
	h := &l.in.header
	switch {
	case l.in.skip:
		return nil
	case l.in.damaged != nil:
		return l.damaged()
	case h.Opcode() != pdu.OpDataIn:
		l.moveWindow(h)
	}
	if l.level > 0 {
		return l.ordered()
	}
	return l.act()
}

// act acts on a PDU that is due.
func (l *link) act() error {
	h := &l.in.header
	switch h.Opcode() {
	case pdu.OpDataIn:
		return l.dataIn(pdu.AsDataIn(h))
	case pdu.OpSCSIResponse:
		return l.scsiResponse(pdu.AsSCSIResponse(h))
	case pdu.OpR2T:
		return l.readyToTransfer(pdu.AsR2T(h))
	case pdu.OpNOPIn:
		return l.nopIn(pdu.AsNOPIn(h))
	case pdu.OpTaskResponse:
		return l.taskResponse(pdu.AsTaskResponse(h))
	case pdu.OpTextResp, pdu.OpLogoutResp:
		return l.answered(pdu.Response{Header: h})
	case pdu.OpAsync:
		return l.async(pdu.AsAsync(h))
	case pdu.OpReject:
		return l.reject(pdu.AsReject(h))
	default:
		// RFC 3720 §10.2.1.2 [R-10.2.1.2-1]: nothing else comes from a target here.
		return broken("%v in the full feature phase", h.Opcode())
	}
}
