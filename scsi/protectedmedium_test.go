package scsi

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// guarded is a model disk that keeps protection information, and runs programs on it as a
// unit on such a medium does.
type guarded struct {
	d            *Device
	data, tuples []byte
	block        int64
	// seen hears of every step, if anybody wants to.
	seen func(Step)
}

func newGuarded(d *Device) *guarded {
	return &guarded{
		d: d, block: int64(d.info.BlockBytes),
		data: make([]byte, d.info.Bytes), tuples: bytes.Repeat([]byte{0xff}, int(d.blocks)*pi.Bytes),
	}
}

// step carries out one step, and is false when a check of the medium or of the program fails.
func (g *guarded) step(t testing.TB, c *sam.Command, p *Program, s Step) bool {
	t.Helper()
	if g.seen != nil {
		g.seen(s)
	}
	f, lba := g.d.Format(), uint64(s.Offset/g.block)
	data, tuples := g.data[s.Offset:][:s.Length], g.tuples[s.Offset/g.block*pi.Bytes:][:s.Length/g.block*pi.Bytes]
	if most := int64(blk.MaxProtectedBytes); s.Tuples && (s.Length > most || s.Op != blk.Read && s.Op != blk.Write) {
		t.Fatalf("step %+v", s)
	}
	switch s.Op {
	case blk.Write:
		g.d.Supply(c, p, s.Offset, data)
		if s.Tuples {
			g.d.SupplyTuples(c, p, s.Offset, tuples)
		} else {
			f.Generate(tuples, data, int(g.block), lba)
		}
	case blk.Read:
		if s.Tuples {
			return g.d.CheckTuples(c, p, s.Offset, data, tuples)
		}
		e := f.Plain(lba)
		if n, wrong := e.Verify(tuples, data, int(g.block)); wrong != 0 {
			r := map[pi.Checks]blk.Result{pi.Guard: blk.WrongGuard, pi.Reference: blk.WrongReferenceTag}[wrong]
			FailMedium(c, r, false, lba+uint64(n))
			return false
		}
		return g.d.Check(c, p, s.Offset, data)
	case blk.Discard, blk.Zero:
		clear(data)
		if s.Op == blk.Discard || s.Bare {
			fill(tuples, 0xff)
		} else {
			f.GenerateZeros(tuples, lba)
		}
	default:
		t.Fatalf("step %+v", s)
	}
	return true
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// do serves a whole command and returns it with its data for the initiator.
func (g *guarded) do(t testing.TB, c *sam.Command, out []byte) []byte {
	t.Helper()
	in, p := serve(t, g.d, c, out)
	if p.Kind != 0 {
		for s, more := g.d.Next(c, &p); more && g.step(t, c, &p, s); s, more = g.d.Next(c, &p) {
		}
	}
	if c.Status != sam.Good {
		return nil
	}
	return in
}

// fails serves a command that must end with a sense.
func (g *guarded) fails(t testing.TB, c *sam.Command, out []byte, key sam.SenseKey, code uint16) {
	t.Helper()
	g.do(t, c, out)
	wantSense(t, c, key, code)
}

// good serves a command that must end GOOD.
func (g *guarded) good(t testing.TB, c *sam.Command, out []byte) []byte {
	t.Helper()
	in := g.do(t, c, out)
	if c.Status != sam.Good {
		t.Fatalf("CDB %x: %v %+v", c.CDB, c.Status, c.Sense)
	}
	return in
}

// wire is blocks as they travel with their protection information.
func wire(data []byte, block int, tuples ...pi.Tuple) (b []byte) {
	for i, tuple := range tuples {
		b = append(b, data[i*block:][:block]...)
		b = append(b, make([]byte, pi.Bytes)...)
		tuple.Put(b[len(b)-pi.Bytes:])
	}
	return b
}

// right is what belongs to blocks of data, from a reference tag on.
func right(data []byte, block int, reference uint32, application uint16) (tuples []pi.Tuple) {
	for ; len(data) > 0; data = data[block:] {
		tuples = append(tuples, pi.Tuple{Guard: pi.CRC(data[:block]), Application: application, Reference: reference})
		reference++
	}
	return tuples
}

// long is a 32-byte CDB: action, options, LBA, expected tags and length.
func long(t testing.TB, action, options byte, lba uint64, reference uint32, tag, mask uint16, blocks uint32) *sam.Command {
	t.Helper()
	return parse(t, fmt.Sprintf("7f0000000000001800%02x%02x00%016x%08x%04x%04x%08x", action, options, lba, reference, tag, mask, blocks))
}

// short is READ(16) or the like with a code of protection.
func short(t testing.TB, opcode, code, options byte, lba uint64, blocks uint32) *sam.Command {
	t.Helper()
	return parse(t, fmt.Sprintf("%02x%02x%016x%08x0000", opcode, code<<5|options, lba, blocks))
}

// pattern is n blocks, each of which is another one.
func pattern(n, block int, seed byte) []byte {
	b := make([]byte, n*block)
	for i := range b {
		b[i] = byte(i/block)*7 + byte(i)*3 + seed
	}
	return b
}
