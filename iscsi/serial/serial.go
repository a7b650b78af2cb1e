// Package serial is the arithmetic of 32-bit sequence numbers that wrap, as RFC
// 1982 defines it and RFC 3720 §3.2.2.1 asks for it [R-3.2.2.1-2].
//
// CmdSN, StatSN and DataSN are distinct types: a CmdSN cannot be compared with a
// StatSN, and because a number is a struct, plain < does not compile. That is
// the mistake most recovery code in the field makes at the wrap.
package serial

import "strconv"

// Number is a serial number of the kind K. The kind exists only to the compiler.
type Number[K any] struct{ v uint32 }

type (
	commandKind struct{}
	statusKind  struct{}
	dataKind    struct{}
)

type (
	// CmdSN numbers commands over a session (RFC 3720 §3.2.2.1).
	CmdSN = Number[commandKind]
	// StatSN numbers responses on a connection (RFC 3720 §3.2.2.2).
	StatSN = Number[statusKind]
	// DataSN numbers the Data and R2T PDUs of a command (RFC 3720 §3.2.2.3).
	DataSN = Number[dataKind]
)

// Cmd returns the CmdSN with the wire value v.
func Cmd(v uint32) CmdSN { return CmdSN{v} }

// Stat returns the StatSN with the wire value v.
func Stat(v uint32) StatSN { return StatSN{v} }

// Data returns the DataSN (or R2TSN) with the wire value v.
func Data(v uint32) DataSN { return DataSN{v} }

// Uint32 is the value as it stands on the wire.
func (n Number[K]) Uint32() uint32 { return n.v }

// Add returns n + d modulo 2^32. RFC 1982 §3.1 defines it for d < 2^31.
func (n Number[K]) Add(d uint32) Number[K] { return Number[K]{n.v + d} }

// Next returns n + 1.
func (n Number[K]) Next() Number[K] { return Number[K]{n.v + 1} }

// Sub returns n - m modulo 2^32, negative when n is before m.
func (n Number[K]) Sub(m Number[K]) int32 { return int32(n.v - m.v) }

// Less says whether n is before m (RFC 1982 §3.2). For numbers exactly 2^31
// apart the standard leaves the answer open; here neither direction surprises a
// window check, because both say true.
func (n Number[K]) Less(m Number[K]) bool { return int32(n.v-m.v) < 0 }

// AtMost says whether n is m or before it.
func (n Number[K]) AtMost(m Number[K]) bool { return n == m || n.Less(m) }

// In says whether n lies in first..last, both included. A last just before
// first is an empty range, which is how a closed command window looks
// (RFC 3720 §10.4.10 [R-10.4.10-1]).
func (n Number[K]) In(first, last Number[K]) bool {
	return n.v-first.v < last.v-first.v+1
}

// String is the decimal value.
func (n Number[K]) String() string { return strconv.FormatUint(uint64(n.v), 10) }
