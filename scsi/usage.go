package scsi

import "lunar/lun/blk"

// usage is how much of the store behind the medium is taken, in bytes; known says that the
// store tells.
type usage struct {
	used, available int64
	known           bool
}

// Used takes what the medium takes of its store. It changes while the unit serves, and is
// as old as the last look at the store.
func (d *Device) Used(u blk.Usage) { d.usage = usage{u.Used, u.Available, u.Known} }
