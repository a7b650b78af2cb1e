package lun

import (
	"cmp"
	"slices"

	"lunar/scsi/sam"
)

// model is what the task set should hold, told in the order in which calls and
// messages reach the home. All its commands are TEST UNIT READY.
type model struct {
	arrivals int
	set      map[uint64]*member
	// queue are those that wait, in order; alone is the ORDERED command that runs.
	queue []uint64
	alone uint64
	// waiting are functions whose commands are not all gone.
	waiting map[uint64]*function
	// aborts counts the Abort events an owner should get; ended are the functions
	// that are carried out; statuses are those that commands began with.
	aborts   map[uint64]int
	ended    map[uint64]bool
	statuses map[uint64]sam.Status

	// The ACA: whose it is, and the command that attends to it.
	aca       bool
	faulted   sam.Nexus
	attending uint64
}

func newModel() model {
	return model{
		set: map[uint64]*member{}, waiting: map[uint64]*function{}, aborts: map[uint64]int{},
		ended: map[uint64]bool{}, statuses: map[uint64]sam.Status{},
	}
}

type member struct {
	c       *sam.Command
	arrival int
	// let says that it was let in during an ACA; naca is taken away with its nexus.
	let, naca bool
}

type function struct {
	kind   sam.Function
	nexus  sam.Nexus
	place  uint32
	before int
}

func (f *function) affects(m *member) bool {
	switch {
	case m.arrival > f.before, m.c.Nexus == f.nexus && m.c.Place > f.place:
		return false
	case f.kind == sam.ClearACA:
		return m.let && m.c.Nexus == f.nexus
	}
	return f.kind != sam.AbortTaskSet || m.c.Nexus == f.nexus
}

// begin takes a new command.
func (m *model) begin(c *sam.Command) {
	m.arrivals++
	x := &member{c: c, arrival: m.arrivals, naca: c.NACA()}
	m.set[c.Owner] = x
	mine := c.Nexus == m.faulted
	switch {
	case !m.aca && c.Attribute == sam.ACA:
		m.statuses[c.Owner] = sam.CheckCondition
	case m.aca && mine && c.Attribute == sam.ACA && m.attending == 0:
		m.attending, x.let = c.Owner, true
		m.statuses[c.Owner] = sam.Good
	case m.aca && (mine || c.Attribute == sam.ACA || x.naca):
		m.statuses[c.Owner] = sam.ACAActive
	case m.aca:
		m.statuses[c.Owner] = sam.Busy
	case c.Attribute == sam.HeadOfQueue:
		m.statuses[c.Owner] = sam.Good
	default:
		m.queue = append(m.queue, c.Owner)
		m.advance()
	}
}

// running is how many have begun and are not finished.
func (m *model) running() int { return len(m.set) - len(m.queue) }

// advance begins what waits and may.
func (m *model) advance() {
	for len(m.queue) > 0 && !m.aca && m.alone == 0 {
		owner := m.queue[0]
		if m.set[owner].c.Attribute == sam.Ordered {
			if m.running() > 0 {
				return
			}
			m.alone = owner
		}
		m.queue = m.queue[1:]
		m.statuses[owner] = sam.Good
	}
}

func (m *model) manage(owner uint64, f function) {
	f.before = m.arrivals
	m.waiting[owner] = &f
	// The unit looks at its slab in order, and who is ended makes room for others.
	var all []uint64
	for o, c := range m.set {
		if f.affects(c) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b uint64) int { return cmp.Compare(m.set[a].c.Ticket, m.set[b].c.Ticket) })
	for _, o := range all {
		m.aborts[o]++
		if i := slices.Index(m.queue, o); i >= 0 {
			m.queue = slices.Delete(m.queue, i, i+1)
			m.statuses[o] = sam.TaskAborted
			m.advance()
		}
	}
	m.conclude()
}

func (m *model) finish(owner uint64, status sam.Status) {
	x := m.set[owner]
	delete(m.set, owner)
	attending := m.attending == owner
	if attending {
		m.attending = 0
	}
	if status == sam.CheckCondition && (!m.aca || attending) {
		if m.aca = x.naca; m.aca {
			m.faulted = x.c.Nexus
		}
	}
	if m.alone == owner {
		m.alone = 0
	}
	m.conclude()
}

// conclude ends the functions whose commands are gone.
func (m *model) conclude() {
	for owner, f := range m.waiting {
		held := false
		for _, c := range m.set {
			held = held || f.affects(c)
		}
		if held {
			continue
		}
		delete(m.waiting, owner)
		m.ended[owner] = true
		switch f.kind {
		case sam.ClearACA:
			m.clear(f.nexus)
		case sam.LogicalUnitReset, sam.TargetWarmReset, sam.TargetColdReset:
			m.clear(m.faulted)
		default:
		}
	}
	m.advance()
}

// clear ends the ACA of a nexus.
func (m *model) clear(n sam.Nexus) {
	if m.faulted == n {
		m.aca, m.attending = false, 0
	}
}

// lose is the loss of a nexus.
func (m *model) lose(n sam.Nexus) {
	m.clear(n)
	for _, x := range m.set {
		x.naca = x.naca && x.c.Nexus != n
	}
	m.advance()
}
