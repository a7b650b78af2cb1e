package scsi

import (
	"encoding/binary"
	"slices"

	"lunar/scsi/sam"
)

// Service actions that tell of ROD tokens (SPC-4 §6.26, §6.31).
const (
	rodTokenInformation = 0x07
	reportAllTokens     = 0x08
)

const (
	tokenDescriptorBytes = 2 + tokenBytes
	// tokenListBytes is the longest list of descriptors with its length.
	tokenListBytes = 4 + tokenDescriptorBytes

	allTokensHeader = 8
)

// describeToken appends the answer of RECEIVE ROD TOKEN INFORMATION (SPC-4 §6.26, SBC-4
// §5.25). The token is told once, or forgotten when there is no room for any answer.
func (r *copyRecord) describeToken(b []byte, c *sam.Command) []byte {
	start := len(b)
	b = r.describeLID4(b, c.DescriptorSense)
	if r.token == nil {
		b = append(b, 0, 0, 0, 0)
	} else {
		b = binary.BigEndian.AppendUint32(b, tokenDescriptorBytes)
		b = append(b, 0, 0) // of EXTENDED COPY only
		b = append(b, r.token[:]...)
	}
	n := len(b) - start
	binary.BigEndian.PutUint32(b[start:], uint32(n-4))
	if room := c.DataInBytes; room == 0 || room >= int64(n) {
		r.token = nil
	}
	return b
}

// beginAllTokens serves REPORT ALL ROD TOKENS (SPC-4 §6.31).
func (d *Device) beginAllTokens(c *sam.Command) {
	ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[copyLengthAt:])), allTokensHeader+maxTokens*managementBytes))
}

// allTokens lists the tokens that live, without what makes them tokens.
func (d *Device) allTokens(c *sam.Command) Program {
	b := slices.Grow(d.scratch[:0], allTokensHeader+len(d.tokens.alive)*managementBytes)[:allTokensHeader]
	clear(b)
	for _, t := range d.tokens.alive {
		b = append(b, t.image[:managementBytes]...)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	d.scratch = b
	answer(c, b)
	return Program{}
}
