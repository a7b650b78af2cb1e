package scsi

import (
	"bytes"
	"fmt"
	"hash/crc32"

	"lunar/scsi/sam"
)

// Intent is a write that is made durable beside the medium before it goes there. When power
// or process end in the middle of it, it is done once more before the unit serves anybody, so
// that it is there as a whole; when they end before the intent is durable nothing of it is.
type Intent struct {
	// Offset is in bytes.
	Offset int64
	Data   []byte
}

// maxIntentBytes is the longest write that is done so: 256 blocks of 4096 bytes.
const maxIntentBytes = 1 << 20

// intentTitle begins an intent in its written form; behind it stand the CRC32C of the rest and
// the offset.
const intentTitle = "lunar write 1 "

// Text is the written form.
func (i *Intent) Text() []byte {
	rest := append(fmt.Appendf(nil, "%d\n", i.Offset), i.Data...)
	return append(fmt.Appendf(nil, "%s%08x ", intentTitle, crc32.Checksum(rest, castagnoli)), rest...)
}

// ParseIntent reads the written form. An error says what is wrong with it.
func ParseIntent(b []byte) (i Intent, err error) {
	sum, head := uint32(0), len(intentTitle)+len("00000000 ")
	if !bytes.HasPrefix(b, []byte(intentTitle)) || len(b) < head {
		return i, fmt.Errorf("it begins with %.20q and not with %q", b, intentTitle)
	}
	rest := b[head:]
	if _, err := fmt.Sscanf(string(b[:head]), intentTitle+"%08x ", &sum); err != nil || sum != crc32.Checksum(rest, castagnoli) {
		return i, fmt.Errorf("its checksum is wrong")
	}
	line, data, _ := bytes.Cut(rest, []byte{'\n'})
	if _, err := fmt.Sscanf(string(line), "%d", &i.Offset); err != nil {
		return i, fmt.Errorf("its offset is %.20q", line)
	}
	i.Data = data
	return i, nil
}

// intend writes what c sent by p as a whole: first the intent is kept, then the write is made
// durable, and then the intent is dropped, whatever became of the write. All of that goes on
// when c is aborted. Nothing runs beside c, so no write of others can be undone by the intent.
func (d *Device) intend(c *sam.Command, p Program) Program {
	d.spoil(p.Offset, p.Bytes)
	n := d.draftOf(c)
	n.intent = &Intent{Offset: p.Offset, Data: c.Buffer[:p.Bytes]}
	n.places, n.durable = p, true
	return d.adopt(n)
}

// placed is the program of a write whose intent is kept, and leaves a draft without it.
func (d *Device) placed(n *draft) Program {
	next := *n
	next.intent, next.settles = nil, true
	d.draft = &next
	p := n.places
	p.fua, p.Keeps, p.Surely = true, true, true
	return p
}
