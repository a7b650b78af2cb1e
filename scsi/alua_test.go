package scsi

import (
	"encoding/binary"
	"testing"

	"lunar/scsi/sam"
)

// through is a command that came through a portal group.
func through(t *testing.T, d *Device, group uint16, n sam.Nexus, cdb string, out []byte) *sam.Command {
	t.Helper()
	c, path := parse(t, cdb), testPath
	path.PortalGroupTag = group
	c.Path, c.Nexus = &path, n
	serve(t, d, c, out)
	return c
}

// portNamed is a nexus through a portal group.
func portNamed(group uint16) *sam.NexusName {
	n := *named(int(group))
	n.Target.Relative, n.Target.Group = group, group
	return &n
}

// SPC-4 §5.15.2.4: a port that is not active serves what tells of it, and nothing else.
func TestALUA_States(t *testing.T) {
	d := testDevice()
	for n := range sam.Nexus(2) {
		d.OpenNexus(n, portNamed(uint16(n)+1))
		attentionOf(t, d, n)
	}
	for state, code := range map[Access]uint16{Optimized: 0, NonOptimized: 0, Standby: 0x040b, Unavailable: 0x040c, Transitioning: 0x040a} {
		d.SetAccess([]GroupAccess{{Group: 2, State: state, Preferred: true}})
		for n := range sam.Nexus(2) {
			if got := attentionOf(t, d, n); got != 0x2a06 {
				t.Errorf("state %d: nexus %d hears %04x", state, n, got)
			}
		}
		d.SetAccess([]GroupAccess{{Group: 2, State: state, Preferred: true}}) // no change
		for _, cdb := range []string{"00", "28 00 00 00 00 00 00 00 01", "25", "9e 10 00 00 00 00 00 00 00 00 00 00 00 20"} {
			if c := through(t, d, 2, 1, cdb, nil); c.Sense.Code != code {
				t.Errorf("state %d: %s: %04x", state, cdb, c.Sense.Code)
			}
			if c := through(t, d, 1, 0, cdb, nil); c.Status != sam.Good {
				t.Errorf("state %d: %s through the other port: %04x", state, cdb, c.Sense.Code)
			}
		}
		for _, cdb := range []string{"12 00 00 00 60", "03 00 00 00 12", "a0 00 00 00 00 00 00 00 00 40", "a3 0a 00 00 00 00 00 00 00 40", "5e 00 00 00 00 00 00 00 40"} {
			if c := through(t, d, 2, 1, cdb, nil); c.Status != sam.Good {
				t.Errorf("state %d: %s: %04x", state, cdb, c.Sense.Code)
			}
		}
		if !d.Plain(0) || d.Plain(1) != (code == 0) {
			t.Errorf("state %d: plain %v %v", state, d.Plain(0), d.Plain(1))
		}
		c := parse(t, "a3 0a 00 00 00 00 00 00 00 40")
		b, _ := serve(t, d, c, nil)
		if b[16] != preferredMask|byte(state) || b[21] != accessByItself || b[4] != 0 {
			t.Errorf("state %d: %x", state, b)
		}
		d.SetAccess(nil)
		attentionOf(t, d, 0)
		attentionOf(t, d, 1)
	}
}

// SPC-4 §6.45: initiators set states, all of a list or none; the others hear of it.
func TestALUA_SetByInitiator(t *testing.T) {
	d := testDevice()
	for n := range sam.Nexus(2) {
		d.OpenNexus(n, portNamed(uint16(n)+1))
		attentionOf(t, d, n)
	}
	list := func(entries ...uint16) []byte {
		b := make([]byte, 4)
		for i := 0; i < len(entries); i += 2 {
			b = append(b, byte(entries[i]), 0)
			b = binary.BigEndian.AppendUint16(b, entries[i+1])
		}
		return b
	}
	const twelve = "a4 0a 00 00 00 00 00 00 00 0c"
	for name, b := range map[string][]byte{
		"an unknown group": list(2, 1, 2, 7), "offline": list(0xe, 1, 2, 2), "transitioning": list(0xf, 1, 0, 2),
	} {
		if c := through(t, d, 1, 0, twelve, b); c.Sense.Code != 0x2600 || len(d.access) != 0 {
			t.Errorf("%s: %04x, %+v", name, c.Sense.Code, d.access)
		}
	}
	if c := through(t, d, 1, 0, "a4 0a 00 00 00 00 00 00 00 0a", list(2, 1, 2, 2)); c.Sense.Code != 0x1a00 {
		t.Errorf("a cut list: %04x", c.Sense.Code)
	}
	if c := through(t, d, 1, 0, twelve, list(1, 1, 2, 2)); c.Status != sam.Good {
		t.Fatalf("%04x", c.Sense.Code)
	}
	if attentionOf(t, d, 0) != 0 || attentionOf(t, d, 1) != 0x2a06 {
		t.Error("who hears of it")
	}
	if d.accessOf(1).State != NonOptimized || d.accessOf(2).State != Standby || d.accessOf(1).status != accessByCommand {
		t.Errorf("%+v", d.access)
	}
	// Through the port that is in standby it can be set back.
	if c := through(t, d, 2, 1, twelve, list(0, 1, 0, 2)); c.Status != sam.Good || !d.accessible(2) {
		t.Errorf("%04x", c.Sense.Code)
	}
	if c := through(t, d, 2, 1, "a4 0a", nil); c.Status != sam.Good {
		t.Errorf("no list: %04x", c.Sense.Code)
	}
	// What the operator has taken out of service stays there: hosts that prefer a path would
	// bring it back within seconds.
	d.SetAccess([]GroupAccess{{Group: 2, State: Standby}})
	attentionOf(t, d, 0)
	if c := through(t, d, 1, 0, twelve, list(0, 1, 0, 2)); c.Sense.Code != 0x670a || d.accessible(2) {
		t.Errorf("a group that the operator has set: %04x", c.Sense.Code)
	}
	d.SetAccess(nil)
	attentionOf(t, d, 0)
	if c := through(t, d, 1, 0, twelve, list(0, 1, 1, 2)); c.Status != sam.Good {
		t.Errorf("afterwards: %04x", c.Sense.Code)
	}
}
