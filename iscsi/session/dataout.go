package session

import (
	"lunar/iscsi/pdu"
)

// MaxBursts is the most R2Ts of one task in flight, whatever is negotiated: the
// plan keeps each of them.
const MaxBursts = 8

// burst is one R2T in flight: what it asked for and how much of it came.
type burst struct {
	ttt           pdu.TTT
	offset, bytes uint32
	got           uint32
	sn            uint32
}

// DataOut is the plan of a write transfer: an unsolicited burst, then solicited
// ones, each with its own DataSN from 0 (RFC 3720 §3.2.2.3 [R-3.2.2.3-2]).
// Because DataPDUInOrder and DataSequenceInOrder are always Yes with us, data
// comes in increasing offsets and the plan is a single line.
type DataOut struct {
	// Total is how many bytes are wanted of the initiator: what the command takes,
	// at most what the initiator announced. Until the device server has decoded the
	// command it is the announcement.
	Total uint32
	// Received is how many bytes have come, in order, in PDUs that were right.
	Received uint32

	// unsolicited is open while the initiator may still send unasked, up to limit.
	unsolicited bool
	limit       uint32
	sn          uint32

	asked  uint32 // R2Ts were sent up to this offset
	r2tSN  uint32
	bursts [MaxBursts]burst
	first  uint8
	count  uint8
	hole   hole
}

// Owed says whether the initiator still has to end a burst.
func (d *DataOut) Owed() bool { return d.unsolicited || d.count > 0 }

// Unsolicited says whether unasked data is still coming.
func (d *DataOut) Unsolicited() bool { return d.unsolicited }

// Limit is the most unsolicited data there can be, immediate data included.
func (d *DataOut) Limit() uint32 { return d.limit }

// Complete says whether all wanted data has come.
func (d *DataOut) Complete() bool { return d.Received >= d.Total && !d.Owed() }

// Asked is the offset up to which data came unasked or was asked for; where a hole
// is, as far as that.
func (d *DataOut) Asked() uint32 {
	if d.gap() {
		return d.Received
	}
	return max(d.asked, d.Received)
}

// MayAsk says whether the next R2T may go out: data is missing, no unasked data
// is still coming, and fewer than outstanding R2Ts are (RFC 3720 §10.8
// [R-10.8-5]).
func (d *DataOut) MayAsk(outstanding uint32) bool {
	return !d.unsolicited && d.Asked() < d.Total && uint32(d.count) < min(outstanding, MaxBursts)
}

// ask records an R2T for the bytes from Asked on.
func (d *DataOut) ask(ttt pdu.TTT, bytes uint32) (offset, r2tSN uint32) {
	offset, r2tSN = d.Asked(), d.r2tSN
	if d.gap() {
		d.hole.attempts++
	}
	d.bursts[(d.first+d.count)%MaxBursts] = burst{ttt: ttt, offset: offset, bytes: bytes}
	d.count++
	d.r2tSN++
	d.asked = offset + bytes
	return offset, r2tSN
}

// Interrupt ends every burst without data that did not come: the connection is gone.
// Numbers of R2Ts that were not answered are used again.
func (d *DataOut) Interrupt() {
	d.r2tSN -= uint32(d.count)
	d.unsolicited, d.first, d.count, d.hole = false, 0, 0, hole{}
	d.asked = 0
}

// Discard forgets what came from an offset on, of a command that was interrupted: it is
// asked for again where the command goes on (RFC 3720 §6.2.2).
func (d *DataOut) Discard(from uint32) { d.Received = min(d.Received, from) }

// current is the burst the next solicited data belongs to: R2Ts of a task are
// served in order (§10.8 [R-10.8-6], RFC 7143 §11.8 [N-13]).
func (d *DataOut) current() *burst { return &d.bursts[d.first] }

func (d *DataOut) endBurst() {
	d.first = (d.first + 1) % MaxBursts
	d.count--
}
