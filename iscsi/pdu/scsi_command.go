package pdu

import "lunar/scsi/sam"

// Flags of byte 1 of a SCSI Command (RFC 3720 §10.3.1).
const (
	CommandRead  = 0x40
	CommandWrite = 0x20
	attrMask     = 0x07

	offPriority   = 2
	priorityShift = 4

	offEDTL = 20
	offCDB  = 32

	// CDBFieldBytes is the CDB field of the header; the rest of a longer CDB
	// travels in an additional header segment (RFC 3720 §10.3.5).
	CDBFieldBytes = 16
)

// SCSICommand is opcode 01h (RFC 3720 §10.3).
type SCSICommand struct{ Request }

// AsSCSICommand views h as a SCSI Command.
func AsSCSICommand(h *Header) SCSICommand { return SCSICommand{Request{h}} }

// Read is the R bit: data is expected from the target.
func (p SCSICommand) Read() bool { return p.Header[offFlags]&CommandRead != 0 }

// Write is the W bit: data will go to the target.
func (p SCSICommand) Write() bool { return p.Header[offFlags]&CommandWrite != 0 }

// Attribute is the task attribute; 5 to 7 are reserved.
func (p SCSICommand) Attribute() sam.Attribute { return sam.Attribute(p.Header[offFlags] & attrMask) }

// Priority is PRI, 0 to 15, where protocol level 2 is agreed; below it the field is
// reserved (RFC 7144 §5.1.1).
func (p SCSICommand) Priority() sam.Priority {
	return sam.Priority(p.Header[offPriority] >> priorityShift)
}

// SetPriority writes PRI, of which four bits count.
func (p SCSICommand) SetPriority(v sam.Priority) { p.Header[offPriority] = byte(v) << priorityShift }

// EDTL is the Expected Data Transfer Length in bytes (§10.3.4).
func (p SCSICommand) EDTL() uint32 { return p.word(offEDTL) }

// SetEDTL writes the Expected Data Transfer Length.
func (p SCSICommand) SetEDTL(n uint32) { p.setWord(offEDTL, n) }

// CDB is the CDB field; shorter CDBs end before it does.
func (p SCSICommand) CDB() *[CDBFieldBytes]byte { return (*[CDBFieldBytes]byte)(p.Header[offCDB:]) }
