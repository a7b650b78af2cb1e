package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// REPORT REFERRALS (SBC-3 §5.20, §4.28). All blocks are in one user data segment, since every
// target port group has one access state for the whole unit.
const (
	referralsAction     = 0x13
	referralHeaderBytes = 4
	segmentBytes        = 20
	segmentGroupBytes   = 4
	maxSegmentGroups    = 255
)

// vpdReferrals is page B3h (SBC-3 §6.6.6): where the segment is and how long REPORT REFERRALS
// says, with sizes of zero.
func (d *Device) vpdReferrals(_ *sam.Path, b []byte) []byte {
	const bytes = 12
	return append(b, make([]byte, bytes)...)
}

func (d *Device) beginReferrals(c *sam.Command) {
	if binary.BigEndian.Uint64(c.CDB[2:]) >= d.blocks {
		c.Fail(illegal(codeRange).At(2, -1))
		return
	}
	const most = referralHeaderBytes + segmentBytes + maxSegmentGroups*segmentGroupBytes
	ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[10:])), most))
}

func (d *Device) referrals(c *sam.Command) Program {
	b := append(d.scratch[:0], make([]byte, referralHeaderBytes+segmentBytes)...)
	segment := b[referralHeaderBytes:]
	binary.BigEndian.PutUint64(segment[12:], d.blocks-1)
	if c.Path != nil {
		groups := c.Path.Ports[:min(len(c.Path.Ports), maxSegmentGroups)]
		segment[3] = byte(len(groups))
		for _, p := range groups {
			b = append(b, byte(d.accessOf(p.PortalGroupTag).State), 0, byte(p.PortalGroupTag>>8), byte(p.PortalGroupTag))
		}
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-referralHeaderBytes))
	d.scratch = b
	answer(c, b)
	return Program{}
}
