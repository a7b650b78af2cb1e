package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Third-party copy descriptors (SPC-4 §7.8.17).
const (
	tpcCommands    = 0x0001 // Supported Commands
	tpcParameters  = 0x0004 // Parameter Data
	tpcDescriptors = 0x0008 // Supported Descriptors
	tpcCSCDIDs     = 0x000c // Supported CSCD IDs
	tpcGeneral     = 0x8001 // General Copy Operations
	tpcHeld        = 0xc001 // Held Data

	tpcParametersBytes, tpcGeneralBytes, tpcHeldBytes = 28, 32, 28
)

// opCopyOut and opCopyIn are the two opcodes of third-party copies.
const opCopyOut, opCopyIn = 0x83, 0x84

// vpdThirdPartyCopy is page 8Fh, in ascending order of descriptor types (SPC-4 §7.8.17).
func (d *Device) vpdThirdPartyCopy(_ *sam.Path, b []byte) []byte {
	b = d.appendRODLimits(b)
	b = appendTPC(b, tpcCommands, prefixed(1, d.copyCommands()))

	p := make([]byte, tpcParametersBytes)
	binary.BigEndian.PutUint16(p[4:], maxCSCDs)
	binary.BigEndian.PutUint16(p[6:], maxSegments)
	binary.BigEndian.PutUint32(p[8:], maxCopyList)
	b = appendTPC(b, tpcParameters, p)

	b = appendTPC(b, tpcDescriptors, prefixed(1, segmentKinds[:]))
	b = appendTPC(b, tpcCSCDIDs, prefixed(2, binary.BigEndian.AppendUint16(nil, ownUnit)))
	b = d.appendROD(b)

	p = make([]byte, tpcGeneralBytes)
	binary.BigEndian.PutUint32(p, maxCopies)
	binary.BigEndian.PutUint32(p[4:], maxCopies)
	binary.BigEndian.PutUint32(p[8:], maxSegmentBytes)
	p[12] = d.blockShift // DATA SEGMENT GRANULARITY
	b = appendTPC(b, tpcGeneral, p)
	return appendTPC(b, tpcHeld, make([]byte, tpcHeldBytes)) // no data is held
}

// copyCommands lists the service actions of each of the two opcodes, out of the table of
// commands.
func (d *Device) copyCommands() (list []byte) {
	for _, code := range []byte{opCopyOut, opCopyIn} {
		var actions []byte
		for i := range d.rows {
			if d.rows[i].Code == code {
				actions = append(actions, byte(d.rows[i].Action))
			}
		}
		list = append(append(list, code, byte(len(actions))), actions...)
	}
	return list
}

// prefixed puts the length of a list, in n bytes, before it.
func prefixed(n int, list []byte) []byte {
	b := make([]byte, n, n+len(list))
	b[n-1] = byte(len(list))
	return append(b, list...)
}

// appendTPC appends a descriptor, padded to whole words.
func appendTPC(b []byte, kind uint16, body []byte) []byte {
	padded := (len(body) + 3) &^ 3
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(padded))
	b = append(b, body...)
	return append(b, make([]byte, padded-len(body))...)
}
