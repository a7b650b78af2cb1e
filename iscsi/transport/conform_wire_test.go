package transport

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"lunar/digest"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// crc is a digest as it stands on the wire.
func crc(b []byte) []byte { return binary.LittleEndian.AppendUint32(nil, digest.Update(0, b)) }

// Digests are agreed to one by one, and used from the first PDU after the login, in
// both directions. The order of a PDU is header, digest, data, padding, digest; a
// length counts neither padding nor digests; without data there is no data digest.
func TestWire_OrderAndDigests(t *testing.T) {
	conform.Covers(t, "R-12.1-1", "R-12.1-2", "R-12.1-3", "R-10.2.3-1", "R-10.2.3-2", "R-10.2-1", "R-3.5-1", "R-10.1-1", "R-10.2.1.6-1")
	conform.Trap(t, 29)
	for _, hd := range []bool{false, true} {
		for _, dd := range []bool{false, true} {
			w := newWorld(t, options{})
			c := w.dial()
			want := map[bool]string{false: "None", true: "CRC32C"}
			keys := []string{"HeaderDigest=" + want[hd], "DataDigest=" + want[dd]}
			c.send(c.loginRequest(keys...))
			a := c.one(pdu.OpLoginResp)
			text := string(a.data)
			if !slices.Contains(pairs(text), keys[0]) || !slices.Contains(pairs(text), keys[1]) {
				t.Fatalf("login answers %q to %q", text, keys)
			}
			c.framer.HeaderDigest, c.framer.DataDigest = hd, dd
			for _, n := range []int{0, 1, 5, 8} {
				data := []byte("abcdefgh")[:n]
				h := c.request(pdu.OpNOPOut, true)
				pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
				before := len(c.peer.Read())
				c.send(h, data)
				w.settle()
				raw := c.peer.Read()[before:]
				c.read += len(raw)
				if got := (*pdu.Header)(raw[:48]).DataBytes(); got != n {
					t.Fatalf("DataSegmentLength %d for %d bytes", got, n)
				}
				expect := append([]byte(nil), raw[:48]...)
				if hd {
					expect = append(expect, crc(raw[:48])...)
				}
				padded := append(append([]byte(nil), data...), make([]byte, -n&3)...)
				expect = append(expect, padded...)
				if dd && n > 0 {
					expect = append(expect, crc(padded)...)
				}
				if string(raw) != string(expect) {
					t.Errorf("digests %v %v, %d bytes:\n got %x\nwant %x", hd, dd, n, raw, expect)
				}
			}
		}
	}
}

func pairs(text string) (all []string) {
	for len(text) > 0 {
		i := 0
		for i < len(text) && text[i] != 0 {
			i++
		}
		all, text = append(all, text[:i]), text[min(i+1, len(text)):]
	}
	return all
}

// The header digest covers additional headers; the data digest covers padding that
// is not zero, which means nothing else.
func TestWire_DigestsCoverAHSAndPadding(t *testing.T) {
	conform.Covers(t, "R-10.2.3-2", "R-12.1-3", "R-10.1-1", "R-12.1-4")
	conform.Trap(t, 29)
	w := newWorld(t, options{})
	c := w.login("HeaderDigest=CRC32C", "DataDigest=CRC32C")
	for _, broken := range []bool{false, true} {
		h := c.request(pdu.OpNOPOut, true)
		pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
		h.SetDataBytes(5)
		wire := append(append([]byte(nil), h[:]...), crc(h[:])...)
		padded := []byte("hello\xde\xad\xbf")
		digest := crc(padded)
		if broken {
			padded[7] ^= 1 // a pad byte alone
		}
		c.peer.Write(append(append(wire, padded...), digest...))
		if !broken {
			if a := c.one(pdu.OpNOPIn); string(a.data) != "hello" {
				t.Fatalf("answer %q", a.data)
			}
			continue
		}
		if a := c.one(pdu.OpReject); pdu.AsReject(&a.h).Reason() != pdu.RejectDataDigest {
			t.Error("reason", pdu.AsReject(&a.h).Reason())
		}
	}
	for _, broken := range []bool{false, true} {
		h := c.request(pdu.OpSCSICommand, false)
		h.SetFlags(pdu.FlagFinal | byte(sam.Simple)) // TEST UNIT READY
		ahs := pdu.AppendAHS(nil, pdu.AHS{Type: pdu.AHSBidiRead, Specific: make([]byte, 5)})
		h.SetAHSBytes(len(ahs))
		wire := append(append([]byte(nil), h[:]...), ahs...)
		digest := crc(wire)
		if broken {
			wire[50] ^= 4 // a byte of the additional header
		}
		c.peer.Write(append(wire, digest...))
		if !broken {
			if a := c.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
				t.Error("status", statusOf(&a))
			}
			continue
		}
		if a := c.answers(); len(a) != 0 || !c.peer.Ended() {
			t.Errorf("answers %s, ended %v", names(a), c.peer.Ended())
		}
	}
}

// The READ(10) of appendix B.4, with the digest that stands there.
func TestWire_ExampleOfTheStandard(t *testing.T) {
	conform.Covers(t, "R-12.1-4", "R-2.3-1")
	w := newWorld(t, options{})
	c := w.dial()
	c.cmdSN = 0x14
	c.send(c.loginRequest("HeaderDigest=CRC32C"))
	c.one(pdu.OpLoginResp)
	c.framer.HeaderDigest = true
	wire, err := hex.DecodeString("01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000563a96d9")
	w.must(err)
	c.peer.Write(wire)
	a := c.one(pdu.OpSCSIResponse) // the attention of a new nexus
	p := pdu.AsSCSIResponse(&a.h)
	if a.h.ITT() != 0x14000000 || statusOf(&a) != sam.CheckCondition || a.data[2+2] != byte(sam.UnitAttention) || p.Residual() != 0x400 || p.ExpCmdSN().Uint32() != 0x15 {
		t.Errorf("ITT %x, status %d, residual %d, ExpCmdSN %v", a.h.ITT(), statusOf(&a), p.Residual(), p.ExpCmdSN())
	}
}

// A PDU whose fields contradict each other ends the session at once, and no other.
func TestWire_FormatErrors(t *testing.T) {
	conform.Covers(t, "R-6.6-1", "R-12.12-2", "R-6.1.4.4-1")
	conform.Trap(t, 35)
	for name, spoil := range map[string]func(c *client) []byte{
		"segment beyond MaxRecvDataSegmentLength": func(c *client) []byte {
			return c.wire(c.request(pdu.OpNOPOut, true), make([]byte, c.w.portal.Login.Offer.MaxRecvDataSegmentLength+1))
		},
		"AHS beyond their total": func(c *client) []byte {
			h := c.request(pdu.OpSCSICommand, false)
			h.SetAHSBytes(4)
			return append(c.wire(h, nil), 0xff, 0xff, 1, 0)
		},
		"second login": func(c *client) []byte {
			h, text := c.loginRequest()
			return c.wire(h, text)
		},
	} {
		w := newWorld(t, options{})
		c, other := w.login(), w.login()
		c.peer.Write(spoil(c))
		if a := c.answers(); len(a) != 0 || !c.peer.Ended() || w.ended != 1 {
			t.Errorf("%s: answers %s, ended %v", name, names(a), c.peer.Ended())
		}
		other.check(0, w.medium[:512])
	}
}
