package scsi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"lunar/scsi/sam"
)

// ROD types (SPC-4 §5.17.6.2, SBC-4 §4.28.3).
const (
	rodVulnerable = 0x00800001 // point in time copy - change vulnerable
	rodZero       = 0xffff0001 // block device zero ROD token
)

// A generic ROD token (SPC-4 §5.17.6.5).
const (
	tokenBytes       = 512
	tokenLengthAt    = 6
	tokenLength      = tokenBytes - 8
	tokenNumberAt    = 8
	tokenCreatorAt   = 16 // an Identification Descriptor CSCD descriptor
	tokenTotalAt     = 48 // 16 bytes
	managementBytes  = 96 // a ROD management token is the token up to here
	tokenDeviceAt    = 96
	tokenTargetAt    = 128
	tokenExtensionAt = 256
)

// Limits of ROD tokens, as VPD page 8Fh reports them.
const (
	// maxRanges is the MAXIMUM RANGE DESCRIPTORS, maxTokenBytes what one token may stand for
	// and one command write.
	maxRanges     = 64
	maxTokenBytes = 256 << 20
	// optimalTokenBytes keeps a command short that others wait for.
	optimalTokenBytes = 64 << 20
	// defaultInactivity and maxInactivity are inactivity timeouts in seconds.
	defaultInactivity, maxInactivity = 30, 300
	// maxTokens of a unit live at a time; one more ends the one used least recently (SPC-4
	// §5.17.6.7). maxForgone is of how many it is remembered why they do not live any more.
	maxTokens  = 64
	maxForgone = 256
)

// Range is consecutive blocks of a unit.
type Range struct {
	LBA    uint64
	Blocks uint32
}

// rodToken is a ROD token that lives: what it stands for has not changed since it was made.
type rodToken struct {
	number uint64
	image  [tokenBytes]byte
	// ranges do not change; from and to are the first block of all, and the one behind the
	// last.
	ranges   []Range
	from, to uint64
	// timeout and idle are in seconds. used orders the tokens of a unit by their last use.
	timeout, idle uint32
	used          uint64
}

// forgone is a token that does not live any more, and the code that says why.
type forgone struct {
	number uint64
	digest [sha256.Size]byte
	code   uint16
}

// tokens are the ROD tokens of a unit. Nothing of them outlives the target.
type tokens struct {
	seed  [32]byte
	alive []*rodToken
	// gone is the oldest first.
	gone []forgone
	made uint64
	uses uint64
}

// Tokens is how many ROD tokens of the unit live. While any does, no nexus is Plain: what
// changes the medium has to end those that it meets.
func (d *Device) Tokens() int { return len(d.tokens.alive) }

// makeToken makes a token for blocks of the unit, which nothing changes now.
func (d *Device) makeToken(c *sam.Command, ranges []Range, timeout uint32) *rodToken {
	ts := &d.tokens
	if len(ts.alive) == maxTokens {
		oldest := slices.MinFunc(ts.alive, func(a, b *rodToken) int { return int(int64(a.used - b.used)) })
		ts.end(oldest, codeTokenCancelled)
	}
	// SPC-4 §5.17.6.4: an identifier is not used again. Where they begin is the seed's, so
	// that tokens from before a restart are unknown ones.
	base := binary.BigEndian.Uint64(ts.mac([]byte("identifier"))) >> 1
	t := &rodToken{number: base + ts.made, ranges: ranges, from: math.MaxUint64, timeout: timeout}
	ts.made++
	bytes := uint64(0)
	for _, r := range ranges {
		t.from, t.to = min(t.from, r.LBA), max(t.to, r.LBA+uint64(r.Blocks))
		bytes += uint64(r.Blocks) << d.blockShift
	}
	d.layOutToken(t, c, bytes)
	ts.touch(t)
	ts.alive = append(ts.alive, t)
	return t
}

// layOutToken writes the token as initiators get it.
func (d *Device) layOutToken(t *rodToken, c *sam.Command, bytes uint64) {
	b := t.image[:]
	binary.BigEndian.PutUint32(b, rodVulnerable)
	binary.BigEndian.PutUint16(b[tokenLengthAt:], tokenLength)
	binary.BigEndian.PutUint64(b[tokenNumberAt:], t.number)
	d.layOutCreator(b[tokenCreatorAt:])
	binary.BigEndian.PutUint64(b[tokenTotalAt+8:], bytes)
	// SBC-4 §4.28.5: a part of what READ CAPACITY(16) says, behind the size.
	capacity := sam.Command{Buffer: make([]byte, capacity16Bytes), DataInBytes: capacity16Bytes}
	d.readCapacity16(&capacity)
	copy(b[tokenDeviceAt:], capacity.Buffer[8:16])
	if c.Path != nil {
		const protocolISCSI, utf8, piv, ofTarget, nameString = 5 << 4, 3, 0x80, 2 << 4, 8
		target := b[tokenTargetAt:tokenExtensionAt]
		target[0], target[1], target[3] = protocolISCSI|utf8, piv|ofTarget|nameString, byte(len(target)-4)
		// The field has room for 123 characters and a null; of a longer name the rest is left
		// out. Nobody looks the target up by it.
		copy(target[4:len(target)-1], c.Path.TargetName)
	}
	// SPC-4 §5.17.6.5.1: what nobody can guess, and cannot be had without the whole token.
	for at := tokenExtensionAt; at < tokenBytes; at += sha256.Size {
		copy(b[at:], d.tokens.mac(b[:at]))
	}
}

// layOutCreator writes the CSCD descriptor of the unit (SPC-4 §6.4.5.6).
func (d *Device) layOutCreator(b []byte) {
	b[0], b[4], b[5], b[cscdLengthAt] = cscdIdentifies, codeSetBinary, ofUnit|typeNAA, naaBytes
	copy(b[cscdLengthAt+1:], d.identity.NAA[:])
	binary.BigEndian.PutUint32(b[cscdBlockAt:], d.info.BlockBytes)
}

// mac is what only the maker of the tokens can make of b.
func (ts *tokens) mac(b []byte) []byte {
	h := hmac.New(sha256.New, ts.seed[:])
	h.Write(b)
	return h.Sum(nil)
}

func (ts *tokens) touch(t *rodToken) {
	ts.uses++
	t.used, t.idle = ts.uses, 0
}

// end has a token not live any more.
func (ts *tokens) end(t *rodToken, code uint16) {
	ts.alive = slices.DeleteFunc(ts.alive, func(o *rodToken) bool { return o == t })
	if len(ts.gone) == maxForgone {
		ts.gone = slices.Delete(ts.gone, 0, 1)
	}
	ts.gone = append(ts.gone, forgone{t.number, sha256.Sum256(t.image[:]), code})
}

// find returns the token of a number that lives, nil without one.
func (ts *tokens) find(number uint64) *rodToken {
	for _, t := range ts.alive {
		if t.number == number {
			return t
		}
	}
	return nil
}

// spoil ends the tokens that stand for blocks of a range in bytes, before it changes: a
// point in time copy is given up then (SPC-4 §5.17.6.2.3.3).
func (d *Device) spoil(offset, bytes int64) {
	if bytes <= 0 || len(d.tokens.alive) == 0 {
		return
	}
	from, to := uint64(offset)>>d.blockShift, (uint64(offset+bytes)+uint64(d.info.BlockBytes)-1)>>d.blockShift
	for i := len(d.tokens.alive) - 1; i >= 0; i-- {
		if t := d.tokens.alive[i]; t.meets(from, to) {
			d.tokens.end(t, codeTokenCancelled)
		}
	}
}

// spoilAll ends every token.
func (d *Device) spoilAll() {
	for len(d.tokens.alive) > 0 {
		d.tokens.end(d.tokens.alive[0], codeTokenCancelled)
	}
}

// meets says whether the token stands for a block of [from, to).
func (t *rodToken) meets(from, to uint64) bool {
	return from < t.to && to > t.from && slices.ContainsFunc(t.ranges, func(r Range) bool {
		return from < r.LBA+uint64(r.Blocks) && to > r.LBA
	})
}

// spoilFor ends the tokens that the program of c will change something of.
func (d *Device) spoilFor(c *sam.Command, p *Program) {
	switch p.Kind {
	case DiscardList:
		for q := *p; ; {
			s, more := d.nextDescriptor(c, &q)
			if !more {
				return
			}
			d.spoil(s.Offset, s.Length)
		}
	case Discard, Zero, Fill, Place:
		d.spoil(p.Offset, p.Bytes)
	case CompareWrite:
		d.spoil(p.run.offset, p.run.bytes)
	case Protected:
		if p.protected.changes() {
			d.spoil(p.protected.offset, p.protected.bytes)
		}
	case Sync, Verify, VerifySame, Extents, Keep, Preempt, Count, Copy, AbortCopy: // nothing changes here
	case Erase, Overwrite: // ended all (start)
	}
}

// Age has a second pass for the tokens of the unit.
func (d *Device) Age() {
	for i := len(d.tokens.alive) - 1; i >= 0; i-- {
		t := d.tokens.alive[i]
		// The second in which it was used has not been a whole one.
		if t.idle++; t.idle > t.timeout {
			d.tokens.end(t, codeTokenExpired)
		}
	}
}

// Claim is what the unit that made a ROD token says of it to somebody who wants to use it.
type Claim struct {
	// Code is why it cannot be used, NO ADDITIONAL SENSE when it can.
	Code   uint16
	Number uint64
	// Ranges are what it stands for, and do not change.
	Ranges []Range
}

// Claim looks a token up that names this unit as its creator (SPC-4 §5.17.6.5.2).
func (d *Device) Claim(token []byte) Claim {
	number := binary.BigEndian.Uint64(token[tokenNumberAt:])
	if t := d.tokens.find(number); t != nil {
		if !hmac.Equal(token, t.image[:]) {
			return Claim{Code: codeTokenCorrupt}
		}
		d.tokens.touch(t)
		return Claim{Number: number, Ranges: t.ranges}
	}
	for i := range d.tokens.gone {
		if g := &d.tokens.gone[i]; g.number == number {
			if digest := sha256.Sum256(token); !hmac.Equal(digest[:], g.digest[:]) {
				return Claim{Code: codeTokenCorrupt}
			}
			return Claim{Code: g.code}
		}
	}
	return Claim{Code: codeTokenUnknown}
}

// Vouch says whether the token of a number lives. Then all that was read of its blocks until
// now is what stood there when it was made: it would have been ended before a change.
func (d *Device) Vouch(number uint64) bool {
	t := d.tokens.find(number)
	if t == nil {
		return false
	}
	d.tokens.touch(t)
	return true
}

// Release takes the end of a use of a token, behind which it is to be deleted, or lives for
// another inactivity timeout (SPC-4 §5.17.6.7).
func (d *Device) Release(number uint64, deleted bool) {
	switch t := d.tokens.find(number); {
	case t == nil:
	case deleted:
		d.tokens.end(t, codeTokenDeleted)
	default:
		d.tokens.touch(t)
	}
}
