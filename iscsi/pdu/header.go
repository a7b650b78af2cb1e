package pdu

import (
	"encoding/binary"

	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Sizes in bytes.
const (
	// HeaderBytes is the basic header segment (RFC 3720 §10.2.1).
	HeaderBytes = 48
	// MaxAHSBytes is the most that TotalAHSLength can announce: 255 words.
	MaxAHSBytes = 255 * 4
	// DigestBytes is one CRC32C digest on the wire (RFC 3720 §12.1).
	DigestBytes = 4
	// MaxDataSegmentBytes is the most that DataSegmentLength can announce.
	MaxDataSegmentBytes = 1<<24 - 1
)

// Offsets shared by all PDUs (RFC 3720 §10.2.1).
const (
	offOpcode       = 0
	offFlags        = 1
	offTotalAHS     = 4
	offDataSegment  = 5
	offLUN          = 8
	offITT          = 16
	offTTT          = 20
	offCmdSN        = 24 // requests
	offExpStatSN    = 28 // requests
	offStatSN       = 24 // responses
	offExpCmdSN     = 28 // responses
	offMaxCmdSN     = 32 // responses
	offDataSN       = 36
	offBufferOffset = 40
	offResidual     = 44

	opcodeMask   = 0x3f
	immediateBit = 0x40

	// FlagFinal is F, or T of a login PDU: the top bit of byte 1.
	FlagFinal = 0x80
	// FlagContinue is C of text and login PDUs.
	FlagContinue = 0x40
)

// Reserved tag values.
const (
	// NoTag is the Initiator Task Tag and Target Transfer Tag that name nothing
	// (RFC 3720 §10.7.4 [R-10.7.4-1], §10.18.1).
	NoTag = 0xffffffff
)

// ITT is an Initiator Task Tag: the initiator's name for a task, unique in its
// session while the task lives (RFC 3720 §10.2.1.8). It is opaque to us.
type ITT uint32

// TTT is a Target Transfer Tag: our name for a transfer or an exchange.
type TTT uint32

// Header is a basic header segment. Words are big-endian (RFC 3720 §2.3
// [R-2.3-1]). Fields that mean the same in every PDU are its own methods.
type Header [HeaderBytes]byte

// Opcode is the low six bits of byte 0, without the immediate bit.
func (h *Header) Opcode() Opcode { return Opcode(h[offOpcode] & opcodeMask) }

// SetOpcode writes byte 0, with the immediate bit clear.
func (h *Header) SetOpcode(o Opcode) { h[offOpcode] = byte(o) }

// Immediate is the I bit of a request (RFC 3720 §10.2.1.1).
func (h *Header) Immediate() bool { return h[offOpcode]&immediateBit != 0 }

// SetImmediate sets the I bit.
func (h *Header) SetImmediate() { h[offOpcode] |= immediateBit }

// Flags is byte 1.
func (h *Header) Flags() byte { return h[offFlags] }

// SetFlags writes byte 1.
func (h *Header) SetFlags(f byte) { h[offFlags] = f }

// Final is the F bit.
func (h *Header) Final() bool { return h[offFlags]&FlagFinal != 0 }

// AHSBytes is the length of the additional header segments, a multiple of four
// (RFC 3720 §10.2.1.5 [R-10.2.1.5-1]).
func (h *Header) AHSBytes() int { return int(h[offTotalAHS]) * 4 }

// SetAHSBytes writes TotalAHSLength; n is a multiple of four up to MaxAHSBytes.
func (h *Header) SetAHSBytes(n int) { h[offTotalAHS] = byte(n / 4) }

// DataBytes is DataSegmentLength: payload without padding (§10.2.1.6).
func (h *Header) DataBytes() int {
	return int(h[offDataSegment])<<16 | int(h[offDataSegment+1])<<8 | int(h[offDataSegment+2])
}

// SetDataBytes writes DataSegmentLength, n up to MaxDataSegmentBytes.
func (h *Header) SetDataBytes(n int) {
	h[offDataSegment], h[offDataSegment+1], h[offDataSegment+2] = byte(n>>16), byte(n>>8), byte(n)
}

// LUN is bytes 8 to 15 where the PDU has a LUN.
func (h *Header) LUN() sam.LUN { return sam.LUN(binary.BigEndian.Uint64(h[offLUN:])) }

// SetLUN writes bytes 8 to 15.
func (h *Header) SetLUN(l sam.LUN) { binary.BigEndian.PutUint64(h[offLUN:], uint64(l)) }

// ITT is the Initiator Task Tag.
func (h *Header) ITT() ITT { return ITT(h.word(offITT)) }

// SetITT writes the Initiator Task Tag.
func (h *Header) SetITT(t ITT) { h.setWord(offITT, uint32(t)) }

func (h *Header) word(off int) uint32       { return binary.BigEndian.Uint32(h[off : off+4]) }
func (h *Header) setWord(off int, v uint32) { binary.BigEndian.PutUint32(h[off:off+4], v) }
func (h *Header) half(off int) uint16       { return binary.BigEndian.Uint16(h[off : off+2]) }
func (h *Header) setHalf(off int, v uint16) { binary.BigEndian.PutUint16(h[off:off+2], v) }

// PadBytes is the padding behind n bytes of a segment: each ends on a word
// (RFC 3720 §10.1 [R-10.1-1]).
func PadBytes(n int) int { return -n & 3 }

// Request is what requests of an initiator share.
type Request struct{ *Header }

// CmdSN is the command number (RFC 3720 §3.2.2.1). SNACK and Data-Out have none.
func (r Request) CmdSN() serial.CmdSN { return serial.Cmd(r.word(offCmdSN)) }

// SetCmdSN writes the command number.
func (r Request) SetCmdSN(n serial.CmdSN) { r.setWord(offCmdSN, n.Uint32()) }

// ExpStatSN acknowledges every status before it (RFC 3720 §10.3.6).
func (r Request) ExpStatSN() serial.StatSN { return serial.Stat(r.word(offExpStatSN)) }

// SetExpStatSN writes the acknowledgement.
func (r Request) SetExpStatSN(n serial.StatSN) { r.setWord(offExpStatSN, n.Uint32()) }

// Response is what PDUs of a target share.
type Response struct{ *Header }

// StatSN is the status number; which PDUs consume one is RFC 3720 §3.2.2.2.
func (r Response) StatSN() serial.StatSN { return serial.Stat(r.word(offStatSN)) }

// SetStatSN writes the status number.
func (r Response) SetStatSN(n serial.StatSN) { r.setWord(offStatSN, n.Uint32()) }

// ExpCmdSN is the next command number the target expects.
func (r Response) ExpCmdSN() serial.CmdSN { return serial.Cmd(r.word(offExpCmdSN)) }

// MaxCmdSN is the last command number the target accepts.
func (r Response) MaxCmdSN() serial.CmdSN { return serial.Cmd(r.word(offMaxCmdSN)) }

// SetWindow writes ExpCmdSN and MaxCmdSN.
func (r Response) SetWindow(exp, last serial.CmdSN) {
	r.setWord(offExpCmdSN, exp.Uint32())
	r.setWord(offMaxCmdSN, last.Uint32())
}
