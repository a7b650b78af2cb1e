package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// SELECT REPORT values (SPC-4 §6.33).
const (
	selectWellKnown = 0x01
	selectAll       = 0x02
)

const (
	lunListHeader = 8
	// minLUNAllocation is the smallest allocation length REPORT LUNS accepts.
	minLUNAllocation = 16
	// maxLUNList is the answer for every number flat addressing can carry.
	maxLUNList = lunListHeader + 8*(sam.MaxLUN+1)
)

// beginReportLUNs serves REPORT LUNS (SPC-4 §6.33), for any LUN.
func (d *Device) beginReportLUNs(c *sam.Command) {
	length := int64(binary.BigEndian.Uint32(c.CDB[6:]))
	switch {
	case c.CDB[2] > selectAll:
		failField(c, 2, -1)
	case length < minLUNAllocation:
		// SPC-4 §6.33: less cannot hold the header and one LUN.
		failField(c, 6, -1)
	default:
		ask(c, 0, min(length, maxLUNList))
	}
}

func (d *Device) reportLUNs(c *sam.Command) Program {
	// SPC-4 §6.33: the list is what the attention would have asked to read.
	d.clearAttention(c.Nexus, LUNsChanged)
	b := append(d.scratch[:0], make([]byte, lunListHeader)...)
	if c.CDB[2] != selectWellKnown && c.Path != nil {
		// There are no well known units, so that selection is an empty list.
		for _, l := range c.Path.LUNs {
			b = binary.BigEndian.AppendUint64(b, uint64(l))
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-lunListHeader))
	d.scratch = b
	answer(c, b)
	return Program{}
}
