package pdu

const (
	offAsyncEvent  = 36
	offAsyncVendor = 37
	offParameter1  = 38
	offParameter2  = 40
	offParameter3  = 42
)

// AsyncEvent is what an Async Message announces (RFC 3720 §10.9.1).
type AsyncEvent uint8

// Async events.
const (
	EventSCSI          AsyncEvent = 0
	EventLogoutRequest AsyncEvent = 1
	EventDropping      AsyncEvent = 2
	EventDroppingAll   AsyncEvent = 3
	EventRenegotiate   AsyncEvent = 4
	// EventTermination: the tasks of a logical unit are ended (RFC 7143 §11.9.1).
	EventTermination AsyncEvent = 5
	EventVendor      AsyncEvent = 255
)

// Async is the Asynchronous Message, opcode 32h (RFC 3720 §10.9).
type Async struct{ Response }

// AsAsync views h as an Async Message.
func AsAsync(h *Header) Async { return Async{Response{h}} }

// Event is what happens.
func (p Async) Event() AsyncEvent { return AsyncEvent(p.Header[offAsyncEvent]) }

// SetEvent writes the event and, for EventVendor, the vendor code.
func (p Async) SetEvent(e AsyncEvent, vendor byte) {
	p.Header[offAsyncEvent], p.Header[offAsyncVendor] = byte(e), vendor
}

// VendorCode qualifies EventVendor.
func (p Async) VendorCode() byte { return p.Header[offAsyncVendor] }

// Parameters are the three half-words whose meaning the event gives: a CID,
// Time2Wait and Time2Retain in seconds.
func (p Async) Parameters() (p1, p2, p3 uint16) {
	return p.half(offParameter1), p.half(offParameter2), p.half(offParameter3)
}

// SetParameters writes the three half-words.
func (p Async) SetParameters(p1, p2, p3 uint16) {
	p.setHalf(offParameter1, p1)
	p.setHalf(offParameter2, p2)
	p.setHalf(offParameter3, p3)
}
