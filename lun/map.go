package lun

import (
	"lunar/scsi"
	"lunar/scsi/sam"
)

// Map is the logical units of one target by number. It is built before the first
// session and does not change.
type Map struct {
	units []*Unit
	luns  []sam.LUN
	// absent answers for numbers without a unit, one for each reactor because its
	// device server, like every other, has one owner.
	absent []*Unit
}

// NewMap numbers the units from 0; a nil unit leaves its number empty. Inventory
// must be what the units' device servers report.
func NewMap(units []*Unit, reactors int, inv scsi.Inventory) *Map {
	m := &Map{units: units, luns: inv.LUNs()}
	for r := range reactors {
		m.absent = append(m.absent, NewUnit(r, scsi.NewAbsent(inv), nil))
	}
	return m
}

// Find returns the unit that a LUN addresses, and for any other LUN the one that
// answers in its place on this reactor, with false.
func (m *Map) Find(l sam.LUN, reactor int) (u *Unit, present bool) {
	n, ok := l.Number()
	if ok && int(n) < len(m.units) && m.units[n] != nil {
		return m.units[n], true
	}
	return m.absent[reactor], false
}

// Units are the units by number, nil where there is none.
func (m *Map) Units() []*Unit { return m.units }

// Inventory is a fixed list of LUNs for REPORT LUNS.
type Inventory []sam.LUN

// LUNs is the list, in increasing order.
func (i Inventory) LUNs() []sam.LUN { return i }
