package lun

import (
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// What is here lets a third-party copy share blocks instead of moving them, where both units
// are in files of one file system that can (adr/0028). Everything a READ and a WRITE are checked for is
// checked: both commands of a piece begin, and neither ends before the medium has its answer.

// Sharer carries out what may take as long as a file system likes, off the reactors.
type Sharer interface {
	// Share has s.Do called, and then Local.Shared at the reactor s.Reactor.
	Share(s *Sharing)
}

// ShareBy says who does that, before the first command. Without one nothing is shared.
func (l *Local) ShareBy(s Sharer) { l.sharer = s }

// Sharing is one piece of a copy that is to be shared.
type Sharing struct {
	copy  *copying
	piece int

	from, to            blk.Backend
	source, destination int64
	bytes               int64
	durable             bool
	result              blk.Result
}

// Reactor is where its end is to be told.
func (s *Sharing) Reactor() int { return s.copy.local.reactor }

// Do shares, and waits for the file system.
func (s *Sharing) Do() {
	s.result = s.to.(blk.Sharer).Share(s.from, s.source, s.destination, s.bytes, s.durable)
}

// granule is what a segment can be shared in multiples of, 0 when it cannot. What a token
// stands for is read before it is asked whether it still lives, and what overlaps is
// read before it is written: both have to move.
func (k *copying) granule() int64 {
	to, can := k.destination.Unit.backend.(blk.Sharer)
	_, _, _, token := k.unit.device.Token(&k.plan)
	if !can || token || k.segment.Zero || k.inOrder || k.local.sharer == nil || k.source.Unit.backend == nil {
		return 0
	}
	return to.Granule(k.source.Unit.backend)
}

// shareable says whether a piece is.
func (k *copying) shareable(p *piece) bool {
	from, to := k.offsets(p)
	return k.shared > 0 && (from|to|p.bytes)%k.shared == 0
}

// offsets are where a piece is at its source and at its destination, in bytes.
func (k *copying) offsets(p *piece) (from, to int64) {
	from = int64(k.segment.SourceLBA) * int64(k.source.Unit.mapped.BlockBytes)
	return from + p.at, int64(k.segment.DestinationLBA)*int64(k.destination.Unit.mapped.BlockBytes) + p.at
}

// hold keeps the READ of a piece begun while its WRITE begins.
func (k *copying) hold(i int) {
	p := &k.pieces[i]
	p.reading, p.readTurn, p.held = p.command, p.turn, true
	k.begin(i, true)
}

// letGo ends the READ that a piece holds.
func (k *copying) letGo(p *piece) {
	if !p.held {
		return
	}
	p.held = false
	if p.reading.Status == sam.Good && p.written {
		p.commands++
	}
	k.local.Finish(k.source.Unit, &p.reading)
}

// share has a piece shared whose commands have both begun.
func (k *copying) share(i int) {
	p := &k.pieces[i]
	s := &Sharing{
		copy: k, piece: i, from: k.source.Unit.backend, to: k.destination.Unit.backend,
		bytes: p.bytes, durable: p.command.Extent.FUA,
	}
	s.source, s.destination = k.offsets(p)
	k.local.sharer.Share(s)
}

// Shared takes the end of a sharing.
func (l *Local) Shared(s *Sharing) {
	k, p := s.copy, &s.copy.pieces[s.piece]
	p.shares = false
	if s.result == blk.Unsupported && !k.over() {
		// It moves after all, and so do those that come.
		k.shared = 0
		k.transfer(p, blk.Read)
		return
	}
	p.request = blk.Request{Op: blk.Write, Offset: p.command.Extent.Offset, Length: p.bytes, Result: s.result}
	k.moved(s.piece)
	k.goOn()
}

// transfer moves the data of a piece to or from its buffer.
func (k *copying) transfer(p *piece, op blk.Op) {
	c, u, extent := &p.command, p.unit, p.command.Extent
	if p.held && op == blk.Read {
		u, extent = k.source.Unit, p.reading.Extent
	}
	p.request = blk.Request{
		Op: op, FUA: op == blk.Write && extent.FUA, Offset: extent.Offset, Length: extent.Bytes, Data: p.buf.Bytes()[:p.bytes], Tag: c.Owner,
	}
	k.local.Move(u, &p.request)
}

// readHeld takes the end of a read for a piece whose WRITE has begun. It is true when that goes
// on with what was read.
func (k *copying) readHeld(p *piece) bool {
	if !p.held || p.request.Op != blk.Read {
		return false
	}
	if p.request.Result == blk.OK && !k.over() {
		k.transfer(p, blk.Write)
		return true
	}
	return false
}

// failHeld is FailMedium for the command of a piece that the request was for.
func (k *copying) failHeld(p *piece) {
	c, u := &p.command, p.unit
	if p.held && p.request.Op == blk.Read {
		c, u = &p.reading, k.source.Unit
		p.write = false // what failed is the read
	}
	first := uint64(p.request.Offset+p.request.Progress) / uint64(u.mapped.BlockBytes)
	scsi.FailMedium(c, p.request.Result, p.write, first)
	k.fail(p)
}

// abortHeld takes a function that ends the READ that a piece holds, and by that the copy.
func (k *copying) abortHeld(p *piece) {
	p.reading.Status = sam.TaskAborted
	switch {
	case k.source.Unit == k.unit:
		k.stop()
	case !k.over():
		k.failed = true
		k.unit.device.FailCopy(k.command, &k.plan, false, sam.TaskAborted, sam.Sense{})
		k.withdraw()
	}
}
