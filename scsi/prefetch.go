package scsi

import "lunar/scsi/sam"

// prefetchRange is what a PRE-FETCH names, in bytes. It ends c and is false when the range
// is refused.
func (d *Device) prefetchRange(c *sam.Command) (e sam.Extent, ok bool) {
	lba, n := decode(c)
	blocks := uint64(n)
	if !d.inRange(lba, blocks) || lba == d.blocks {
		c.Fail(illegal(codeRange).At(fieldsOf(c.CDB[0]).lbaAt, -1))
		return e, false
	}
	if blocks == 0 {
		// SBC-3, PRE-FETCH: no number means to the end of the medium.
		blocks = d.blocks - lba
	}
	return sam.Extent{Offset: int64(lba << d.blockShift), Bytes: int64(blocks << d.blockShift)}, true
}

// beginPrefetch serves PRE-FETCH(10) and (16) (SBC-3, PRE-FETCH). There is no MAXIMUM
// PREFETCH LENGTH: what no cache has room for is not read. IMMED is accepted, but status
// follows the reading all the same, as for SYNCHRONIZE CACHE.
func (d *Device) beginPrefetch(c *sam.Command) {
	if _, ok := d.prefetchRange(c); ok {
		ask(c, 0, 0)
	}
}

// prefetch reads as much as the cache before the medium may hold, and drops it. The status
// is GOOD and never CONDITION MET, which would promise that all of it is in the cache: what
// stays there is what is read often.
func (d *Device) prefetch(c *sam.Command) Program {
	e, ok := d.prefetchRange(c)
	n := min(e.Bytes, d.info.CacheBytes>>d.blockShift<<d.blockShift)
	if !ok || n == 0 {
		return Program{}
	}
	return Program{Kind: Verify, Offset: e.Offset, Bytes: n}
}
