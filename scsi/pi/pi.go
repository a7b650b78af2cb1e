package pi

import "encoding/binary"

// Bytes is the length of the protection information of one logical block.
const Bytes = 8

// Type is the protection type that a unit is formatted with (SBC-4 §4.21.2).
type Type uint8

// Protection types.
const (
	Type0 Type = iota // none
	Type1
	Type2
	Type3
)

// MaxType is the highest protection type.
const MaxType = Type3

// Values of fields with a meaning of their own.
const (
	// escapeTag in the LOGICAL BLOCK APPLICATION TAG, of type 3 with unknownTag beside it,
	// keeps the block from being checked.
	escapeTag  = 0xffff
	unknownTag = 0xffffffff
)

// Tuple is the protection information of one block.
type Tuple struct {
	Guard, Application uint16
	Reference          uint32
}

// Get reads the tuple at the start of b.
func Get(b []byte) Tuple {
	return Tuple{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])}
}

// Put writes the tuple to the start of b.
func (t Tuple) Put(b []byte) {
	binary.BigEndian.PutUint16(b, t.Guard)
	binary.BigEndian.PutUint16(b[2:], t.Application)
	binary.BigEndian.PutUint32(b[4:], t.Reference)
}

// Escaped says that the tuple keeps its block from being checked, on a unit formatted with
// a type (SBC-4 §4.21.3).
func (t Tuple) Escaped(of Type) bool {
	return t.Application == escapeTag && (of != Type3 || t.Reference == unknownTag)
}

// Format is how a unit is formatted, as far as it decides what is stored with data that
// comes without protection information.
type Format struct {
	Type Type
	// Owned is ATO of the Control mode page: LOGICAL BLOCK APPLICATION TAGs are the
	// application client's.
	Owned bool
}

// tag is the LOGICAL BLOCK APPLICATION TAG of what came without (SBC-4 table 133, note h).
// With ATO zero any value may be written. Zero has blocks checked from then on; of type 2 it
// would have commands with an expected reference tag fail, for there is none to expect.
func (f Format) tag() uint16 {
	if f.Owned || f.Type == Type2 {
		return escapeTag
	}
	return 0
}

// Generate fills dst with the tuples of the first blocks of data, which begins with block lba and
// came without protection information (SBC-4 table 133, notes f to h).
func (f Format) Generate(dst, data []byte, blockBytes int, lba uint64) {
	t := Tuple{Application: f.tag(), Reference: unknownTag}
	for n := 0; len(dst) >= Bytes; n += blockBytes {
		t.Guard = CRC(data[n : n+blockBytes])
		if f.Type == Type1 {
			t.Reference = uint32(lba)
			lba++
		}
		t.Put(dst)
		dst = dst[Bytes:]
	}
}

// GenerateZeros is Generate for blocks of zeros, whose CRC is zero.
func (f Format) GenerateZeros(dst []byte, lba uint64) {
	t := Tuple{Application: f.tag(), Reference: unknownTag}
	for ; len(dst) >= Bytes; dst = dst[Bytes:] {
		if f.Type == Type1 {
			t.Reference = uint32(lba)
			lba++
		}
		t.Put(dst)
	}
}

// Checks are the fields of a tuple to be checked.
type Checks uint8

// Fields.
const (
	Guard Checks = 1 << iota
	Application
	Reference

	All = Guard | Application | Reference
)

// Expect is what the tuples of a range have to say.
type Expect struct {
	Type   Type
	Checks Checks
	// Reference is the LOGICAL BLOCK REFERENCE TAG of the first block; each block behind it
	// has one more (SBC-4 table 25).
	Reference uint32
	// Tag is the LOGICAL BLOCK APPLICATION TAG in the bits of Mask.
	Tag, Mask uint16
}

// Plain is what a device server knows of the tuples of a range from lba on without being told
// (SBC-4 table 79, notes c and i): of type 1 the reference tags, of the others none.
func (f Format) Plain(lba uint64) Expect {
	e := Expect{Type: f.Type, Checks: Guard, Reference: uint32(lba)}
	if f.Type == Type1 {
		e.Checks |= Reference
	}
	return e
}

// Verify checks the tuples of the blocks of data, and returns the number of the first block
// that has a field which is wrong, and that field, or 0.
func (e *Expect) Verify(tuples, data []byte, blockBytes int) (block int, wrong Checks) {
	for n := range len(data) / blockBytes {
		t := Get(tuples[n*Bytes:])
		if t.Escaped(e.Type) {
			continue
		}
		switch {
		case e.Checks&Guard != 0 && t.Guard != CRC(data[n*blockBytes:][:blockBytes]):
			return n, Guard
		case e.Checks&Application != 0 && (t.Application^e.Tag)&e.Mask != 0:
			return n, Application
		case e.Checks&Reference != 0 && t.Reference != e.Reference+uint32(n):
			return n, Reference
		}
	}
	return 0, 0
}

// Invert turns every bit of b over: stored so, what was never written says FFFF_FFFF_FFFF_FFFFh
// (SBC-4 §4.7.3.5, §5.4.1), which is not checked.
func Invert(b []byte) {
	for ; len(b) >= Bytes; b = b[Bytes:] {
		binary.NativeEndian.PutUint64(b, ^binary.NativeEndian.Uint64(b))
	}
}
