package scsi

import "lunar/scsi/sam"

// beginSynchronize serves SYNCHRONIZE CACHE(10) and (16) (SBC-3 §5.26, §5.27).
//
// The range is checked and then widened to the whole medium, which the standard
// allows. IMMED is accepted, but status follows the flush all the same: an error
// after an early status could only be a deferred error that nobody awaits.
func (d *Device) beginSynchronize(c *sam.Command) {
	lba, blocks := decode(c)
	if !d.inRange(lba, uint64(blocks)) {
		c.Fail(illegal(codeRange).At(fieldsOf(c.CDB[0]).lbaAt, -1))
		return
	}
	ask(c, 0, 0)
}

func (d *Device) synchronize(*sam.Command) Program { return Program{Kind: Sync} }
