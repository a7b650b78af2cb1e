package sam

import (
	"encoding/binary"
	"fmt"
)

// SenseKey is the category of a sense (SPC-4 §4.5.6).
type SenseKey uint8

// Sense keys.
const (
	NoSense        SenseKey = 0x0
	RecoveredError SenseKey = 0x1
	NotReady       SenseKey = 0x2
	MediumError    SenseKey = 0x3
	HardwareError  SenseKey = 0x4
	IllegalRequest SenseKey = 0x5
	UnitAttention  SenseKey = 0x6
	DataProtect    SenseKey = 0x7
	CopyAborted    SenseKey = 0xa
	AbortedCommand SenseKey = 0xb
	Miscompare     SenseKey = 0xe
)

// senseWords are the sense keys in words (SPC-4 table 48).
var senseWords = [16]string{
	NoSense: "no sense", RecoveredError: "recovered error", NotReady: "not ready", MediumError: "medium error",
	HardwareError: "hardware error", IllegalRequest: "illegal request", UnitAttention: "unit attention",
	DataProtect: "data protect", CopyAborted: "copy aborted", AbortedCommand: "aborted command", Miscompare: "miscompare",
}

// String is the key in words.
func (k SenseKey) String() string {
	if int(k) < len(senseWords) && senseWords[k] != "" {
		return senseWords[k]
	}
	return fmt.Sprintf("sense key %xh", uint8(k))
}

// MaxSenseBytes is the longest sense this package writes: a descriptor header,
// descriptors of information and of command specific information, and a
// sense-key-specific one.
const MaxSenseBytes = 8 + 12 + 12 + 8

const (
	fixedSenseBytes = 18

	// segmentAt: the third and fourth byte of COMMAND-SPECIFIC INFORMATION.
	segmentAt = 10

	responseFixed      = 0x70
	responseDescriptor = 0x72

	valid = 0x80
	sksv  = 0x80 // sense-key-specific bytes are valid
	cd    = 0x40 // the field pointer is into the CDB
	sd    = 0x20 // the field pointer is into a segment descriptor
	bpv   = 0x08 // the bit pointer is valid
)

// Sense says why a command did not end GOOD. It is plain data: the format it
// leaves in is chosen where it is written, by D_SENSE or the DESC bit.
type Sense struct {
	Key SenseKey
	// Code is ASC and ASCQ as one number, 0x2400 = 24h/00h.
	Code uint16
	// Descriptor asks for descriptor format (SPC-4 §4.5.2.1), set from D_SENSE.
	Descriptor bool
	// HasInfo says that Info (an LBA, a byte offset) is valid.
	HasInfo bool
	Info    uint64
	// HasSegment says that Segment is the number of the segment descriptor at which a
	// third-party copy was aborted; it leaves as COMMAND-SPECIFIC INFORMATION.
	HasSegment bool
	Segment    uint16
	// Field is the sense-key-specific field pointer of an ILLEGAL REQUEST or, into a
	// segment descriptor, of a COPY ABORTED.
	Field FieldPointer
	// Progress, where HasProgress, is how much of what makes a unit NOT READY is done, out
	// of 65,536.
	HasProgress bool
	Progress    uint16
}

// FieldPointer names the first byte, and perhaps bit, that was not accepted
// (SPC-4 §4.5.2.4.2, §4.5.2.4.5). The zero value means there is none.
type FieldPointer struct {
	Valid bool
	// InSegment says that the byte lies in a segment descriptor.
	InSegment bool
	// InCDB is false when the byte lies in a parameter list.
	InCDB bool
	Byte  uint16
	// Bit is the most significant wrong bit plus one; zero when no bit is named.
	Bit uint8
}

// NewSense returns a sense without details.
func NewSense(key SenseKey, code uint16) Sense { return Sense{Key: key, Code: code} }

// At returns s with a pointer to CDB byte b. Bit is 0..7, or -1 when the whole
// field is wrong.
func (s Sense) At(b int, bit int) Sense {
	s.Field = FieldPointer{Valid: true, InCDB: true, Byte: uint16(b), Bit: uint8(bit + 1)}
	return s
}

// AtParameter returns s with a pointer to byte b of the parameter list.
func (s Sense) AtParameter(b int) Sense {
	s.Field = FieldPointer{Valid: true, Byte: uint16(b)}
	return s
}

// AtSegment returns s with the number of a segment descriptor and a pointer to byte b of it
// (SPC-4 §4.5.2.4.5).
func (s Sense) AtSegment(number uint16, b int) Sense {
	s.HasSegment, s.Segment = true, number
	s.Field = FieldPointer{Valid: true, InSegment: true, Byte: uint16(b)}
	return s
}

// AtCSCD returns s with the number of a segment descriptor and a pointer to byte b of the
// parameter list, where what it names is described.
func (s Sense) AtCSCD(number uint16, b int) Sense {
	s.HasSegment, s.Segment = true, number
	return s.AtParameter(b)
}

// WithInfo returns s with the INFORMATION field set.
func (s Sense) WithInfo(info uint64) Sense {
	s.HasInfo, s.Info = true, info
	return s
}

// WithProgress returns s with a progress indication (SPC-4 §4.5.2.4.4).
func (s Sense) WithProgress(p uint16) Sense {
	s.HasProgress, s.Progress = true, p
	return s
}

// specific are the sense-key-specific bytes, if there are any.
func (s *Sense) specific() (b [3]byte, ok bool) {
	switch {
	case s.Field.Valid:
		return s.Field.bytes(), true
	case s.HasProgress:
		return [3]byte{sksv, byte(s.Progress >> 8), byte(s.Progress)}, true
	}
	return b, false
}

// Append writes the sense in its format behind dst. Fixed format holds 32 bits
// of information; a larger value is left out there, as VALID would be a lie.
func (s Sense) Append(dst []byte) []byte {
	if s.Descriptor {
		return s.appendDescriptor(dst)
	}
	return s.appendFixed(dst)
}

func (s Sense) appendFixed(dst []byte) []byte {
	var b [fixedSenseBytes]byte
	b[0] = responseFixed
	if s.HasInfo && s.Info <= 1<<32-1 {
		b[0] |= valid
		binary.BigEndian.PutUint32(b[3:], uint32(s.Info))
	}
	b[2] = byte(s.Key)
	b[7] = fixedSenseBytes - 8
	if s.HasSegment {
		binary.BigEndian.PutUint16(b[segmentAt:], s.Segment)
	}
	b[12], b[13] = byte(s.Code>>8), byte(s.Code)
	if f, ok := s.specific(); ok {
		copy(b[15:], f[:])
	}
	return append(dst, b[:]...)
}

func (s Sense) appendDescriptor(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, responseDescriptor, byte(s.Key), byte(s.Code>>8), byte(s.Code), 0, 0, 0, 0)
	if s.HasInfo {
		dst = append(dst, 0x00, 0x0a, valid, 0)
		dst = binary.BigEndian.AppendUint64(dst, s.Info)
	}
	if s.HasSegment {
		dst = append(dst, 0x01, 0x0a, 0, 0, 0, 0, byte(s.Segment>>8), byte(s.Segment), 0, 0, 0, 0)
	}
	if f, ok := s.specific(); ok {
		dst = append(dst, 0x02, 0x06, 0, 0, f[0], f[1], f[2], 0)
	}
	dst[start+7] = byte(len(dst) - start - 8)
	return dst
}

func (f FieldPointer) bytes() [3]byte {
	b := [3]byte{sksv, byte(f.Byte >> 8), byte(f.Byte)}
	if f.InCDB {
		b[0] |= cd
	}
	if f.InSegment {
		b[0] |= sd
	}
	if f.Bit > 0 {
		b[0] |= bpv | (f.Bit - 1)
	}
	return b
}
