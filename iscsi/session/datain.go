package session

// DataIn is the plan of a read transfer: it cuts what the device server returns
// into Data-In PDUs and sequences. It is arithmetic only (architecture §4).
type DataIn struct {
	// Total is how many bytes will be sent: what the command returns, at most what
	// the initiator expects.
	Total uint32
	// Sent is how far the plan has come, and sn the DataSN of the next PDU.
	Sent uint32
	sn   uint32
	// burst is how many bytes of the current sequence were sent.
	burst uint32
}

// Segment is one Data-In PDU of a plan.
type Segment struct {
	Offset, Bytes uint32
	// Final ends a sequence, Last the transfer.
	Final, Last bool
}

// next cuts the next PDU from the bytes up to ready (exclusive). A data segment
// is at most maxSegment, a sequence at most maxBurst (RFC 3720 §10.7.1
// [R-10.7.1-1]). It is false when nothing is ready.
func (d *DataIn) next(ready, maxSegment, maxBurst uint32) (Segment, bool) {
	n := min(ready-d.Sent, maxSegment, maxBurst-d.burst)
	if d.Sent >= ready || n == 0 {
		return Segment{}, false
	}
	s := Segment{Offset: d.Sent, Bytes: n}
	d.Sent += n
	d.burst += n
	s.Last = d.Sent == d.Total
	s.Final = s.Last || d.burst == maxBurst
	if s.Final {
		d.burst = 0
	}
	return s, true
}
