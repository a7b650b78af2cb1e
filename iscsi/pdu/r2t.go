package pdu

import "lunar/iscsi/serial"

const offDesired = 44

// R2T is Ready To Transfer, opcode 31h (RFC 3720 §10.8): the target asks for one
// burst of a write. It shows the next StatSN and does not consume it [R-10.8.3-1].
type R2T struct{ Response }

// AsR2T views h as an R2T.
func AsR2T(h *Header) R2T { return R2T{Response{h}} }

// TTT is our tag for the burst, never NoTag [R-10.8.5-1].
func (p R2T) TTT() TTT { return TTT(p.word(offTTT)) }

// SetTTT writes the Target Transfer Tag.
func (p R2T) SetTTT(t TTT) { p.setWord(offTTT, uint32(t)) }

// R2TSN counts over the whole command (§10.8.2).
func (p R2T) R2TSN() serial.DataSN { return serial.Data(p.word(offDataSN)) }

// SetR2TSN writes the R2TSN.
func (p R2T) SetR2TSN(n serial.DataSN) { p.setWord(offDataSN, n.Uint32()) }

// BufferOffset is where the burst starts in the command's transfer, in bytes.
func (p R2T) BufferOffset() uint32 { return p.word(offBufferOffset) }

// SetBufferOffset writes the buffer offset.
func (p R2T) SetBufferOffset(n uint32) { p.setWord(offBufferOffset, n) }

// DesiredBytes is the length of the burst, 1 to MaxBurstLength [R-10.8.4-1].
func (p R2T) DesiredBytes() uint32 { return p.word(offDesired) }

// SetDesiredBytes writes the length of the burst.
func (p R2T) SetDesiredBytes(n uint32) { p.setWord(offDesired, n) }
