package lun

import (
	"slices"

	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// What is here changes a unit while it serves: its size, and whether it is reached
// from a reactor at all.

// Resize tells a unit that its medium has another size. Commands that have begun
// end with the old one; every nexus hears 2A/09. It is called at the unit's home.
func (l *Local) Resize(u *Unit, info blk.Info) {
	u.resize = &info
	u.advance(l)
}

// KeepSize takes back a Resize that was not carried out yet, and lets in what waited
// for it. It is called at the unit's home.
func (l *Local) KeepSize(u *Unit) {
	u.resize = nil
	u.advance(l)
}

// Present tells a unit whether its medium can be reached. It is called at the unit's home.
func (l *Local) Present(u *Unit, is bool) {
	u.device.Present(is)
	u.mirrorAll()
}

// Used tells a unit how much of the store behind its medium is taken. It is called at the
// unit's home.
func (l *Local) Used(u *Unit, usage blk.Usage) {
	if u.device.Used(usage) {
		u.mirrorAll()
	}
}

// resized carries out a change of size when nothing runs beside it. It is false
// while something does: whoever ends last comes here again.
func (u *Unit) resized() bool {
	if u.resize == nil {
		return true
	}
	if u.alone || u.background != nil {
		return false
	}
	u.gate.close()
	if u.begun > 0 || !u.gate.empty() {
		return false
	}
	u.info = *u.resize
	u.resize = nil
	u.device.Resize(u.info)
	u.mirrorAll()
	return true
}

// SetAccess tells a unit the access states of target port groups that the operator has
// set. It is called at the unit's home.
func (l *Local) SetAccess(u *Unit, states []scsi.GroupAccess) {
	u.device.SetAccess(states)
	u.mirrorAll()
}

// Attend makes a unit attention pending for a nexus (SAM-5 §5.14).
func (l *Local) Attend(u *Unit, n sam.Nexus, a scsi.Attention) {
	if u.home == l.reactor {
		u.attend(n, a)
		return
	}
	l.post.Post(u.home, Message{kind: askAttend, unit: u, nexus: n, attention: a})
}

func (u *Unit) attend(n sam.Nexus, a scsi.Attention) {
	u.device.Attend(n, a)
	u.mirror(n)
}

// Retire says that no map will lead to a unit any more. Third-party copies that began before
// do not find it from then on.
func (u *Unit) Retire() { u.gate.retired.Store(true) }

// Idle says whether this reactor holds no command of a unit, so that its queue may
// go. A unit that no map leads to gets no new ones.
func (l *Local) Idle(u *Unit) bool {
	return !l.copiesWith(u) && u.Tasks(l.reactor) == 0 && (u.home != l.reactor || u.begun == 0 && len(u.waiting) == 0 && u.background == nil)
}

// Detach takes a unit's queue off this reactor, if it has one here. The unit is
// idle on every reactor, and nobody finds it any more.
func (l *Local) Detach(u *Unit) {
	l.guarded = slices.DeleteFunc(l.guarded, func(o *Unit) bool { return o == u })
	s := u.side(l.reactor)
	if s == nil {
		return
	}
	for i := range l.sides {
		if l.sides[i] == s {
			l.sides[i] = nil
			l.freeSides = append(l.freeSides, i)
		}
	}
	s.queue = nil
}
