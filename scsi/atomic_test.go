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

// Where the medium does not write all or nothing, what is to be written is kept before, and
// dropped when it is durable, or has failed.
func TestWriteAtomic_Intent(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.AtomicBytes, c.Keeps, c.Intends = 0, true, true })
	if limits := good(t, d, "12 01 b0 02 00"); number(limits[44:48]) != "2048" {
		t.Errorf("page B0h: %x", limits[44:64])
	}
	m := &medium{data: make([]byte, d.info.Bytes)}
	out := bytes.Repeat([]byte{3, 9}, 1024)
	for _, fails := range []bool{false, true} {
		c := parse(t, "9c 00 00 00 00 00 00 00 00 04 00 00 00 04")
		_, p := serve(t, d, c, out)
		if _, i := d.Draft(); p.Kind != Keep || i == nil || i.Offset != 4*512 || !bytes.Equal(i.Data, out) {
			t.Fatalf("program %+v, intent %+v", p, i)
		}
		if p = d.Kept(c, true); p.Kind != Place || !p.Keeps || !p.Surely {
			t.Fatalf("program %+v", p)
		}
		s, _ := d.Next(c, &p)
		if s.Op != blk.Write || !s.FUA || s.Length != int64(len(out)) {
			t.Errorf("step %+v", s)
		}
		if fails {
			FailMedium(c, blk.MediumError, true, 4)
		} else {
			m.run(t, d, c, p)
		}
		if _, i := d.Draft(); i != nil {
			t.Error("it stays intended")
		}
		if p = d.Kept(c, true); p.Kind != 0 || (c.Status == sam.Good) == fails {
			t.Errorf("program %+v, %v", p, c.Status)
		}
	}
}

// An intent that cannot be kept writes nothing; one that cannot be dropped is done once more
// at the next start, so until then nothing else is written.
func TestWriteAtomic_IntentFails(t *testing.T) {
	for _, dropped := range []bool{false, true} {
		d := testDevice(func(c *Config) { c.Info.AtomicBytes, c.Keeps, c.Intends = 0, true, true })
		d.OpenNexus(0, nil)
		d.nexuses[0].attention = 0
		c := parse(t, "9c 00 00 00 00 00 00 00 00 04 00 00 00 01")
		serve(t, d, c, make([]byte, 512))
		if dropped {
			d.Kept(c, true)
		}
		if p := d.Kept(c, false); p.Kind != 0 || c.Sense.Key != sam.HardwareError {
			t.Errorf("program %+v, %+v", p, c.Sense)
		}
		if d.Plain(0) == dropped {
			t.Errorf("plain %v", d.Plain(0))
		}
		good(t, d, "28 00 00 00 00 00 00 00 01 00")
		if dropped {
			fails(t, d, "2a 00 00 00 00 00 00 00 01 00", sam.HardwareError, codeInternalFailure)
		} else {
			good(t, d, "2a 00 00 00 00 00 00 00 01 00")
		}
	}
}

// Every bit of the written form counts.
func TestIntent_Text(t *testing.T) {
	text := (&Intent{Offset: 4096, Data: []byte("data\n")}).Text()
	if i, err := ParseIntent(text); err != nil || i.Offset != 4096 || string(i.Data) != "data\n" {
		t.Errorf("%+v %v", i, err)
	}
	for n := range text {
		if _, err := ParseIntent(text[:n]); err == nil {
			t.Errorf("%d bytes of it are taken", n)
		}
		other := bytes.Clone(text)
		other[n] ^= 1
		if i, err := ParseIntent(other); err == nil {
			t.Errorf("byte %d: %+v", n, i)
		}
	}
}
