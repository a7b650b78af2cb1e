package session

import (
	"fmt"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
)

// span is a range of header bytes that a PDU uses, both ends included.
type span struct{ from, to int }

// used are the fields of a target's PDUs besides opcode, byte 1, lengths, ITT and
// the three numbers (RFC 3720 §10): what is in none of them is reserved.
var used = map[pdu.Opcode]struct {
	flags byte
	spans []span
}{
	pdu.OpNOPIn:        {0x80, []span{{8, 15}, {20, 23}}},
	pdu.OpSCSIResponse: {0x9e, []span{{2, 3}, {20, 23}, {36, 47}}},
	pdu.OpTaskResponse: {0x80, []span{{2, 2}}},
	pdu.OpTextResp:     {0xc0, []span{{8, 15}, {20, 23}}},
	pdu.OpDataIn:       {0xc7, []span{{3, 3}, {8, 15}, {20, 23}, {36, 47}}},
	pdu.OpLogoutResp:   {0x80, []span{{2, 2}, {40, 43}}},
	pdu.OpR2T:          {0x80, []span{{8, 15}, {20, 23}, {36, 47}}},
	pdu.OpAsync:        {0x80, []span{{36, 43}}},
	pdu.OpReject:       {0x80, []span{{2, 2}, {36, 39}}},
}

// reservedOf says what is set in a PDU of a target though it is reserved there.
func reservedOf(h *pdu.Header, recovers bool) (wrong []string) {
	u, known := used[h.Opcode()]
	if !known || h[0] != byte(h.Opcode()) {
		return []string{fmt.Sprintf("byte 0 is %#x", h[0])}
	}
	if h.AHSBytes() != 0 {
		wrong = append(wrong, "an additional header")
	}
	if h[1]&^u.flags != 0 {
		wrong = append(wrong, fmt.Sprintf("byte 1 is %#x", h[1]))
	}
	spans := append([]span{{0, 1}, {5, 7}, {16, 19}, {24, 35}}, u.spans...)
	for i, b := range h {
		within := false
		for _, s := range spans {
			within = within || i >= s.from && i <= s.to
		}
		if b != 0 && !within {
			wrong = append(wrong, fmt.Sprintf("byte %d is %#x", i, b))
		}
	}
	return append(wrong, dependent(h, recovers)...)
}

// dependent looks at the fields that are reserved unless another one says so.
func dependent(h *pdu.Header, recovers bool) (wrong []string) {
	bad := func(broken bool, what string) {
		if broken {
			wrong = append(wrong, what)
		}
	}
	noTag := pdu.AsNOPIn(h).TTT() == pdu.NoTag
	switch h.Opcode() {
	case pdu.OpNOPIn, pdu.OpTextResp:
		bad(noTag && h.LUN() != 0, "a LUN without a Target Transfer Tag")
	case pdu.OpDataIn:
		d := pdu.AsDataIn(h)
		bad(noTag && h.LUN() != 0, "a LUN without a Target Transfer Tag")
		bad(h[1]&pdu.DataAcknowledge != 0 && !recovers, "A at level 0")
		bad(h[1]&pdu.DataAcknowledge != 0 == noTag, "A without a tag, or a tag without A")
		status := h[1]&pdu.DataStatus != 0
		bad(!status && (d.StatSN().Uint32() != 0 || d.Status() != 0 || d.Residual() != 0 || h[1]&6 != 0), "status fields without S")
		bad(status && h[1]&pdu.FlagFinal == 0, "S without F")
		bad(h[1]&pdu.FlagFinal == 0 && h.DataBytes()%4 != 0, "a segment inside a sequence that is no multiple of four")
	case pdu.OpSCSIResponse:
		bad(h[20]|h[21]|h[22]|h[23] != 0 && !recovers, "a SNACK Tag at level 0")
		bad(h[1]&6 == 0 && pdu.AsSCSIResponse(h).Residual() != 0, "a residual without a flag")
		bad(h[1]&0x18 == 0 && pdu.AsSCSIResponse(h).BidiResidual() != 0, "a read residual without a flag")
	case pdu.OpR2T, pdu.OpTaskResponse, pdu.OpLogoutResp:
		bad(h.DataBytes() != 0, "a data segment")
	case pdu.OpReject:
		bad(pdu.AsReject(h).DataSN().Uint32() != 0 && pdu.AsReject(h).Reason() != pdu.RejectProtocolError, "a DataSN of no refused run")
		switch pdu.AsReject(h).Reason() {
		case 2, 3, 4, 5, 6, 7, 8, 9, 10:
		default:
			// 0b is never sent (RFC 7143 [N-7]); 0c has no occasion here.
			wrong = append(wrong, "reason "+pdu.AsReject(h).Reason().String())
		}
	default:
	}
	bad(h[1]&6 == 6 || h[1]&0x18 == 0x18 && h.Opcode() == pdu.OpSCSIResponse, "overflow and underflow at once")
	return wrong
}

// listenClosely notes what is wrong with a PDU whatever the conversation is about.
func (p *play) listenClosely(h *pdu.Header) {
	p.spoken[h.Opcode()] = true
	for _, w := range reservedOf(h, p.c.kept != nil) {
		p.faults = append(p.faults, h.Opcode().String()+": "+w)
	}
	r := pdu.Response{Header: h}
	if r.MaxCmdSN().Next().Less(r.ExpCmdSN()) {
		p.faults = append(p.faults, "MaxCmdSN below ExpCmdSN-1")
	}
	status := h.Opcode() != pdu.OpR2T && (h.Opcode() != pdu.OpDataIn || h[1]&pdu.DataStatus != 0)
	if n, is := p.numbered[h.ITT()]; is && status {
		// RFC 3720 §3.2.2.1 [R-3.2.2.1-10].
		if !n.Less(r.ExpCmdSN()) {
			p.faults = append(p.faults, "a response to a command that is not acknowledged")
		}
		delete(p.numbered, h.ITT())
	}
}

// Whatever is said in any conversation keeps the rules of every PDU.
func TestConversations_EveryPDUIsWellFormed(t *testing.T) {
	conform.Covers(t, "R-10-1", "R-10.2-2", "R-10.6.3-1", "R-10.8.1-1", "R-10.15.2-1",
		"R-10.4.1-1", "R-10.7.2-1", "R-10.7.3-4", "R-10.7.7-2", "R-10.4.4-1", "R-3.2.2.1-6", "R-3.2.2.1-10", "N-7")
	spoken := map[pdu.Opcode]bool{}
	for _, name := range conversationFiles(t) {
		for _, c := range readConversations(t, name) {
			p := newPlay(configure(c.options))
			converse(t, p, c.lines)
			for o := range p.spoken {
				spoken[o] = true
			}
		}
	}
	for o := range used {
		if o != pdu.OpAsync && !spoken[o] {
			t.Errorf("no conversation has a %v", o)
		}
	}
	// Async Messages are said by the transport, when it stops.
	var h pdu.Header
	newPlay(defaults()).c.EmitDropping(&h)
	if wrong := reservedOf(&h, false); len(wrong) > 0 || h.ITT() != pdu.NoTag {
		t.Errorf("Async Message: ITT %x, %s", h.ITT(), strings.Join(wrong, ", "))
	}
}

// What is reserved in a request changes no answer (RFC 3720 §10).
func TestConversations_ReservedBitsChangeNothing(t *testing.T) {
	conform.Covers(t, "R-10-2", "N-16", "N-25")
	for _, name := range conversationFiles(t) {
		for _, c := range readConversations(t, name) {
			p := newPlay(configure(c.options))
			p.noisy = true
			t.Run(c.title, func(t *testing.T) { converse(t, p, c.lines) })
		}
	}
}

// noise sets every reserved bit of a request.
func noise(h *pdu.Header) {
	set := func(from, to int) {
		for i := from; i <= to; i++ {
			h[i] = 0xff
		}
	}
	h[0] |= 0x80
	set(2, 3)
	noTag := pdu.AsNOPOut(h).TTT() == pdu.NoTag
	switch h.Opcode() {
	case pdu.OpSCSICommand:
		h[1] |= 0x18
	case pdu.OpNOPOut:
		h[1] |= 0x7f
		set(32, 47)
	case pdu.OpTaskRequest:
		set(36, 47)
		if f := pdu.AsTaskRequest(h).Function(); !f.NeedsLUN() {
			set(8, 15)
		}
		if pdu.AsTaskRequest(h).Function() != 1 {
			set(32, 35)
		}
	case pdu.OpDataOut:
		h[1] |= 0x7f
		set(24, 27)
		set(32, 35)
		set(44, 47)
	case pdu.OpTextReq:
		h[1] |= 0x3f
		set(32, 47)
	case pdu.OpLogoutReq:
		set(8, 15)
		set(22, 23)
		set(32, 47)
	case pdu.OpSNACK:
		h[1] |= 0x70
		set(24, 27)
		set(32, 39)
	default:
	}
	if noTag && (h.Opcode() == pdu.OpDataOut || h.Opcode() == pdu.OpTextReq || h.Opcode() == pdu.OpNOPOut) {
		set(8, 15)
	}
}
