package scsi

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// WRITE ATOMIC(16) is one write, within the limits of page B0h.
func TestWriteAtomic(t *testing.T) {
	d := testDevice()
	m := &medium{data: make([]byte, d.info.Bytes)}
	limits := good(t, d, "12 01 b0 02 00")
	if number(limits[44:48]) != "128" || number(limits[48:56]) != "0" || number(limits[60:64]) != "128" {
		t.Errorf("page B0h: %x", limits[44:64])
	}
	out := bytes.Repeat([]byte{3, 9}, 32<<10)
	m.do(t, d, parse(t, "9c 08 00 00 00 00 00 00 00 04 00 00 00 80"), out)
	if m.ops[blk.Write] != 1 || !bytes.Equal(m.data[4*512:][:len(out)], out) || m.data[4*512-1] != 0 {
		t.Errorf("steps %v", m.ops)
	}
	good(t, d, "9c 00 00 00 00 00 00 00 00 04 00 00 00 00")
	for _, text := range []string{"9c 00 00 00 00 00 00 00 00 04 00 00 00 81", "9c 00 00 00 00 00 00 00 00 04 00 81 00 01", "9c 20 00 00 00 00 00 00 00 04 00 00 00 01"} {
		fails(t, d, text, sam.IllegalRequest, 0x2400)
	}
	fails(t, d, "9c 00 00 00 00 00 00 00 20 00 00 00 00 01", sam.IllegalRequest, 0x2100)
	short := parse(t, "9c 00 00 00 00 00 00 00 00 04 00 00 00 02")
	short.ExpectedOutBytes = 512
	if d.Begin(short); short.Sense.Code != 0x0e03 {
		t.Errorf("half of its data: %04x", short.Sense.Code)
	}
	none := testDevice(func(c *Config) { c.Info.AtomicBytes = 0 })
	fails(t, none, "9c 00 00 00 00 00 00 00 00 04 00 00 00 01", sam.IllegalRequest, 0x2000)
}
