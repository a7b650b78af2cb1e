package lun

import (
	"bytes"
	"slices"

	"lunar/scsi"
	"lunar/scsi/sam"
)

// What is here is for ROD tokens (adr/0026): the home of the unit that made one ends it before
// its blocks change, and everybody who reads by it asks there, behind each read, whether it
// still lives.

// guard has every command begin at the home while ROD tokens of the unit live.
func (u *Unit) guard(l *Local) {
	if u.device.Tokens() == 0 {
		u.unguard()
		return
	}
	if u.guarded {
		return
	}
	u.guarded = true
	u.mirrorAll()
	if !slices.Contains(l.guarded, u) {
		l.guarded = append(l.guarded, u)
	}
}

// unguard lets plain reads and writes through the gate again when no token lives any more.
func (u *Unit) unguard() {
	if u.guarded && u.device.Tokens() == 0 {
		u.guarded = false
		u.mirrorAll()
	}
}

// Ages says whether something here waits for the next Age.
func (l *Local) Ages() bool { return len(l.guarded) > 0 }

// Age is called once a second while it is waited for.
func (l *Local) Age() {
	for _, u := range l.guarded {
		u.device.Age()
		u.unguard()
	}
	l.guarded = slices.DeleteFunc(l.guarded, func(u *Unit) bool { return !u.guarded })
}

// claim is a copy's question for a token.
type claim struct {
	copy   *copying
	token  []byte
	answer scsi.Claim
}

// claim asks the unit that made the token of a copy for it. It is false when the answer is
// there, or there is nobody to be asked.
func (k *copying) claim() bool {
	place, token, asks := k.unit.device.Claims(k.command, &k.plan)
	if !asks {
		return false
	}
	maker := k.entry(place).Unit
	if maker.home == k.local.reactor {
		k.failed = !k.unit.device.Claimed(k.command, &k.plan, maker.device.Claim(token))
		return false
	}
	k.claiming = true
	k.local.post.Post(maker.home, Message{kind: askClaim, unit: maker, claim: &claim{copy: k, token: bytes.Clone(token)}})
	return true
}

// answered takes the answer of the unit that made the token.
func (k *copying) answered(answer scsi.Claim) {
	k.claiming = false
	c := k.command
	if !k.stopped {
		k.failed = !k.unit.device.Claimed(c, &k.plan, answer)
	}
	if k.start() {
		k.local.tell(c.Owner, Event{Kind: Executed, Command: c})
	}
}

// start begins to move data. It is true when the command has ended, with the copy or because
// that goes on without it.
func (k *copying) start() bool {
	if k.plan.Immediate() && !k.over() {
		k.detach()
		k.run()
		k.conclude()
		return true
	}
	k.run()
	return k.conclude()
}

// detach has the command of a copy end well. Another one stands for it from then on.
func (k *copying) detach() {
	c := k.command
	k.unit.sides[k.unit.home].tasks.entries[c.Ticket].copying = nil
	k.detached = true
	k.command = &sam.Command{
		Nexus: c.Nexus, LUN: c.LUN, Place: c.Place, Numbered: c.Numbered, CDB: c.CDB, CDBBytes: c.CDBBytes,
		Path: c.Path, DescriptorSense: c.DescriptorSense,
	}
}

// entry is a place of the map that the command of a copy came through.
func (k *copying) entry(place int) Entry { return k.command.Path.Map.(*Map).place(place) }

// vouch asks whether what a piece has read is what its token stands for, before it is written.
func (k *copying) vouch(i int) {
	place, number, _, has := k.unit.device.Token(&k.plan)
	if !has {
		k.begin(i, true)
		return
	}
	maker := k.entry(place).Unit
	if maker.home == k.local.reactor {
		k.vouched(i, maker.device.Vouch(number))
		return
	}
	k.local.post.Post(maker.home, Message{kind: askVouch, unit: maker, token: number, Event: Event{Owner: k.ownerOf(i)}})
}

// vouchOf is the answer.
func vouchOf(u *Unit, number uint64) EventKind {
	if u.device.Vouch(number) {
		return Vouched
	}
	return Disowned
}

// vouched takes the answer.
func (k *copying) vouched(i int, lives bool) {
	switch p := &k.pieces[i]; {
	case k.over():
		k.end(p)
	case !lives:
		k.failed = true
		k.unit.device.CancelCopy(k.command)
		k.withdraw()
		k.end(p)
	default:
		k.begin(i, true)
	}
}

// releaseToken says that a copy does not use its token any more.
func (k *copying) releaseToken() {
	place, number, deletes, has := k.unit.device.Token(&k.plan)
	if !has {
		return
	}
	maker := k.entry(place).Unit
	if maker.home == k.local.reactor {
		maker.forgo(number, deletes)
		return
	}
	k.local.post.Post(maker.home, Message{kind: askRelease, unit: maker, token: number, found: deletes})
}

func (u *Unit) forgo(number uint64, deletes bool) {
	u.device.Release(number, deletes)
	u.unguard()
}

// stopCopies stops the copies of the unit that go on without a command, of nexuses for which
// ends is true.
func (u *Unit) stopCopies(l *Local, ends func(sam.Nexus) bool) {
	for _, k := range l.copies {
		if k != nil && k.detached && k.unit == u && ends(k.command.Nexus) {
			k.stop()
		}
	}
}

// endsCopyOf says whether a function ends what a nexus has copied without a command: those
// end it that would end the command. What such a copy writes at its unit now is in the task
// set there, and it begins nothing more.
func (m *Management) endsCopyOf(n sam.Nexus) bool {
	switch m.Function {
	case sam.AbortTaskSet:
		return n == m.Nexus
	case preemption:
		return slices.Contains(m.victims, n)
	case sam.ClearTaskSet, sam.LogicalUnitReset, sam.TargetWarmReset, sam.TargetColdReset:
		return true
	default:
		return false
	}
}
