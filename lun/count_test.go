package lun

import (
	"testing"

	"lunar/scsi/sam"
)

// Every end of a command is counted under one heading, and bytes only of data that moved.
func TestCounts_OneHeadingEach(t *testing.T) {
	var n Counts
	for _, c := range []sam.Command{
		{Action: sam.ReadMedium, Extent: sam.Extent{Bytes: 1 << 33}},
		{Action: sam.WriteMedium, Extent: sam.Extent{Bytes: 512}},
		{Action: sam.CompareMedium, Extent: sam.Extent{Bytes: 1024}},
		{Action: sam.ReadMedium, Status: sam.TaskAborted, Extent: sam.Extent{Bytes: 2048}},
		{Action: sam.Complete, Status: sam.CheckCondition, Sense: sam.NewSense(sam.MediumError, 0x1100), Extent: sam.Extent{Bytes: 4096}},
	} {
		n.count(outcomeOf(&c))
	}
	want := Counts{Reads: 1, ReadBytes: 1 << 33, Writes: 1, WriteBytes: 512, Others: 1, Aborted: 1}
	want.Failed[sam.MediumError] = 1
	if n != want {
		t.Errorf("%+v", n)
	}
	twice := n
	twice.Add(&n)
	if twice.ReadBytes != 1<<34 || twice.Failed[sam.MediumError] != 2 || twice.Aborted != 2 || twice.Others != 2 || twice.Writes != 2 {
		t.Errorf("%+v", twice)
	}
}
