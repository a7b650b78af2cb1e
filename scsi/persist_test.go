package scsi

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"lunar/scsi/sam"
)

// named is the name of a test's nexus: initiator port n, all at one target port.
func named(n int) *sam.NexusName {
	return &sam.NexusName{
		Initiator: sam.InitiatorPort{Name: fmt.Sprintf("iqn.2026-11.example:host%d", n), ISID: [6]byte{0x40, 0, 0, 0, 0, byte(n)}},
		Target:    sam.TargetPort{Name: testPath.TargetName, Relative: 1},
	}
}

// persistDevice has three nexuses without attentions.
func persistDevice(t testing.TB) *Device {
	t.Helper()
	d := testDevice(func(c *Config) { c.Keeps = true })
	for n := range 3 {
		d.OpenNexus(sam.Nexus(n), named(n))
		attentionOf(t, d, sam.Nexus(n))
	}
	return d
}

// attentionOf takes what a nexus is told next, 0 when nothing.
func attentionOf(t testing.TB, d *Device, n sam.Nexus) uint16 {
	t.Helper()
	c := parse(t, "00")
	c.Nexus = n
	d.Begin(c)
	if c.Status == sam.Good {
		return 0
	}
	return c.Sense.Code
}

// list is a parameter list of PERSISTENT RESERVE OUT.
func list(key, next uint64, flags byte, more ...byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, key)
	b = binary.BigEndian.AppendUint64(b, next)
	return append(append(b, 0, 0, 0, 0, flags, 0, 0, 0), more...)
}

// prout serves a PERSISTENT RESERVE OUT to its end, with what has to be kept kept.
func prout(t testing.TB, d *Device, n int, action byte, kind reservationType, b []byte) *sam.Command {
	t.Helper()
	c := parse(t, fmt.Sprintf("5f %02x %02x 00 00 %08x", action, byte(kind), len(b)))
	c.Nexus = sam.Nexus(n)
	_, p := serve(t, d, c, b)
	if p.Kind == Preempt {
		p = d.Preempted(c)
	}
	if p.Kind == Keep {
		d.Draft()
		d.Kept(c, true)
	}
	return c
}

// must is prout that ends GOOD.
func must(t testing.TB, d *Device, n int, action byte, kind reservationType, b []byte) {
	t.Helper()
	if c := prout(t, d, n, action, kind, b); c.Status != sam.Good {
		t.Fatalf("action %d of nexus %d: status %02x, sense %04x", action, n, c.Status, c.Sense.Code)
	}
}

// prin returns what PERSISTENT RESERVE IN says.
func prin(t testing.TB, d *Device, action byte) []byte {
	t.Helper()
	c := parse(t, fmt.Sprintf("5e %02x 00 00 00 00 00 ff ff", action))
	b, _ := serve(t, d, c, nil)
	if c.Status != sam.Good {
		t.Fatalf("PERSISTENT RESERVE IN %d: %02x", action, c.Status)
	}
	return slices.Clone(b)
}

func keysOf(t testing.TB, d *Device) (keys []uint64) {
	t.Helper()
	for b := prin(t, d, prinKeys)[8:]; len(b) > 0; b = b[8:] {
		keys = append(keys, binary.BigEndian.Uint64(b))
	}
	return keys
}

var everyType = []reservationType{1, 3, 5, 6, 7, 8}

// The matrix of SPC-4 tables 66 and 68 and SBC-3 table 13, written down by itself: for
// each type whether a registrant, and somebody who is not registered, may read and write.
func TestPersist_Matrix(t *testing.T) {
	type may struct{ registrantReads, registrantWrites, otherReads, otherWrites bool }
	matrix := map[reservationType]may{
		writeExclusive:                 {true, false, true, false},
		exclusiveAccess:                {false, false, false, false},
		writeExclusiveRegistrantsOnly:  {true, true, true, false},
		exclusiveAccessRegistrantsOnly: {true, true, false, false},
		writeExclusiveAllRegistrants:   {true, true, true, false},
		exclusiveAccessAllRegistrants:  {true, true, false, false},
	}
	reads := []string{
		"08 00 00 00 01", "28 00 00 00 00 00 00 00 01", "a8 00 00 00 00 00 00 00 00 01",
		"88 00 00 00 00 00 00 00 00 00 00 00 00 01", "2f 00 00 00 00 00 00 00 01", "34 00 00 00 00 00 00 00 01",
		"9e 12 00 00 00 00 00 00 00 00 00 00 00 20", "1a 00 3f 00 ff", "a3 0c 00 00 00 00 00 00 00 40", "a3 0d 00 00 00 00 00 00 00 04",
	}
	writes := []string{
		"0a 00 00 00 01", "2a 00 00 00 00 00 00 00 01", "8a 00 00 00 00 00 00 00 00 00 00 00 00 01", "2e 00 00 00 00 00 00 00 01",
		"35", "91", "1b 00 00 00 00", "41 00 00 00 00 00 00 00 01", "42 00 00 00 00 00 00 00 00", "1e 00 00 00 01",
		"89 00 00 00 00 00 00 00 00 00 00 00 00 00", "8b 00 00 00 00 00 00 00 00 00 00 00 00 00",
	}
	always := []string{
		"00", "03 00 00 00 12", "12 00 00 00 60", "a0 00 00 00 00 00 00 00 00 40", "25", "9e 10 00 00 00 00 00 00 00 00 00 00 00 20",
		"5e 00 00 00 00 00 00 00 40", "1e 00 00 00 00", "1b 00 00 00 01",
	}
	for kind, m := range matrix {
		d := persistDevice(t)
		must(t, d, 0, proutRegister, 0, list(0, 0xa, 0))
		must(t, d, 1, proutRegister, 0, list(0, 0xb, 0))
		must(t, d, 0, proutReserve, kind, list(0xa, 0, 0))
		check := func(n int, cdb string, want bool) {
			t.Helper()
			got := statusFor(t, d, sam.Nexus(n), cdb) != sam.ReservationConflict
			if got != want {
				t.Errorf("type %d, nexus %d, %s: let in %v, want %v", kind, n, cdb, got, want)
			}
		}
		for _, cdb := range slices.Concat(reads, writes, always) {
			check(0, cdb, true)
			statusFor(t, d, 0, "1b 00 00 00 01") // what stopped the unit starts it
		}
		for _, cdb := range reads {
			check(1, cdb, m.registrantReads)
			check(2, cdb, m.otherReads)
		}
		for _, cdb := range writes {
			check(1, cdb, m.registrantWrites)
			check(2, cdb, m.otherWrites)
			statusFor(t, d, 0, "1b 00 00 00 01")
		}
		for _, cdb := range always {
			check(1, cdb, true)
			check(2, cdb, true)
		}
		if !d.Plain(0) || d.Plain(1) != (m.registrantReads && m.registrantWrites) || d.Plain(2) {
			t.Errorf("type %d: plain %v %v %v", kind, d.Plain(0), d.Plain(1), d.Plain(2))
		}
	}
}

// SPC-4 table 62: what REGISTER does, by who sends it with which keys.
func TestPersist_Register(t *testing.T) {
	d := persistDevice(t)
	if c := prout(t, d, 0, proutRegister, 0, list(7, 0xa, 0)); c.Status != sam.ReservationConflict {
		t.Errorf("a key of who is not registered: %02x", c.Status)
	}
	must(t, d, 0, proutRegister, 0, list(0, 0, 0)) // nothing happens
	must(t, d, 0, proutRegister, 0, list(0, 0xa, 0))
	if c := prout(t, d, 0, proutRegister, 0, list(0xb, 0xc, 0)); c.Status != sam.ReservationConflict {
		t.Errorf("a wrong key: %02x", c.Status)
	}
	must(t, d, 0, proutRegister, 0, list(0xa, 0xc, 0))
	must(t, d, 0, proutIgnore, 0, list(0x77, 0xd, 0))
	if keys := keysOf(t, d); !slices.Equal(keys, []uint64{0xd}) {
		t.Errorf("keys %x", keys)
	}
	// READ KEYS shows how many changes there were; RESERVE is none.
	before := binary.BigEndian.Uint32(prin(t, d, prinKeys))
	must(t, d, 0, proutReserve, exclusiveAccess, list(0xd, 0, 0))
	must(t, d, 0, proutRegister, 0, list(0xd, 0, 0))
	if n := binary.BigEndian.Uint32(prin(t, d, prinKeys)); n != before+1 || len(keysOf(t, d)) != 0 {
		t.Errorf("generation %d, before %d", n, before)
	}
	if b := prin(t, d, prinReservation); len(b) != 8 {
		t.Errorf("who unregisters keeps its reservation: %x", b)
	}
	for n := range maxRegistrations {
		d.OpenNexus(sam.Nexus(10+n), named(10+n))
		attentionOf(t, d, sam.Nexus(10+n))
		must(t, d, 10+n, proutRegister, 0, list(0, 1, 0))
	}
	if c := prout(t, d, 0, proutRegister, 0, list(0, 1, 0)); c.Sense.Code != 0x5504 {
		t.Errorf("one more than fit: %04x", c.Sense.Code)
	}
}

// A reservation is one's own or in the way; it goes with RELEASE of the same type.
func TestPersist_ReserveAndRelease(t *testing.T) {
	for _, kind := range everyType {
		d := persistDevice(t)
		must(t, d, 0, proutRegister, 0, list(0, 0xa, 0))
		must(t, d, 1, proutRegister, 0, list(0, 0xb, 0))
		must(t, d, 0, proutReserve, kind, list(0xa, 0, 0))
		must(t, d, 0, proutReserve, kind, list(0xa, 0, 0))
		key := binary.BigEndian.Uint64(prin(t, d, prinReservation)[8:])
		if got := prin(t, d, prinReservation)[21]; got != byte(kind) || key != map[bool]uint64{false: 0xa, true: 0}[kind.everyRegistrant()] {
			t.Errorf("type %d, key %x", got, key)
		}
		other := everyType[(slices.Index(everyType, kind)+1)%len(everyType)]
		if c := prout(t, d, 0, proutReserve, other, list(0xa, 0, 0)); c.Status != sam.ReservationConflict {
			t.Errorf("type %d: another type: %02x", kind, c.Status)
		}
		if c := prout(t, d, 0, proutRelease, other, list(0xa, 0, 0)); c.Sense.Code != 0x2604 {
			t.Errorf("type %d: RELEASE of another type: %04x", kind, c.Sense.Code)
		}
		if c := prout(t, d, 1, proutReserve, kind, list(0xb, 0, 0)); (c.Status == sam.Good) != kind.everyRegistrant() {
			t.Errorf("type %d: RESERVE of another: %02x", kind, c.Status)
		}
		if c := prout(t, d, 2, proutRelease, kind, list(0, 0, 0)); c.Status != sam.ReservationConflict {
			t.Errorf("type %d: RELEASE of who is not registered: %02x", kind, c.Status)
		}
		must(t, d, 0, proutRelease, kind, list(0xa, 0, 0))
		want := uint16(0)
		if kind.sparesRegistrants() {
			want = 0x2a04
		}
		if got := attentionOf(t, d, 1); got != want {
			t.Errorf("type %d: a registrant hears %04x", kind, got)
		}
		if len(prin(t, d, prinReservation)) != 8 || attentionOf(t, d, 2) != 0 {
			t.Errorf("type %d: after RELEASE", kind)
		}
	}
}

// CLEAR takes everything, PREEMPT what the key names; those it concerns hear of it.
func TestPersist_ClearAndPreempt(t *testing.T) {
	for _, action := range []byte{proutClear, proutPreempt, proutPreemptAbort} {
		d := persistDevice(t)
		for n := range 3 {
			must(t, d, n, proutRegister, 0, list(0, uint64(0xa+n), 0))
		}
		must(t, d, 1, proutReserve, writeExclusiveRegistrantsOnly, list(0xb, 0, 0))
		must(t, d, 0, action, exclusiveAccess, list(0xa, 0xb, 0))
		keys, heard := keysOf(t, d), []uint16{attentionOf(t, d, 0), attentionOf(t, d, 1), attentionOf(t, d, 2)}
		wantKeys, wantHeard := []uint64(nil), []uint16{0, 0x2a03, 0x2a03}
		if action != proutClear {
			wantKeys, wantHeard = []uint64{0xa, 0xc}, []uint16{0, 0x2a05, 0x2a04}
			if b := prin(t, d, prinReservation); binary.BigEndian.Uint64(b[8:]) != 0xa || b[21] != byte(exclusiveAccess) {
				t.Errorf("action %d: reservation %x", action, b)
			}
		}
		if !slices.Equal(keys, wantKeys) || !slices.Equal(heard, wantHeard) {
			t.Errorf("action %d: keys %x, heard %04x", action, keys, heard)
		}
	}
	d := persistDevice(t)
	must(t, d, 0, proutRegister, 0, list(0, 0xa, 0))
	if c := prout(t, d, 0, proutPreempt, writeExclusive, list(0xa, 0xff, 0)); c.Status != sam.ReservationConflict {
		t.Errorf("a key that nobody has: %02x", c.Status)
	}
	if c := prout(t, d, 0, proutPreempt, writeExclusive, list(0xa, 0, 0)); c.Sense.Code != 0x2600 {
		t.Errorf("the key 0: %04x", c.Sense.Code)
	}
	// Where all hold it, 0 names all.
	must(t, d, 1, proutRegister, 0, list(0, 0xb, 0))
	must(t, d, 1, proutReserve, exclusiveAccessAllRegistrants, list(0xb, 0, 0))
	must(t, d, 0, proutPreempt, writeExclusive, list(0xa, 0, 0))
	if keys := keysOf(t, d); !slices.Equal(keys, []uint64{0xa}) || d.persistent.kind != writeExclusive || !d.persistent.holds(0) {
		t.Errorf("keys %x, %+v", keys, d.persistent)
	}
	must(t, d, 0, proutPreempt, exclusiveAccess, list(0xa, 0xa, 0)) // of itself
	if keys := keysOf(t, d); !slices.Equal(keys, []uint64{0xa}) || d.persistent.kind != exclusiveAccess {
		t.Errorf("keys %x, %+v", keys, d.persistent)
	}
}

// RESERVE and persistent reservations exclude each other; who holds one already has what
// it asks for.
func TestPersist_BesideReserve(t *testing.T) {
	d := persistDevice(t)
	must(t, d, 0, proutRegister, 0, list(0, 0xa, 0))
	if s := statusFor(t, d, 0, "16"); s != sam.ReservationConflict {
		t.Errorf("RESERVE while somebody is registered: %02x", s)
	}
	must(t, d, 0, proutReserve, exclusiveAccess, list(0xa, 0, 0))
	if s := statusFor(t, d, 0, "16"); s != sam.Good || d.reservation.held {
		t.Errorf("RESERVE of the holder: %02x", s)
	}
	if s := statusFor(t, d, 1, "17"); s != sam.ReservationConflict {
		t.Errorf("RELEASE of another: %02x", s)
	}
	must(t, d, 0, proutClear, 0, list(0xa, 0, 0))
	if s := statusFor(t, d, 0, "16"); s != sam.Good {
		t.Fatalf("RESERVE afterwards: %02x", s)
	}
	if c := prout(t, d, 0, proutRegister, 0, list(0, 0xa, 0)); c.Status != sam.ReservationConflict {
		t.Errorf("REGISTER while it is reserved: %02x", c.Status)
	}
}

// Lists that are too short, too long or lie are refused, and what is kept comes back.
func TestPersist_Lists(t *testing.T) {
	d := persistDevice(t)
	for name, b := range map[string][]byte{"short": make([]byte, 23), "long": make([]byte, maxPersistList+1), "more than a list": make([]byte, 25)} {
		if c := prout(t, d, 0, proutRegister, 0, b); c.Sense.Code != 0x1a00 {
			t.Errorf("%s: %04x", name, c.Sense.Code)
		}
	}
	fails(t, d, "5f 01 02 00 00 00 00 00 18", sam.IllegalRequest, 0x2400)
	fails(t, d, "5f 01 11 00 00 00 00 00 18", sam.IllegalRequest, 0x2400)
	fails(t, d, "5f 08 01 00 00 00 00 00 18", sam.IllegalRequest, 0x2400)
	fails(t, d, "5e 04 00 00 00 00 00 00 18", sam.IllegalRequest, 0x2400)
	if c := prout(t, d, 0, proutPreempt, 1, list(0, 0, specIPTMask)); c.Status != sam.ReservationConflict && c.Sense.Code != 0x2600 {
		t.Errorf("SPEC_I_PT of PREEMPT: %04x", c.Sense.Code)
	}
	p := testDevice() // nobody keeps anything
	p.OpenNexus(0, named(0))
	attentionOf(t, p, 0)
	if c := prout(t, p, 0, proutRegister, 0, list(0, 1, aptplMask)); c.Sense.Code != 0x2600 || prin(t, p, prinCapabilities)[2]&ptplMask != 0 {
		t.Errorf("APTPL without somebody who keeps: %04x", c.Sense.Code)
	}
}
