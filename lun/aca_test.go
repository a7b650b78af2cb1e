package lun

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

const (
	ready, readyNACA = "00", "00 00 00 00 00 04"
	read1NACA        = "28 00 00 00 00 00 00 00 01 04"
	// beyond ends with 05/2100.
	beyond, beyondNACA = "28 00 ff ff ff ff 00 00 01", "28 00 ff ff ff ff 00 00 01 04"
)

// run carries a command to its decision and ends it.
func (w *world) run(r int, id uint64, attribute sam.Attribute, cdb string) *sam.Command {
	w.t.Helper()
	c, begun := w.issue(r, id, attribute, cdb)
	if !begun {
		w.want(c.Owner, Begun)
	}
	w.finish(r, c)
	return c
}

// fault has the nexus of a reactor establish an ACA.
func (w *world) fault(r int) {
	w.t.Helper()
	if c := w.run(r, 1<<41, sam.Simple, beyondNACA); c.Sense.Code != 0x2100 || !w.unit.aca.established || w.unit.aca.faulted != c.Nexus {
		w.t.Fatalf("%v %+v, ACA %+v", c.Status, c.Sense, w.unit.aca)
	}
}

func (w *world) clearACA(r int) {
	w.t.Helper()
	w.manage(r, 1<<42, sam.ClearACA)
	w.want(Owner(r, 1<<42), Managed)
}

// goesOn checks that there is no ACA and that plain reads of both nexuses stay on their
// reactors.
func (w *world) goesOn() {
	w.t.Helper()
	for r := range 2 {
		w.finish(r, w.mustIssue(r, 1<<43, sam.Simple, read1, true))
	}
	if a := &w.unit.aca; a.shuts() || a.attended {
		w.t.Fatalf("ACA %+v", a)
	}
	w.idle()
}

// acaCell is a cell of the tables of SAM-5 §5.9.3 and §5.9.4.
type acaCell struct {
	faulted, attended bool // the nexus of the command, and whether an ACA command runs
	attribute         sam.Attribute
	naca              bool
}

// want is what the tables say, by TST 0.
func (k acaCell) want() sam.Status {
	switch {
	case k.faulted && k.attribute == sam.ACA && !k.attended:
		return sam.Good
	case k.faulted, k.attribute == sam.ACA, k.naca:
		return sam.ACAActive
	}
	return sam.Busy
}

func acaCells() (all []acaCell) {
	for bits := range 8 {
		for attribute := sam.Untagged; attribute <= sam.ACA; attribute++ {
			all = append(all, acaCell{bits&1 != 0, bits&2 != 0, attribute, bits&4 != 0})
		}
	}
	return all
}

// Every cell, on whatever reactor the nexus is, and for INQUIRY, REQUEST SENSE and
// REPORT LUNS too.
func TestACA_NewCommands(t *testing.T) {
	cdbs := map[string][]byte{
		"TEST UNIT READY": {0, 0, 0, 0, 0, 0}, "REQUEST SENSE": {3, 0, 0, 0, 18, 0}, "INQUIRY": {0x12, 0, 0, 0, 96, 0},
		"READ": {0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, "REPORT LUNS": {0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0},
	}
	for name, cdb := range cdbs {
		for _, k := range acaCells() {
			for at := range 2 {
				w := newGateWorld(t)
				w.fault(at)
				var attending *sam.Command
				if k.attended {
					attending, _ = w.issue(at, 1, sam.ACA, read1)
					w.settle()
					w.take(attending.Owner)
				}
				r := at
				if !k.faulted {
					r = 1 - at
				}
				cdb := bytes.Clone(cdb)
				if k.naca {
					cdb[len(cdb)-1] = 4
				}
				c := w.run(r, 2, k.attribute, fmt.Sprintf("%x", cdb))
				if c.Status != k.want() || c.Status != sam.Good && (c.Action != sam.Complete || c.DataInBytes != 0) {
					t.Errorf("%s, %+v: status %02x, want %02x", name, k, c.Status, k.want())
				}
				if k.attended {
					w.finish(at, attending)
				}
				w.clearACA(at)
				w.goesOn()
			}
		}
	}
}

// SAM-5 §8.6: without an ACA the attribute is 05/4900. It comes before everything the
// device server has to say, which stays to be said; with NACA it establishes one.
func TestACA_AttributeWithoutOne(t *testing.T) {
	for r := range 2 {
		for cdb, naca := range map[string]bool{ready: false, "12 00 00 00 60": false, "ff": false, read1: false, read1NACA: true} {
			w := newGateWorld(t)
			w.locals[home].Attend(w.unit, sam.Nexus(r), scsi.LUNsChanged)
			w.settle()
			c := w.run(r, 1, sam.ACA, cdb)
			if c.Status != sam.CheckCondition || c.Sense.Key != sam.IllegalRequest || c.Sense.Code != 0x4900 || w.unit.aca.established != naca {
				t.Errorf("%s: %v %+v, ACA %v", cdb, c.Status, c.Sense, w.unit.aca.established)
			}
			w.clearACA(r)
			w.attention(r, 0x3f0e)
			w.goesOn()
		}
	}
}

// What establishes an ACA is NACA and CHECK CONDITION, whoever decided on that: the
// device server before or after the data, the medium, or the transport.
func TestACA_Establishes(t *testing.T) {
	medium := func(w *world, c *sam.Command) { scsi.FailMedium(c, blk.MediumError, false, 0) }
	attention := func(w *world, _ *sam.Command) { w.locals[home].Attend(w.unit, away, scsi.LUNsChanged) }
	reserved := func(w *world, _ *sam.Command) {
		x := w.mustIssue(home, 7, sam.Simple, "16", true)
		w.execute(home, x, nil)
		w.finish(home, x)
	}
	for _, k := range []struct {
		name, cdb     string
		out           []byte
		before, after func(*world, *sam.Command)
		want          bool
	}{
		{"range", beyondNACA, nil, nil, nil, true},
		{"range without NACA", beyond, nil, nil, nil, false},
		{"unknown opcode", "05 00 00 00 00 04", nil, nil, nil, true},
		{"unit attention", readyNACA, nil, attention, nil, true},
		{"unit attention without NACA", ready, nil, attention, nil, false},
		{"parameter list", "42 00 00 00 00 00 00 00 18 04", bytes.Repeat([]byte{0xff}, 24), nil, nil, true},
		{"medium", read1NACA, nil, nil, medium, true},
		{"medium without NACA", read1, nil, nil, medium, false},
		{"program", "2f 00 00 00 00 00 00 00 01 04", nil, func(w *world, _ *sam.Command) {
			w.disk.refuse = func(*blk.Request) blk.Result { return blk.MediumError }
		}, nil, true},
		{"transport", "2a 00 00 00 00 00 00 00 01 04", nil, nil, func(_ *world, c *sam.Command) {
			c.Fail(sam.NewSense(sam.AbortedCommand, 0x0c0c))
		}, true},
		{"GOOD", readyNACA, nil, nil, nil, false},
		{"reservation conflict", read1NACA, nil, reserved, nil, false},
		{"aborted", read1NACA, nil, nil, func(_ *world, c *sam.Command) { c.Status = sam.TaskAborted }, false},
	} {
		w := newGateWorld(t)
		c := command(t, away, 1, k.cdb)
		if k.before != nil {
			k.before(w, c)
			w.settle()
		}
		if !w.locals[away].Begin(w.unit, c) {
			w.want(c.Owner, Begun)
		}
		if c.Action == sam.Execute && !w.execute(away, c, k.out) {
			w.want(c.Owner, Executed)
		}
		if k.after != nil {
			k.after(w, c)
		}
		w.finish(away, c)
		w.disk.refuse = nil
		if a := &w.unit.aca; a.established != k.want || a.established && a.faulted != away || a.watched != 0 {
			t.Errorf("%s: %v %+v, ACA %+v", k.name, c.Status, c.Sense, a)
		}
		w.manage(home, 8, sam.LogicalUnitReset)
		w.want(Owner(home, 8), Managed)
		w.attention(home, 0x2903)
		w.attention(away, 0x2903)
		for w.unit.device.Plain(away) != true {
			w.run(away, 9, sam.Simple, ready)
		}
		w.goesOn()
	}
}

// What waits when the ACA comes waits until it is cleared, of whatever nexus, and then
// goes on in order; what has begun ends as if nothing had been.
func TestACA_BlocksWhatWaits(t *testing.T) {
	for at := range 2 {
		w := newGateWorld(t)
		running := [2]*sam.Command{w.mustIssue(home, 1, sam.Simple, read1, true), w.mustIssue(away, 1, sam.Simple, write1, true)}
		faulting, begun := w.issue(at, 2, sam.Simple, beyondNACA)
		if !begun {
			w.want(faulting.Owner, Begun)
		}
		first := w.mustIssue(home, 3, sam.Ordered, write1, false)
		w.settle()
		second := w.mustIssue(away, 4, sam.Ordered, write1, false)
		w.settle()
		w.finish(at, faulting)
		for r, c := range running {
			c.Status = sam.Good
			w.finish(r, c)
		}
		w.want(first.Owner)
		w.want(second.Owner)
		attending := w.run(at, 5, sam.ACA, read1) // passes those that wait
		if attending.Action != sam.ReadMedium {
			t.Errorf("the ACA command: %v %+v", attending.Status, attending.Sense)
		}
		w.clearACA(1 - at) // of a nexus that is not the faulted one: nothing
		w.want(first.Owner)
		w.clearACA(at)
		w.want(first.Owner, Begun)
		w.want(second.Owner)
		w.finish(home, first)
		w.want(second.Owner, Begun)
		w.finish(away, second)
		if first.Action != sam.WriteMedium || second.Action != sam.WriteMedium {
			t.Errorf("blocked commands ended as %v and %v", first.Status, second.Status)
		}
		w.goesOn()
	}
}

// While a command with NACA runs, and during an ACA, no plain command passes the gate: the
// word of the end may be on its way to the home when the initiator sends the next.
func TestACA_ShutsTheGate(t *testing.T) {
	w := newGateWorld(t)
	c := w.mustIssue(away, 1, sam.Simple, beyondNACA, false)
	w.want(c.Owner, Begun)
	w.locals[away].Finish(w.unit, c) // the home has not heard yet
	next := w.mustIssue(away, 2, sam.Simple, read1, false)
	w.want(next.Owner, Begun)
	if next.Status != sam.ACAActive {
		t.Errorf("the read behind: %02x", next.Status)
	}
	w.finish(away, next)
	w.clearACA(away)
	// One that ends well opens the gate again.
	c = w.mustIssue(away, 3, sam.Simple, read1NACA, false)
	w.want(c.Owner, Begun)
	w.finish(away, w.mustIssue(home, 4, sam.Simple, read1, true))
	other := w.mustIssue(away, 5, sam.Simple, read1, false)
	w.want(other.Owner, Begun)
	w.finish(away, other)
	w.finish(away, c)
	w.goesOn()
}
