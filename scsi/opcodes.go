package scsi

import (
	"cmp"
	"slices"

	"lunar/lun/blk"
	"lunar/scsi/pi"
)

// Timeouts in seconds. The nominal one is zero, "not indicated", where the time
// depends on the medium alone (SPC-4 §6.35.4).
const (
	secondsQuick  = 10 // answered from memory
	secondsMedium = 30 // one transfer from or to the medium
	secondsLong   = 60 // a range of the medium, or a flush

	secondsCopy = 1800 // all that one EXTENDED COPY may name
)

// opcodes is the command set: to add a command, add a row to one of its three parts and
// its functions to the file of its family. It is in the order of opcodes and service
// actions, which is the order REPORT SUPPORTED OPERATION CODES lists them in.
//
// The masks leave out what is not done here, so those bits are refused with a
// field pointer: RARC and GROUP NUMBER (GROUP_SUP is 0, SBC-3 §4.23); ANCHOR where the medium
// does not anchor (anchorBit), and RDPROTECT, WRPROTECT, VRPROTECT and ORPROTECT where it keeps
// no protection information (act). Of every CONTROL byte NACA is evaluated (SAM-5 §5.2).
// PRE-FETCH, which changes nothing, takes a GROUP NUMBER all the same: hosts send one.
// FUA_NV and SYNC_NV are obsolete and still sent, so they are accepted and have
// no effect: no cache here survives a power loss.
var opcodes = inOrder(primaryCommands, blockCommands, longCommands)

func inOrder(parts ...[]Opcode) []Opcode {
	rows := slices.Concat(parts...)
	slices.SortFunc(rows, func(a, b Opcode) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Action, b.Action))
	})
	return rows
}

// byOpcode finds the rows of an opcode.
var byOpcode = indexOpcodes(opcodes)

// serves says whether the row exists on this unit.
func (d *Device) serves(o *Opcode) bool {
	return o.served(&d.info) && (o.flags&needsType2 == 0 || d.protection == pi.Type2)
}

// served says whether the row exists on a unit with this medium, if it is formatted so.
func (o *Opcode) served(i *blk.Info) bool {
	return (o.flags&needsThin == 0 || i.Thin) && (o.flags&needsAtomic == 0 || i.AtomicBytes > 0)
}

// usage returns the CDB usage of the row on a unit with this medium.
func (o *Opcode) usage(i *blk.Info) []byte {
	u := append([]byte(nil), o.Usage...)
	at := optionsAt(o.Code)
	if o.flags&unmapBit != 0 && !i.Thin {
		u[at] &^= unmapMask
	}
	if o.flags&anchorBit != 0 && !(i.Thin && i.Anchors) {
		u[at] &^= o.anchorMask()
	}
	if o.act != 0 && i.Protected {
		u[at] |= protectMask
	}
	if o.Code == opFormat && i.Protected {
		u[1] |= fmtpinfoMask
	}
	return u
}
