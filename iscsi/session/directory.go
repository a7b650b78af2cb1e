package session

import "lunar/iscsi/pdu"

// directory finds live tasks by Initiator Task Tag: open addressing with linear
// probing, sized at start to at most a quarter full, so that the look-up every
// command needs costs one or two probes and no allocation.
type directory struct {
	slots []slot
	shift uint
}

type slot struct {
	tag  pdu.ITT
	used bool
	task uint32
}

func newDirectory(tasks int) directory {
	size, shift := 16, uint(28)
	for size < 4*tasks {
		size, shift = size*2, shift-1
	}
	return directory{make([]slot, size), shift}
}

// home spreads tags by Fibonacci hashing: initiators draw them in sequence or as
// pointers.
func (d *directory) home(t pdu.ITT) uint32 { return uint32(t) * 2654435769 >> d.shift }

func (d *directory) find(t pdu.ITT) (task uint32, ok bool) {
	mask := uint32(len(d.slots) - 1)
	for i := d.home(t); d.slots[i&mask].used; i++ {
		if s := &d.slots[i&mask]; s.tag == t {
			return s.task, true
		}
	}
	return 0, false
}

func (d *directory) add(t pdu.ITT, task uint32) {
	mask := uint32(len(d.slots) - 1)
	i := d.home(t) & mask
	for d.slots[i].used {
		i = (i + 1) & mask
	}
	d.slots[i] = slot{t, true, task}
}

// remove deletes a tag and moves later entries of its run back, so that probing
// needs no tombstones.
func (d *directory) remove(t pdu.ITT) {
	mask := uint32(len(d.slots) - 1)
	i := d.home(t) & mask
	for d.slots[i].used && d.slots[i].tag != t {
		i = (i + 1) & mask
	}
	if !d.slots[i].used {
		return
	}
	for j := (i + 1) & mask; d.slots[j].used; j = (j + 1) & mask {
		// An entry may move to i unless its home lies behind i in the run.
		if (j-d.home(d.slots[j].tag))&mask >= (j-i)&mask {
			d.slots[i] = d.slots[j]
			i = j
		}
	}
	d.slots[i] = slot{}
}
