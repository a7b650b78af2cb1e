package initiator

import (
	"encoding/binary"
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// openDataIn checks where a Data-In's n bytes belong before they are placed (RFC
// 3720 §10.7). DataPDUInOrder and DataSequenceInOrder are Yes, so the data comes in
// order (§12.18, §12.19).
func (l *link) openDataIn(n int) error {
	d := pdu.AsDataIn(&l.in.header)
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.level > 0 {
		return l.openEarly(d, n)
	}
	t := l.s.find(d.ITT())
	if t == nil || t.link != l {
		return broken("Data-In for ITT 0x%08x, which no command has", uint32(d.ITT()))
	}
	in := t.req.In
	if d.DataSN() != t.dataSN { // §3.2.2.3 [R-3.2.2.3-1]
		return broken("Data-In with DataSN %v instead of %v", d.DataSN(), t.dataSN)
	}
	if n > 0 && int64(d.BufferOffset()) != int64(t.read) {
		return broken("Data-In at offset %d instead of %d", d.BufferOffset(), t.read)
	}
	if n > len(in)-t.read {
		return broken("Data-In for %d..%d of a command that reads %d bytes", t.read, t.read+n, len(in))
	}
	t.burst += n
	// §12.13: a sequence carries at most MaxBurstLength.
	if t.burst > int(l.params.MaxBurst) && !l.s.cfg.Lenient {
		return broken("Data-In sequence of %d bytes exceeds MaxBurstLength %d", t.burst, l.params.MaxBurst)
	}
	l.in.task, l.in.into = t, in[t.read:t.read+n]
	return nil
}

// openEarly is openDataIn where data may be missing or come twice.
func (l *link) openEarly(d pdu.DataIn, n int) error {
	t, err := l.accepts(d, n)
	if err != nil {
		return err
	}
	if t == nil || n == 0 {
		l.scratchpad(n)
	} else {
		off := int(d.BufferOffset())
		l.in.into = t.req.In[off : off+n]
	}
	l.in.task = t
	return nil
}

// dataIn takes a complete Data-In; with S it ends the command.
func (l *link) dataIn(d pdu.DataIn) error {
	if l.level > 0 {
		return l.dataStatus(d)
	}
	l.moveWindow(d.Header)
	t := l.in.task
	t.read += d.DataBytes()
	t.dataSN = t.dataSN.Next()
	if d.Final() {
		t.burst = 0
	}
	if d.Flags()&pdu.DataStatus == 0 {
		return nil
	}
	// RFC 3720 §10.7.3: status comes with the last PDU only.
	if !d.Final() {
		return broken("Data-In with status but without F")
	}
	if err := l.takeStatSN(d.Response); err != nil {
		return err
	}
	return l.finish(t, d.Status(), d.Flags(), d.Residual())
}

// dataStatus takes the status that came with data, which was counted before.
func (l *link) dataStatus(d pdu.DataIn) error {
	if err := l.takeStatSN(d.Response); err != nil {
		return err
	}
	t := l.s.find(d.ITT())
	if t == nil || t.link != l {
		return nil
	}
	return l.finish(t, d.Status(), d.Flags(), d.Residual())
}

// scsiResponse ends a command (RFC 3720 §10.4).
func (l *link) scsiResponse(p pdu.SCSIResponse) error {
	t := l.s.find(p.ITT())
	if (t == nil || t.link != l) && l.level > 0 {
		return l.takeStatSN(p.Response) // of a command that has ended
	}
	if t == nil || t.link != l {
		return broken("SCSI Response for ITT 0x%08x, which no command has", uint32(p.ITT()))
	}
	if err := l.takeStatSN(p.Response); err != nil {
		return err
	}
	// §10.4.3 [R-10.4.3-1]: any other response is a failure to deliver.
	if p.ServiceResponse() != pdu.CompletedAtTarget {
		l.end(t, fmt.Errorf("target could not deliver the command, response 0x%02x", byte(p.ServiceResponse())))
		return nil
	}
	// §10.4.8: ExpDataSN counts the Data-In PDUs that were sent.
	r := t.req
	reads := len(r.In) > 0 && len(r.Out) == 0
	if reads && l.level == 0 && p.ExpDataSN() != t.dataSN && !l.s.cfg.Lenient {
		return broken("SCSI Response with ExpDataSN %v after %v Data-In", p.ExpDataSN(), t.dataSN)
	}
	if data := l.in.into[:l.in.got]; len(data) >= 2 {
		n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
		r.Result.Sense = append([]byte(nil), data[2:2+n]...)
	}
	return l.finish(t, p.Status(), p.Flags(), p.Residual())
}

// finish checks the counts of a command and ends it.
func (l *link) finish(t *task, st sam.Status, flags byte, residual uint32) error {
	r := t.req
	l.s.repairs = 0
	if t.lost {
		return l.unread(t)
	}
	r.Result.Status, r.Result.Read = st, t.read
	r.Result.Overflow = flags&pdu.ResidualOverflow != 0
	r.Result.Underflow = flags&pdu.ResidualUnderflow != 0
	// RFC 3720 §10.4.1 [R-10.4.1-1].
	if r.Result.Overflow && r.Result.Underflow {
		return broken("both overflow and underflow in one status")
	}
	if r.Result.Overflow || r.Result.Underflow {
		r.Result.Residual = residual
	}
	if st == sam.Good {
		if err := l.checkCounts(t); err != nil {
			return err
		}
	}
	if st == sam.CheckCondition && l.absorbs(t) {
		return nil
	}
	l.end(t, nil)
	return nil
}

// unread ends a command whose data will not come (RFC 3720 §6.7 [R-6.7-21]). Reads that
// may be repeated are, from the start.
func (l *link) unread(t *task) error {
	p := l.s.cfg.Reconnect
	if p != nil && p.Reissue(&t.req.Command) && t.attempts < mostAttempts && l.out.Left(t.lent) {
		t.attempts++
		l.s.requeue(t)
		l.s.sendWaiting()
		return nil
	}
	l.end(t, ErrDataLost)
	return nil
}

// checkCounts holds a GOOD command to what it moved: everything that was expected,
// less the underflow (RFC 3720 §10.4.1). It finds the loss of a last Data-In, which
// no number shows.
func (l *link) checkCounts(t *task) error {
	r := t.req
	bidi := len(r.In) > 0 && len(r.Out) > 0
	missing := 0
	if r.Result.Underflow {
		missing = int(r.Result.Residual)
	}
	switch {
	case bidi:
	case len(r.In) > 0 && t.read+missing != len(r.In):
		return broken("GOOD after %d of %d bytes, residual %d", t.read, len(r.In), missing)
	case len(r.Out) > 0 && t.wrote+missing < len(r.Out):
		return broken("GOOD after taking %d of %d bytes, residual %d", t.wrote, len(r.Out), missing)
	}
	return nil
}

// readyToTransfer serves an R2T whole, in the order received (RFC 3720 §10.8,
// §3.2.4.2 [R-3.2.4.2-20]).
func (l *link) readyToTransfer(p pdu.R2T) error {
	t := l.s.find(p.ITT())
	if t == nil || t.link != l {
		return broken("R2T for ITT 0x%08x, which no command has", uint32(p.ITT()))
	}
	from, n := int64(p.BufferOffset()), int64(p.DesiredBytes())
	switch {
	case p.TTT() == pdu.NoTag: // §10.8.5 [R-10.8.5-1]
		return broken("R2T with the reserved Target Transfer Tag")
	case p.R2TSN() != t.dataSN:
		return broken("R2T with R2TSN %v instead of %v", p.R2TSN(), t.dataSN)
	case n == 0 || n > int64(l.params.MaxBurst): // §10.8.4
		return broken("R2T for %d bytes; MaxBurstLength is %d", n, l.params.MaxBurst)
	case from != int64(t.wrote): // §12.18: sequences in order
		return broken("R2T for offset %d instead of %d", from, t.wrote)
	case from+n > int64(len(t.req.Out)):
		return broken("R2T for %d..%d of a command that writes %d bytes", from, from+n, len(t.req.Out))
	}
	t.dataSN = t.dataSN.Next()
	t.wrote = int(from + n)
	l.serve(t, p.TTT(), int(from), int(from+n))
	return nil
}

// async surfaces an Async Message (RFC 3720 §10.9).
func (l *link) async(p pdu.Async) error {
	if err := l.takeStatSN(p.Response); err != nil {
		return err
	}
	e := &AsyncError{Event: p.Event(), Vendor: p.VendorCode(), LUN: p.LUN()}
	e.Parameter1, e.Parameter2, e.Parameter3 = p.Parameters()
	e.Data = append([]byte(nil), l.in.into[:l.in.got]...)
	if l.s.cfg.Event != nil {
		l.s.mu.Unlock()
		l.s.cfg.Event(e)
		l.s.mu.Lock()
	}
	return l.heed(e)
}

// heed does what an Async Message demands.
func (l *link) heed(e *AsyncError) error {
	switch e.Event {
	case pdu.EventDropping, pdu.EventDroppingAll:
		return l.dropping(e)
	case pdu.EventLogoutRequest, pdu.EventRenegotiate:
		l.s.told = e
		go l.retire(e, l.setOff(e))
	case pdu.EventTermination:
		return l.terminated(e.LUN)
	case pdu.EventSCSI, pdu.EventVendor:
	}
	return nil
}

// dropping takes the announcement that connections are dropped, which counts as their
// loss ([R-6.1.4.3-21]): of all, or of one, perhaps another than this. One that is not
// there any more was told of late.
func (l *link) dropping(e *AsyncError) error {
	all := e.Event == pdu.EventDroppingAll
	l.s.told = e
	for _, o := range l.s.live() {
		if o != l && (all || o.cid == pdu.CID(e.Parameter1)) {
			go o.fail(e)
		}
	}
	if all || l.cid == pdu.CID(e.Parameter1) {
		return e
	}
	return nil
}
