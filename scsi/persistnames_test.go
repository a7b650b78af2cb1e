package scsi

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"lunar/scsi/sam"
)

// A registration is of a name: it stays when the nexus is lost or reset, its number may
// become another's, and with ALL_TG_PT it is one at every port.
func TestPersist_Names(t *testing.T) {
	d := persistDevice(t)
	must(t, d, 0, proutRegister, 0, list(0, 0xa, allPortsMask))
	must(t, d, 0, proutReserve, exclusiveAccess, list(0xa, 0, 0))
	d.NexusLoss(0)
	d.Reset(UnitReset)
	d.OpenNexus(0, named(9))
	attentionOf(t, d, 0)
	if s := statusFor(t, d, 0, "28 00 00 00 00 00 00 00 01"); s != sam.ReservationConflict {
		t.Errorf("who has its number now: %02x", s)
	}
	second := *named(0)
	second.Target.Relative = 2
	d.OpenNexus(7, &second)
	attentionOf(t, d, 7)
	if s := statusFor(t, d, 7, "28 00 00 00 00 00 00 00 01"); s != sam.Good {
		t.Errorf("at another port: %02x", s)
	}
	b := prin(t, d, prinFullStatus)
	if !bytes.Contains(b, []byte("iqn.2026-11.example:host0,i,0x400000000000\x00")) || b[8+12] != 0x03 || b[8+13] != 3 {
		t.Errorf("full status\n%s", hex.Dump(b))
	}
}

// SPEC_I_PT registers others, REGISTER AND MOVE gives them the reservation.
func TestPersist_OthersByName(t *testing.T) {
	d := persistDevice(t)
	id := appendTransportID(nil, &named(1).Initiator)
	ids := append(binary.BigEndian.AppendUint32(nil, uint32(len(id))), id...)
	must(t, d, 0, proutRegister, 0, list(0, 0xa, specIPTMask, ids...))
	if keys := keysOf(t, d); !slices.Equal(keys, []uint64{0xa, 0xa}) {
		t.Fatalf("keys %x", keys)
	}
	if c := prout(t, d, 2, proutRegister, 0, list(0, 0xc, specIPTMask, ids...)); c.Sense.Code != 0x2600 || len(keysOf(t, d)) != 2 {
		t.Errorf("one that is registered: %04x, keys %x", c.Sense.Code, keysOf(t, d))
	}
	must(t, d, 0, proutReserve, writeExclusive, list(0xa, 0, 0))
	to := appendTransportID(nil, &named(2).Initiator)
	move := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 0xa), 0xc)
	move = append(move, 0, unregMask, 0, 1)
	move = append(binary.BigEndian.AppendUint32(move, uint32(len(to))), to...)
	if c := prout(t, d, 1, proutMove, 0, move); c.Status != sam.ReservationConflict {
		t.Errorf("who does not hold it moves it: %02x", c.Status)
	}
	must(t, d, 0, proutMove, 0, move)
	if keys := keysOf(t, d); !slices.Equal(keys, []uint64{0xa, 0xc}) || !d.persistent.holds(d.registrationOf(2)) || d.registrationOf(0) != noRegistration {
		t.Errorf("keys %x, %+v", keys, d.persistent)
	}
	for name, b := range map[string][]byte{
		"a node without ISID": append([]byte{0x05, 0, 0, 20}, make([]byte, 20)...),
		"too short":           {transportPort, 0, 0, 4, 'i', 'q', 'n', 0},
		"no end":              append([]byte{transportPort, 0, 0, 20}, bytes.Repeat([]byte("a"), 20)...),
		"beyond the list":     {transportPort, 0, 0, 200, 'i'},
	} {
		ids := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
		if c := prout(t, d, 0, proutRegister, 0, list(0, 0xd, specIPTMask, ids...)); c.Sense.Code != 0x2600 {
			t.Errorf("%s: %04x", name, c.Sense.Code)
		}
	}
}

// What is kept is what comes back; what was not kept has not happened.
func TestPersist_Kept(t *testing.T) {
	d := persistDevice(t)
	must(t, d, 0, proutRegister, 0, list(0, 0xa, aptplMask|allPortsMask))
	must(t, d, 1, proutRegister, 0, list(0, 0xb, aptplMask))
	c := parse(t, "5f 01 03 00 00 00 00 00 18")
	if _, p := serve(t, d, c, list(0xa, 0, 0)); p.Kind != Keep {
		t.Fatalf("kind %d", p.Kind)
	}
	kept, _ := d.Draft()
	if len(prin(t, d, prinReservation)) != 8 {
		t.Error("it takes effect before it is durable")
	}
	d.Kept(c, false)
	if c.Sense.Key != sam.HardwareError || len(prin(t, d, prinReservation)) != 8 {
		t.Errorf("not kept: %04x", c.Sense.Code)
	}
	again := testDevice(func(c *Config) { c.Keeps = true })
	if err := again.Restore(kept); err != nil {
		t.Fatal(err)
	}
	again.OpenNexus(5, named(0))
	again.OpenNexus(6, named(1))
	if keys := keysOf(t, again); !slices.Equal(keys, []uint64{0xa, 0xb}) || !again.persistent.holds(again.registrationOf(5)) ||
		again.persistent.holds(again.registrationOf(6)) || prin(t, again, prinCapabilities)[3]&ptplMask == 0 {
		t.Errorf("keys %x, %+v", keys, again.persistent)
	}
	for name, b := range map[string]string{
		"another title":  "lunar unit 2 00000000\n{}\n",
		"nothing":        "",
		"cut":            string(kept[:len(kept)-3]),
		"another byte":   strings.Replace(string(kept), `"key":10`, `"key":11`, 1),
		"another holder": "lunar unit 1 " + checked(`{"type":3,"holder":1}`),
	} {
		if err := testDevice().Restore([]byte(b)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	// Without APTPL at the next REGISTER nothing is kept any more.
	must(t, d, 0, proutIgnore, 0, list(0, 0xa, 0))
	if d.persistent.kept {
		t.Error("still kept")
	}
}

func checked(s string) string {
	return fmt.Sprintf("%08x\n%s\n", crc(s), s)
}

func crc(s string) uint32 { return crc32.Checksum([]byte(s), castagnoli) }
