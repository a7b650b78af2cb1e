package scsi

import (
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// Commands with protection information end the tokens they meet, and those that only read none.
func TestProtected_SpoilsTokens(t *testing.T) {
	data := pattern(2, 512, 7)
	out := wire(data, 512, right(data, 512, 20, 0)...)
	for name, k := range map[string]struct {
		cdb  *sam.Command
		out  []byte
		ends bool
	}{
		"WRITE(16)":            {short(t, 0x8a, 1, 0, 20, 2), out, true},
		"WRITE AND VERIFY(16)": {short(t, 0x8e, 1, 0, 20, 2), out, true},
		"WRITE SAME(16)":       {short(t, 0x93, 1, 0, 20, 2), out[:520], true},
		"WRITE(16), elsewhere": {short(t, 0x8a, 1, 0, 22, 0), nil, false},
		"READ(16)":             {short(t, 0x88, 1, 0, 20, 2), nil, false},
		"VERIFY(16)":           {short(t, 0x8f, 1, 0, 20, 2), nil, false},
	} {
		d := protectedDevice(pi.Type1)
		d.OpenNexus(0, nil)
		d.clearAttention(0, PowerOn)
		g := newGuarded(d)
		g.stored(20, data, right(data, 512, 20, 0)...)
		token := populated(t, d, 0, Range{20, 2})
		g.good(t, k.cdb, k.out)
		if ended := why(d, token) == codeTokenCancelled; ended != k.ends {
			t.Errorf("%s: ended %v", name, ended)
		}
	}
}

// ANCHOR with protection information: zeros that say nothing, with their store, whichever of
// the commands asks.
func TestProtected_Anchor(t *testing.T) {
	none := pi.Tuple{Guard: 0xffff, Application: 0xffff, Reference: 0xffffffff}
	data := pattern(2, 512, 7)
	for name, k := range map[string]struct {
		kind pi.Type
		cdb  *sam.Command
		out  []byte
	}{
		"WRITE SAME(16)":                   {pi.Type1, short(t, 0x93, 1, anchorSameMask|unmapMask, 20, 2), wire(data[:512], 512, right(data[:512], 512, 20, 0)...)},
		"WRITE SAME(16) without WRPROTECT": {pi.Type1, short(t, 0x93, 0, anchorSameMask|unmapMask, 20, 2), data[:512]},
		"WRITE SAME(32)":                   {pi.Type2, long(t, 0x0d, 1<<protectShift|anchorSameMask|unmapMask|ndobMask, 20, 20, 0, 0, 2), nil},
	} {
		d := protectedDevice(k.kind, func(c *Config) { c.Info.Thin, c.Info.Anchors = true, true })
		g := newGuarded(d)
		g.stored(20, data, right(data, 512, 20, 0)...)
		ops := map[blk.Op]int{}
		g.seen = func(s Step) { ops[s.Op]++ }
		g.good(t, k.cdb, k.out)
		if g.tuple(20) != none || g.tuple(21) != none || g.data[20*512] != 0 || ops[blk.Zero] != 1 || len(ops) != 1 {
			t.Errorf("%s: %+v, data %x, %v", name, g.tuple(20), g.data[20*512:][:4], ops)
		}
	}
	d := protectedDevice(pi.Type1, func(c *Config) { c.Info.Thin, c.Info.Anchors = true, true })
	newGuarded(d).fails(t, short(t, 0x93, 1, anchorSameMask, 20, 2), nil, sam.IllegalRequest, codeInvalidField)
}
