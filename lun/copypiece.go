package lun

import (
	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// piece is one part of a segment on its way.
type piece struct {
	// command is with unit while asking: its Begun has not come yet.
	command sam.Command
	unit    *Unit
	asking  bool
	write   bool
	// commands of it have ended well. aborted: a function ended the one that runs; written:
	// it is at its destination.
	commands         int
	aborted, written bool
	request          blk.Request
	buf              *buf.Buf
	// at and bytes are the part of the segment.
	at, bytes int64
	turn      uint32
	// shares: it is to be shared instead of moved. held: reading, whose turn was readTurn, has
	// begun too, and ends with it.
	shares, held bool
	reading      sam.Command
	readTurn     uint32
}

// begin sends the READ or the WRITE of a piece to its unit.
func (k *copying) begin(i int, write bool) {
	p := &k.pieces[i]
	e, lba := k.source, k.segment.SourceLBA
	if write {
		e, lba = k.destination, k.segment.DestinationLBA
	}
	p.write = write
	if e.Unit.gate.retired.Load() {
		if !k.over() {
			k.failed = true
			k.unit.device.LoseCopy(k.command, &k.plan, write)
		}
		k.end(p)
		return
	}
	p.turn++
	p.unit, p.asking = e.Unit, true
	block := int64(e.Unit.mapped.BlockBytes)
	p.command.Reset()
	c := &p.command
	c.Nexus, c.Place, c.Numbered, c.Path, c.ReadOnly = k.command.Nexus, k.command.Place, k.command.Numbered, k.command.Path, e.ReadOnly
	// What waits at the unit may wait for this copy; it waits for nobody (adr/0024).
	c.Attribute, c.Part, c.Replaces = sam.HeadOfQueue, true, sam.NoTicket
	switch {
	case k.detached:
		c.Attribute = sam.Simple // nobody waits for it
	case e.Unit == k.unit:
		c.Replaces = k.command.Ticket
	}
	c.Owner = k.ownerOf(i)
	scsi.LayOutTransfer(c, write, lba+uint64(p.at/block), uint32(p.bytes/block))
	if k.local.Begin(e.Unit, c) {
		k.begun(i)
	}
}

// ownerOf is the owner of what a piece has under way now.
func (k *copying) ownerOf(i int) uint64 {
	return Owner(k.local.reactor, ownCopy|uint64(k.slot)<<copySlotShift|uint64(i)<<copyPieceShift|uint64(k.pieces[i].turn))
}

// begun takes what the device server of a unit decided of a piece.
func (k *copying) begun(i int) {
	p := &k.pieces[i]
	p.asking = false
	c := &p.command
	switch {
	case c.Action == sam.Complete:
		k.fail(p)
		fallthrough
	case k.over():
		k.finish(p)
		k.end(p)
		return
	}
	switch {
	case p.shares && p.write:
		k.share(i)
	case p.shares:
		k.hold(i)
	case p.write:
		k.transfer(p, blk.Write)
	default:
		k.transfer(p, blk.Read)
	}
}

// moved takes the end of the request of a piece.
func (k *copying) moved(i int) {
	p := &k.pieces[i]
	if k.readHeld(p) {
		return
	}
	if p.request.Result != blk.OK {
		k.failHeld(p)
	}
	k.finish(p)
	if !p.write && !k.over() {
		k.vouch(i)
		return
	}
	if p.write && p.request.Result == blk.OK {
		p.written, k.wrote = true, true
	}
	k.end(p)
}

// over says whether nothing of the copy is begun any more.
func (k *copying) over() bool { return k.failed || k.stopped }

// fail ends the copy with the outcome of a piece, unless it has one.
func (k *copying) fail(p *piece) {
	if k.over() {
		return
	}
	k.failed = true
	k.unit.device.FailCopy(k.command, &k.plan, p.write, p.command.Status, p.command.Sense)
	k.withdraw()
}

// finish takes the command of a piece out of the task set of its unit.
func (k *copying) finish(p *piece) {
	if p.aborted {
		p.command.Status = sam.TaskAborted
	}
	if p.command.Status == sam.Good {
		p.commands++
	}
	k.local.Finish(p.unit, &p.command)
	p.aborted = false
	p.turn++ // what still comes for the command is for nobody
}

// end gives back what a piece had, and tells how far the copy is.
func (k *copying) end(p *piece) {
	k.letGo(p)
	p.buf.Release()
	p.buf = nil
	k.running--
	k.local.pieces--
	if !p.written {
		k.gap = min(k.gap, p.at)
	}
	n := max(k.written(), k.told)
	k.unit.device.Copied(k.command, &k.plan, p.commands, n-k.told)
	k.told = n
}

// copied takes an event of a command or request of a copy of this reactor.
func (l *Local) copied(e Event) {
	own := OwnerBits(e.Owner) &^ ownCopy
	k := l.copies[own>>copySlotShift]
	i := int(own >> copyPieceShift & (maxCopyPieces - 1))
	if k != nil && e.Kind == Abort && k.pieces[i].held && k.pieces[i].readTurn == uint32(own) {
		k.abortHeld(&k.pieces[i])
		k.goOn()
		return
	}
	if k == nil || k.pieces[i].buf == nil || k.pieces[i].turn != uint32(own) {
		return // an Abort that came when its command had ended
	}
	switch e.Kind {
	case Begun:
		k.begun(i)
	case Moved:
		k.moved(i)
	case Abort:
		k.abort(i)
	case Vouched, Disowned:
		k.vouched(i, e.Kind == Vouched)
	case Executed, Managed:
		panic("lun: a copy executes and manages nothing")
	}
	k.goOn()
}

// abort takes a function that ends the command of a piece, and by that the copy. At the unit
// of the copy it ends the command of that too.
func (k *copying) abort(i int) {
	p := &k.pieces[i]
	p.aborted = true
	if p.unit == k.unit {
		k.stop()
		return
	}
	p.command.Status, p.command.Sense = sam.TaskAborted, sam.Sense{}
	k.fail(p)
}
