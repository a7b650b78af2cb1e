package scsi

import (
	"testing"

	"lunar/lun/blk"
)

// What the store says replaces what it said before, also when it stops to say.
func TestUsed_IsTheLast(t *testing.T) {
	d := testDevice()
	if d.usage.known {
		t.Error("known before anybody looked")
	}
	for _, u := range []blk.Usage{{Used: 5, Available: 7, Known: true}, {Used: 6, Available: 6, Known: true}, {}} {
		d.Used(u)
		if d.usage != (usage{u.Used, u.Available, u.Known}) {
			t.Errorf("%+v is %+v", u, d.usage)
		}
	}
}
