package pdu

import (
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Flags of byte 1 of a Data-In (RFC 3720 §10.7). The residual flags are those
// of the SCSI Response.
const (
	DataAcknowledge = 0x40
	DataStatus      = 0x01
)

// DataOut is opcode 05h (RFC 3720 §10.7). It carries no CmdSN.
type DataOut struct{ Request }

// AsDataOut views h as a Data-Out.
func AsDataOut(h *Header) DataOut { return DataOut{Request{h}} }

// TTT is the tag of the R2T it answers, or NoTag for unsolicited data.
func (p DataOut) TTT() TTT { return TTT(p.word(offTTT)) }

// SetTTT writes the Target Transfer Tag.
func (p DataOut) SetTTT(t TTT) { p.setWord(offTTT, uint32(t)) }

// DataSN counts from 0 in each burst (§3.2.2.3 [R-3.2.2.3-2]).
func (p DataOut) DataSN() serial.DataSN { return serial.Data(p.word(offDataSN)) }

// SetDataSN writes the DataSN.
func (p DataOut) SetDataSN(n serial.DataSN) { p.setWord(offDataSN, n.Uint32()) }

// BufferOffset is where the data belongs in the command's transfer, in bytes.
func (p DataOut) BufferOffset() uint32 { return p.word(offBufferOffset) }

// SetBufferOffset writes the buffer offset.
func (p DataOut) SetBufferOffset(n uint32) { p.setWord(offBufferOffset, n) }

// DataIn is opcode 25h (RFC 3720 §10.7).
type DataIn struct{ Response }

// AsDataIn views h as a Data-In.
func AsDataIn(h *Header) DataIn { return DataIn{Response{h}} }

// Status is the SCSI status, valid with DataStatus.
func (p DataIn) Status() sam.Status { return sam.Status(p.Header[offStatus]) }

// SetStatus writes the SCSI status.
func (p DataIn) SetStatus(s sam.Status) { p.Header[offStatus] = byte(s) }

// TTT is NoTag unless the target asks for a DataACK.
func (p DataIn) TTT() TTT { return TTT(p.word(offTTT)) }

// SetTTT writes the Target Transfer Tag.
func (p DataIn) SetTTT(t TTT) { p.setWord(offTTT, uint32(t)) }

// DataSN counts over the whole command (§3.2.2.3 [R-3.2.2.3-1]).
func (p DataIn) DataSN() serial.DataSN { return serial.Data(p.word(offDataSN)) }

// SetDataSN writes the DataSN.
func (p DataIn) SetDataSN(n serial.DataSN) { p.setWord(offDataSN, n.Uint32()) }

// BufferOffset is where the data belongs in the command's transfer, in bytes.
func (p DataIn) BufferOffset() uint32 { return p.word(offBufferOffset) }

// SetBufferOffset writes the buffer offset.
func (p DataIn) SetBufferOffset(n uint32) { p.setWord(offBufferOffset, n) }

// Residual is the residual count, valid with DataStatus and a residual flag.
func (p DataIn) Residual() uint32 { return p.word(offResidual) }

// SetResidual writes the residual count.
func (p DataIn) SetResidual(n uint32) { p.setWord(offResidual, n) }
