package lun

import (
	"slices"

	"lunar/scsi"
	"lunar/scsi/sam"
)

// Map is the logical units that an initiator sees at a target port, by number. It
// does not change; sessions change to another one.
type Map struct {
	path    sam.Path
	entries []Entry
	// absent answers for numbers without a unit, by reactor.
	absent []*Unit
}

// Entry is one number of a Map. Without a unit it is empty.
type Entry struct {
	Unit *Unit
	// ReadOnly keeps the initiators of this map from writing to the unit.
	ReadOnly bool
}

// NewMap numbers entries from 0. Path names the target port; its LUNs and what belongs to
// them are filled in here. Absent are the units of [NewAbsent], by reactor.
func NewMap(path sam.Path, entries []Entry, absent []*Unit) *Map {
	m := &Map{path: path, entries: entries, absent: absent}
	m.path.LUNs, m.path.Units, m.path.Map = nil, nil, m
	for n, e := range entries {
		if e.Unit != nil {
			m.path.LUNs = append(m.path.LUNs, sam.LUNOf(uint16(n)))
			m.path.Units = append(m.path.Units, e.Unit.mapped)
		}
	}
	return m
}

// NewAbsent returns what answers for numbers without a unit, one for each reactor,
// because its device server, like every other, has one owner.
func NewAbsent(reactors int) []*Unit {
	units := make([]*Unit, reactors)
	for r := range units {
		units[r] = NewUnit(r, scsi.NewAbsent(), nil)
	}
	return units
}

// Find returns the entry that a LUN addresses, and for any other LUN the one whose
// unit answers in its place on this reactor, with false.
func (m *Map) Find(l sam.LUN, reactor int) (e Entry, present bool) {
	n, ok := l.Number()
	if ok && int(n) < len(m.entries) && m.entries[n].Unit != nil {
		return m.entries[n], true
	}
	return Entry{Unit: m.absent[reactor]}, false
}

// place is the entry of a place in Path.LUNs.
func (m *Map) place(i int) Entry {
	n, _ := m.path.LUNs[i].Number()
	return m.entries[n]
}

// Path is how commands come through this map.
func (m *Map) Path() *sam.Path { return &m.path }

// Units calls f for every unit, once for each of its numbers.
func (m *Map) Units(f func(*Unit)) {
	for _, e := range m.entries {
		if e.Unit != nil {
			f(e.Unit)
		}
	}
}

// Leads says whether some number of the map leads to a unit.
func (m *Map) Leads(u *Unit) bool {
	return slices.ContainsFunc(m.entries, func(e Entry) bool { return e.Unit == u })
}

// Same says whether two maps lead to the same units by the same numbers.
func (m *Map) Same(o *Map) bool {
	if len(m.path.LUNs) != len(o.path.LUNs) {
		return false
	}
	for n := range max(len(m.entries), len(o.entries)) {
		if m.at(n) != o.at(n) {
			return false
		}
	}
	return true
}

func (m *Map) at(n int) Entry {
	if n < len(m.entries) {
		return m.entries[n]
	}
	return Entry{}
}
