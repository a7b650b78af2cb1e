package initiator

import (
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
	// task is the command of a Data-In. Nobody but the drive ends it.
	task *task
	data []byte
	crc  uint32
	// ended collects requests that ended, reported without the lock.
	ended []*Request
}

// room is where the rest of a large data segment goes; nil when what comes next goes
// through consume.
func (s *Session) room() []byte {
	in := &s.in
	left := in.framer.DataLeft()
	if left < directBytes {
		return nil
	}
	return in.into[in.got : in.got+left]
}

// placed counts the first n bytes of room as received.
func (s *Session) placed(n int) {
	in := &s.in
	s.place(in.into[in.got : in.got+n])
	in.framer.Placed(n)
}

// early is a request that ended before all data it lent had left.
type early struct {
	req  *Request
	lent drive.Ticket
}

// reportEarly reports the requests whose buffers are in no send any more.
func (s *Session) reportEarly() {
	if len(s.early) == 0 {
		return
	}
	s.early = slices.DeleteFunc(s.early, func(e early) bool {
		left := s.out.Left(e.lent)
		if left {
			s.in.ended = append(s.in.ended, e.req)
		}
		return left
	})
	s.report()
}

// ended ends the tasks: the drive has stopped, and nobody uses their buffers.
func (s *Session) ended(err error) {
	s.fail(err)
	s.out.Abandon()
	s.reportEarly()
	s.endAll()
	close(s.dead)
}

// place counts bytes that already stand where they belong.
func (s *Session) place(p []byte) {
	s.in.got += len(p)
	if s.params.DataDigest {
		s.in.crc = crc32.Update(s.in.crc, castagnoli, p)
	}
}

// consume takes received bytes, in any division, through the session.
func (s *Session) consume(p []byte) error {
	in := &s.in
	for {
		ev, n := in.framer.Next(p)
		p = p[n:]
		var err error
		switch ev {
		case pdu.EventMore:
			return nil
		case pdu.EventHeader:
			err = s.header()
		case pdu.EventPiece:
			piece := in.framer.Piece()
			s.place(in.into[in.got : in.got+copy(in.into[in.got:], piece)])
		case pdu.EventEnd:
			if err = checkData(&in.framer, in.crc); err == nil {
				err = s.handle()
			}
		}
		if err != nil {
			return err
		}
	}
}

// header takes a complete header and finds the place of its data.
func (s *Session) header() error {
	in := &s.in
	if err := checkHeader(&in.framer); err != nil {
		return err
	}
	in.header = *in.framer.Header()
	in.got, in.crc = 0, 0
	n := in.header.DataBytes()
	// RFC 3720 §12.12: a sender keeps to what the receiver declared.
	if n > int(s.params.MaxRecvDataSegmentLength) {
		return broken("%v with %d bytes of data; we take %d", in.header.Opcode(), n, s.params.MaxRecvDataSegmentLength)
	}
	if in.header.AHSBytes() > 0 { // RFC 3720 §10.2 [R-10.2-2]
		return broken("%v with an additional header segment", in.header.Opcode())
	}
	if in.header.Opcode() == pdu.OpDataIn {
		if err := s.openDataIn(n); err != nil {
			return err
		}
	} else {
		if cap(in.data) < n {
			in.data = make([]byte, n)
		}
		in.into = in.data[:n]
	}
	if n > 0 {
		return nil
	}
	return s.handle()
}

// handle acts on a complete PDU, then reports the requests it ended.
func (s *Session) handle() error {
	s.mu.Lock()
	err := s.dispatch()
	s.mu.Unlock()
	s.report()
	return err
}

// report calls back for the requests that ended; they may submit others.
func (s *Session) report() {
	ended := s.in.ended
	for i, r := range ended {
		ended[i] = nil
		r.Done(r)
	}
	s.in.ended = ended[:0]
}

// end ends a task. Only the drive's goroutine does, so that nobody else can still be
// writing into a buffer whose request has been reported. A target may answer before
// it has all data, of a command that failed for one; such a request is reported when
// nothing reads from its buffer any more.
func (s *Session) end(t *task, err error) {
	t.req.Err = err
	lent := t.lent
	r := s.release(t)
	if s.out.Left(lent) {
		s.in.ended = append(s.in.ended, r)
	} else {
		s.early = append(s.early, early{r, lent})
	}
}

func (s *Session) dispatch() error {
	h := &s.in.header
	if h.Opcode() != pdu.OpDataIn {
		s.moveWindow(pdu.Response{Header: h})
	}
	switch h.Opcode() {
	case pdu.OpDataIn:
		return s.dataIn(pdu.AsDataIn(h))
	case pdu.OpSCSIResponse:
		return s.scsiResponse(pdu.AsSCSIResponse(h))
	case pdu.OpR2T:
		return s.readyToTransfer(pdu.AsR2T(h))
	case pdu.OpNOPIn:
		return s.nopIn(pdu.AsNOPIn(h))
	case pdu.OpTaskResponse:
		return s.taskResponse(pdu.AsTaskResponse(h))
	case pdu.OpTextResp, pdu.OpLogoutResp:
		return s.answered(pdu.Response{Header: h})
	case pdu.OpAsync:
		return s.async(pdu.AsAsync(h))
	case pdu.OpReject:
		return s.reject(pdu.AsReject(h))
	default:
		// RFC 3720 §10.2.1.2 [R-10.2.1.2-1]: nothing else comes from a target here.
		return broken("%v in the full feature phase", h.Opcode())
	}
}

// endAll ends every task with the session's error.
func (s *Session) endAll() {
	s.mu.Lock()
	s.first, s.last = nil, nil
	for i := range s.tasks {
		if t := &s.tasks[i]; t.req != nil {
			s.end(t, s.err)
		}
	}
	s.mu.Unlock()
	s.report()
}
