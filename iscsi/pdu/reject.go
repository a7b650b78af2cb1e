package pdu

import (
	"strconv"

	"lunar/iscsi/serial"
)

// RejectReason is why a PDU was refused (RFC 3720 §10.17.1).
type RejectReason uint8

// Reject reasons.
const (
	RejectDataDigest       RejectReason = 0x02
	RejectSNACK            RejectReason = 0x03
	RejectProtocolError    RejectReason = 0x04
	RejectNotSupported     RejectReason = 0x05
	RejectImmediate        RejectReason = 0x06
	RejectTaskInProgress   RejectReason = 0x07
	RejectInvalidDataACK   RejectReason = 0x08
	RejectInvalidField     RejectReason = 0x09
	RejectLongOperation    RejectReason = 0x0a
	RejectWaitingForLogout RejectReason = 0x0c
)

// String is the code in hex.
func (r RejectReason) String() string { return "0x" + strconv.FormatUint(uint64(r), 16) }

// Reject is opcode 3fh (RFC 3720 §10.17). Its data segment is the refused
// header.
type Reject struct{ Response }

// AsReject views h as a Reject.
func AsReject(h *Header) Reject { return Reject{Response{h}} }

// Reason is why.
func (p Reject) Reason() RejectReason { return RejectReason(p.Header[offResponse]) }

// SetReason writes the reason.
func (p Reject) SetReason(r RejectReason) { p.Header[offResponse] = byte(r) }

// DataSN is the next number the target would send, valid only for a refused
// Data/R2T SNACK (§10.17.2).
func (p Reject) DataSN() serial.DataSN { return serial.Data(p.word(offDataSN)) }

// SetDataSN writes the DataSN.
func (p Reject) SetDataSN(n serial.DataSN) { p.setWord(offDataSN, n.Uint32()) }
