package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Class says what a command does to the medium and to others, for whoever must
// keep commands apart (reservations: SPC-4 §5.12; ordering: SAM-5 §8).
type Class uint8

// Classes. The zero value is none of them, so a row without one fails its test.
const (
	// Neutral commands read state of the device server and conflict with nothing.
	Neutral Class = iota + 1
	// MediumRead and MediumWrite commands read or change blocks.
	MediumRead
	MediumWrite
	// MediumAtomic commands read blocks and change them by what they read: nothing
	// may run beside one.
	MediumAtomic
	// MediumHold commands hold blocks as they are: nothing may run beside one, either.
	MediumHold
	// MediumCopy commands read and change blocks of units by commands of their own.
	MediumCopy
	// UnitChange commands change the state of the unit for everybody.
	UnitChange
	// UnitSeizure commands do so too, but do not wait for what runs: they end what is in
	// their way themselves.
	UnitSeizure
)

// holdout says whether a persistent reservation keeps a command out (SPC-4 tables 66 to
// 68, SBC-3 table 13).
type holdout uint8

// Holdouts. The zero value is none of them, so a row without one fails its test.
const (
	// neverOut: served whoever holds the unit.
	neverOut holdout = iota + 1
	// readsOut: kept out where reads are.
	readsOut
	// writesOut: kept out where writes are.
	writesOut
)

// flags are the conditions under which a row is served.
type flags uint32

const (
	// passAttention: served while a unit attention is pending (SAM-5 §5.14.1).
	passAttention flags = 1 << iota
	// passStopped: served while the unit is stopped (SBC-3 §4.20).
	passStopped
	// passAbsent: served for a LUN without a unit (SPC-4 §6.6, §6.33, §6.39).
	passAbsent
	// modifies: needs a writable medium.
	modifies
	// needsThin: exists only on a thinly provisioned unit (SBC-3 §4.7.3).
	needsThin
	// needsAtomic: exists only where the medium writes all or nothing (SBC-4 §4.29).
	needsAtomic
	// unmapBit: bit 3 of CDB byte 1 is usable only on a thin unit.
	unmapBit
	// anchorBit: ANCHOR, of byte 1, is usable only where the medium anchors.
	anchorBit
	// hasAction: byte 1 bits 0..4 select the command (SPC-4 §4.3.4).
	hasAction
	// plain: begin reads nothing that changes over the life of the unit.
	plain
	// passOperation: served while the medium is formatted or sanitized (SBC-3 §4.11.2).
	passOperation
	// passAccess: served whatever the access state of its port (SPC-4 §5.15.2.4.4).
	passAccess
	// erases: as modifies, though what it changes is not only what stands on the medium.
	erases
	// eased: with START alone, or PREVENT zero, never out (SBC-3 table 13, SPC-4 table 66).
	eased
	// needsType2: exists only on a unit formatted with type 2 protection (SBC-4 §4.21.2).
	needsType2
	// passReserved: served while another nexus has reserved the unit (SPC-2 table 10).
	passReserved
)

// Opcode is one command of the device server.
type Opcode struct {
	// Code and, with hasAction, Action select the row.
	Code   byte
	Action uint16
	// Name is the standard's, in capitals.
	Name  string
	Class Class
	// Out says when others that hold the unit keep the command out.
	Out   holdout
	flags flags
	// act is what the command does with protection information, 0 for one that has no field
	// to ask for it.
	act act
	// Usage has a one for every CDB bit that is evaluated; its length is the
	// length of the CDB, its first byte the opcode (SPC-4 §6.35.3).
	Usage []byte
	// Nominal and Recommended are timeouts in seconds (SPC-4 §6.35.4).
	Nominal, Recommended uint32

	// begin decides the Action; execute serves Execute and is nil for a command
	// that begin always finishes or hands to the medium.
	begin   func(d *Device, c *sam.Command)
	execute func(d *Device, c *sam.Command) Program
}

// HasAction says whether the row is selected by a service action as well.
func (o *Opcode) HasAction() bool { return o.flags&hasAction != 0 }

// out says when others that hold the unit keep c out.
func (o *Opcode) out(c *sam.Command) holdout {
	harmless := byte(startMask)
	if o.Code == opPreventAllow {
		harmless = 0
	}
	if o.flags&eased != 0 && c.CDB[4]&^noFlushMask == harmless {
		return neverOut
	}
	return o.Out
}

// actionMask covers the service action in CDB byte 1.
const actionMask = 0x1f

// opVariable is the opcode of CDBs of variable length, with their service action in bytes 8
// and 9 (SPC-4 §4.2.3).
const opVariable, variableActionAt = 0x7f, 8

// actionOf is the service action of a command, if it has one.
func actionOf(c *sam.Command) uint16 {
	if c.CDB[0] == opVariable {
		return binary.BigEndian.Uint16(c.CDB[variableActionAt:])
	}
	return uint16(c.CDB[1] & actionMask)
}

// opcodeIndex maps an opcode to the rows that share it, which are neighbours.
type opcodeIndex [256]struct{ first, count uint8 }

func indexOpcodes(rows []Opcode) *opcodeIndex {
	x := new(opcodeIndex)
	for i := range rows {
		e := &x[rows[i].Code]
		if e.count == 0 {
			e.first = uint8(i)
		}
		e.count++
	}
	return x
}

// find returns the number of the row for a command, or -1; known tells an
// unknown service action of a known opcode from an unknown opcode.
func (x *opcodeIndex) find(rows []Opcode, code byte, action uint16) (row int, known bool) {
	e := x[code]
	for i := int(e.first); i < int(e.first)+int(e.count); i++ {
		if !rows[i].HasAction() || rows[i].Action == action {
			return i, true
		}
	}
	return -1, e.count != 0
}

// naca is NACA in the CONTROL byte, the last one of every CDB here but of those of variable
// length, which have it second: whoever sets it may
// establish an auto contingent allegiance, which its unit keeps (SAM-5 §5.2, §5.9).
const naca = 0x04

// withoutNACA is a usage in which NACA is not evaluated.
func withoutNACA(usage []byte) []byte {
	u := append([]byte(nil), usage...)
	if u[0] == opVariable {
		u[1] &^= naca
		return u
	}
	u[len(u)-1] &^= naca
	return u
}

// maskedBytes is how much of a CDB a cdbMask holds.
const maskedBytes = 16

// cdbMask is a CDB of up to 16 bytes, or the start of a longer one, as two numbers, to check
// all its reserved bits with two instructions.
type cdbMask struct{ high, low uint64 }

// reservedBits returns the bits that must be zero under usage. Bytes behind the
// CDB are padding of the transport and mean nothing (RFC 3720 §10.3.5).
func reservedBits(usage []byte, action bool) cdbMask {
	var b [maskedBytes]byte
	for i, m := range usage[:min(len(usage), maskedBytes)] {
		b[i] = ^m
	}
	b[0] = 0
	if action && usage[0] != opVariable { // there its bits are what selects the row
		b[1] &^= actionMask
	}
	return cdbMask{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// and returns the bits of the CDB under the mask.
func (m cdbMask) and(cdb *[sam.MaxCDBBytes]byte) cdbMask {
	return cdbMask{
		binary.BigEndian.Uint64(cdb[:8]) & m.high,
		binary.BigEndian.Uint64(cdb[8:16]) & m.low,
	}
}

// first returns the byte and bit number of the most significant bit set in the
// first non-zero byte.
func (m cdbMask) first() (index, bit int) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], m.high)
	binary.BigEndian.PutUint64(b[8:], m.low)
	for b[index] == 0 {
		index++
	}
	for bit = 7; b[index]>>bit == 0; bit-- {
	}
	return index, bit
}
