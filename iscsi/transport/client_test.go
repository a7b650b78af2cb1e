package transport

import (
	"encoding/binary"
	"strings"

	"lunar/digest"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/reactor/fake"
	"lunar/scsi/sam"
)

// answer is one PDU of the target.
type answer struct {
	h    pdu.Header
	data []byte
}

// client is the other end of a connection. It keeps CmdSN and nothing else.
type client struct {
	w      *world
	peer   *fake.Peer
	framer pdu.Framer
	read   int
	cmdSN  uint32
	nextT  uint32
	got    []answer
	part   answer // the PDU that is coming
	// acks, when set, says what the client acknowledges.
	acks func() serial.StatSN
	// numbers are those of the last PDU, nil before the first.
	numbers *numbers
}

func (w *world) dial() *client {
	w.Helper()
	c := &client{w: w, peer: w.ring.Dial(w.listener), cmdSN: 10, nextT: 100}
	w.settle()
	return c
}

// wire lays out a PDU.
func (c *client) wire(h *pdu.Header, data []byte) []byte {
	h.SetDataBytes(len(data))
	if c.acks != nil {
		pdu.Request{Header: h}.SetExpStatSN(c.acks())
	}
	out := append([]byte(nil), h[:]...)
	if c.framer.HeaderDigest {
		out = binary.LittleEndian.AppendUint32(out, digest.Update(0, out))
	}
	if len(data) == 0 {
		return out
	}
	padded := append(append([]byte(nil), data...), make([]byte, pdu.PadBytes(len(data)))...)
	out = append(out, padded...)
	if c.framer.DataDigest {
		out = binary.LittleEndian.AppendUint32(out, digest.Update(0, padded))
	}
	return out
}

func (c *client) send(h *pdu.Header, data []byte) { c.peer.Write(c.wire(h, data)) }

// answers settles the world and returns the PDUs that came since the last call.
func (c *client) answers() []answer {
	c.w.Helper()
	c.w.settle()
	return c.drain()
}

func (c *client) drain() []answer {
	c.w.Helper()
	c.got = nil
	p := c.peer.Read()[c.read:]
	c.read += len(p)
	for {
		ev, n := c.framer.Next(p)
		p = p[n:]
		switch ev {
		case pdu.EventMore:
			return c.got
		case pdu.EventHeader:
			c.follow(c.framer.Header())
			if c.framer.HeaderDigest && digest.Update(0, c.framer.Covered()) != c.framer.HeaderCRC() {
				c.w.Fatal("the target sent a wrong header digest")
			}
			c.part = answer{h: *c.framer.Header()}
			if c.part.h.DataBytes() == 0 {
				c.got = append(c.got, c.part)
			}
		case pdu.EventPiece:
			c.part.data = append(c.part.data, c.framer.Piece()...)
		case pdu.EventEnd:
			c.got = append(c.got, c.part)
			crc := digest.Update(digest.Update(0, c.part.data), c.framer.Padding())
			if c.framer.DataDigest && crc != c.framer.DataCRC() {
				c.w.Fatal("the target sent a wrong data digest")
			}
		}
	}
}

// one is the only answer.
func (c *client) one(o pdu.Opcode) answer {
	c.w.Helper()
	a := c.answers()
	if len(a) != 1 || a[0].h.Opcode() != o {
		c.w.Fatalf("want one %v, got %s", o, names(a))
	}
	return a[0]
}

func names(a []answer) string {
	var s []string
	for i := range a {
		s = append(s, a[i].h.Opcode().String())
	}
	return "[" + strings.Join(s, ", ") + "]"
}

func (c *client) loginRequest(keys ...string) (*pdu.Header, []byte) {
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	r := pdu.AsLoginRequest(h)
	r.SetStages(pdu.OperationalStage, pdu.FullFeature, true, false)
	r.SetISID(pdu.ISID{0x80, 1, 2, 3, 4, 5})
	r.SetCmdSN(serial.Cmd(c.cmdSN))
	text := "InitiatorName=iqn.2026-11.test:a\x00TargetName=" + testTarget + "\x00"
	for _, k := range keys {
		text += k + "\x00"
	}
	return h, []byte(text)
}

// digests looks for what the keys ask for.
func (c *client) digests(keys []string) {
	for _, k := range keys {
		c.framer.HeaderDigest = c.framer.HeaderDigest || k == "HeaderDigest=CRC32C"
		c.framer.DataDigest = c.framer.DataDigest || k == "DataDigest=CRC32C"
	}
}

// login opens a session and takes the unit attentions of a new nexus.
func (w *world) login(keys ...string) *client {
	w.Helper()
	c := w.dial()
	c.send(c.loginRequest(keys...))
	a := c.one(pdu.OpLoginResp)
	if s := pdu.AsLoginResponse(&a.h).Status(); s != pdu.LoginSuccess {
		w.Fatalf("login: status %04x", uint16(s))
	}
	c.digests(keys)
	for range 4 {
		c.command([]byte{0, 0, 0, 0, 0, 0}, pdu.FlagFinal, 0, nil)
		if a := c.one(pdu.OpSCSIResponse); pdu.AsSCSIResponse(&a.h).Status() == sam.Good {
			return c
		}
	}
	w.Fatal("the unit does not become ready")
	return nil
}

// request starts a header with the next tag, numbered or immediate.
func (c *client) request(o pdu.Opcode, immediate bool) *pdu.Header {
	h := new(pdu.Header)
	h.SetOpcode(o)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(pdu.ITT(c.nextT))
	c.nextT++
	pdu.Request{Header: h}.SetCmdSN(serial.Cmd(c.cmdSN))
	if immediate {
		h.SetImmediate()
	} else {
		c.cmdSN++
	}
	return h
}

func (c *client) command(cdb []byte, flags byte, edtl int, data []byte) pdu.ITT {
	h := c.request(pdu.OpSCSICommand, false)
	h.SetFlags(flags | byte(sam.Simple))
	p := pdu.AsSCSICommand(h)
	p.SetEDTL(uint32(edtl))
	copy(p.CDB()[:], cdb)
	c.send(h, data)
	return h.ITT()
}

func cdb10(op byte, lba, blocks int) []byte {
	b := make([]byte, 10)
	b[0] = op
	binary.BigEndian.PutUint32(b[2:], uint32(lba))
	binary.BigEndian.PutUint16(b[7:], uint16(blocks))
	return b
}

func (c *client) read10(lba, blocks int) pdu.ITT {
	return c.command(cdb10(0x28, lba, blocks), pdu.FlagFinal|pdu.CommandRead, blocks*512, nil)
}

// write10 sends a write with its first bytes; final says that no unsolicited data
// follows.
func (c *client) write10(lba, blocks int, immediate []byte, final bool) pdu.ITT {
	flags := byte(pdu.CommandWrite)
	if final {
		flags |= pdu.FlagFinal
	}
	return c.command(cdb10(0x2a, lba, blocks), flags, blocks*512, immediate)
}

func dataOutHeader(itt pdu.ITT, ttt pdu.TTT, sn, offset uint32, final bool) *pdu.Header {
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpDataOut)
	if final {
		h.SetFlags(pdu.FlagFinal)
	}
	h.SetITT(itt)
	p := pdu.AsDataOut(h)
	p.SetTTT(ttt)
	p.SetDataSN(serial.Data(sn))
	p.SetBufferOffset(offset)
	return h
}

func (c *client) dataOut(itt pdu.ITT, ttt pdu.TTT, sn, offset uint32, data []byte, final bool) {
	c.send(dataOutHeader(itt, ttt, sn, offset, final), data)
}

// answerR2T sends what an R2T asked for out of the whole data of the write.
func (c *client) answerR2T(a *answer, whole []byte, segment int) {
	r := pdu.AsR2T(&a.h)
	at, end := int(r.BufferOffset()), int(r.BufferOffset()+r.DesiredBytes())
	for sn := uint32(0); at < end; sn++ {
		n := min(segment, end-at)
		c.dataOut(a.h.ITT(), r.TTT(), sn, uint32(at), whole[at:at+n], at+n == end)
		at += n
	}
}

func (c *client) manage(f sam.Function, ref pdu.ITT, refCmdSN uint32) pdu.ITT {
	h := c.request(pdu.OpTaskRequest, true)
	p := pdu.AsTaskRequest(h)
	p.SetFunction(f)
	p.SetReferencedTag(ref)
	p.SetRefCmdSN(serial.Cmd(refCmdSN))
	c.send(h, nil)
	return h.ITT()
}

func (c *client) logout() {
	h := c.request(pdu.OpLogoutReq, true)
	pdu.AsLogoutRequest(h).SetReason(pdu.CloseSession)
	c.send(h, nil)
}

// bytesOf are reproducible bytes.
func (w *world) bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rand.Uint32())
	}
	return b
}

// check reads blocks back through the target and from the medium.
func (c *client) check(lba int, want []byte) {
	c.w.Helper()
	if string(c.w.medium[lba*512:][:len(want)]) != string(want) {
		c.w.Fatalf("the medium holds something else at block %d", lba)
	}
	c.read10(lba, len(want)/512)
	if got := dataIn(c.answers()); string(got) != string(want) {
		c.w.Fatalf("read something else at block %d (%d of %d bytes)", lba, len(got), len(want))
	}
}

// dataIn joins Data-In PDUs.
func dataIn(a []answer) (all []byte) {
	for i := range a {
		if a[i].h.Opcode() == pdu.OpDataIn {
			all = append(all, a[i].data...)
		}
	}
	return all
}

func statusOf(a *answer) sam.Status { return pdu.AsSCSIResponse(&a.h).Status() }
