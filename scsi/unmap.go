package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// UNMAP parameter list (SBC-3 §5.28) and limits.
const (
	unmapHeaderBytes     = 8
	unmapDescriptorBytes = 16

	// maxUnmapDescriptors makes the longest useful list fit one page.
	maxUnmapDescriptors = 255
	// maxUnmapBlocks bounds the work of one command.
	maxUnmapBlocks = 1 << 20

	opUnmap = 0x42

	// ANCHOR in byte 1 of UNMAP and of WRITE SAME.
	anchorUnmapMask = 0x01
	anchorSameMask  = 0x10
)

func (o *Opcode) anchorMask() byte {
	if o.Code == opUnmap {
		return anchorUnmapMask
	}
	return anchorSameMask
}

// beginUnmap serves UNMAP (SBC-3 §5.28).
func (d *Device) beginUnmap(c *sam.Command) {
	length := int64(binary.BigEndian.Uint16(c.CDB[7:]))
	switch {
	case length == 0:
		c.Succeed() // no list is no error
	case length < unmapHeaderBytes:
		c.Fail(illegal(codeParameterLength).At(7, -1))
	default:
		ask(c, length, 0)
	}
}

// unmap checks the whole list before the first block is touched.
func (d *Device) unmap(c *sam.Command) Program {
	length := int(binary.BigEndian.Uint16(c.CDB[7:]))
	if c.Received < length || length < unmapHeaderBytes {
		c.Fail(illegal(codeParameterLength).At(7, -1))
		return Program{}
	}
	if int(binary.BigEndian.Uint16(c.Buffer[2:])) > length-unmapHeaderBytes {
		// The header promises descriptors that the list does not hold.
		c.Fail(illegal(codeParameterLength).AtParameter(2))
		return Program{}
	}
	list := descriptorsOf(c)
	if len(list) > maxUnmapDescriptors*unmapDescriptorBytes {
		c.Fail(illegal(codeInvalidParameter).AtParameter(2))
		return Program{}
	}
	total := uint64(0)
	for at := 0; at < len(list); at += unmapDescriptorBytes {
		lba, blocks := binary.BigEndian.Uint64(list[at:]), uint64(binary.BigEndian.Uint32(list[at+8:]))
		if !d.inRange(lba, blocks) {
			c.Fail(illegal(codeRange).AtParameter(unmapHeaderBytes + at))
			return Program{}
		}
		if total += blocks; total > maxUnmapBlocks {
			// SBC-3 §6.6.3: MAXIMUM UNMAP LBA COUNT is for the whole command.
			c.Fail(illegal(codeInvalidParameter).AtParameter(unmapHeaderBytes + at + 8))
			return Program{}
		}
	}
	return Program{Kind: DiscardList, anchors: c.CDB[1]&anchorUnmapMask != 0}
}

// descriptorsOf returns the whole block descriptors of a checked list.
//
// SBC-3 §5.28: a length that is no multiple of 16 leaves an incomplete
// descriptor, which is ignored.
func descriptorsOf(c *sam.Command) []byte {
	n := int(binary.BigEndian.Uint16(c.Buffer[2:]))
	n -= n % unmapDescriptorBytes
	return c.Buffer[unmapHeaderBytes : unmapHeaderBytes+n]
}
