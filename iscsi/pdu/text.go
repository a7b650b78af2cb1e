package pdu

// TextRequest is opcode 04h (RFC 3720 §10.10).
type TextRequest struct{ Request }

// AsTextRequest views h as a Text Request.
func AsTextRequest(h *Header) TextRequest { return TextRequest{Request{h}} }

// Continue is the C bit: the text goes on in the next request.
func (p TextRequest) Continue() bool { return p.Header[offFlags]&FlagContinue != 0 }

// TTT continues an exchange, or is NoTag for a new one (§10.10.4).
func (p TextRequest) TTT() TTT { return TTT(p.word(offTTT)) }

// SetTTT writes the Target Transfer Tag.
func (p TextRequest) SetTTT(t TTT) { p.setWord(offTTT, uint32(t)) }

// TextResponse is opcode 24h (RFC 3720 §10.11).
type TextResponse struct{ Response }

// AsTextResponse views h as a Text Response.
func AsTextResponse(h *Header) TextResponse { return TextResponse{Response{h}} }

// Continue is the C bit: the text goes on in the next response.
func (p TextResponse) Continue() bool { return p.Header[offFlags]&FlagContinue != 0 }

// TTT names an exchange that goes on, or is NoTag with F=1 (§10.11.1).
func (p TextResponse) TTT() TTT { return TTT(p.word(offTTT)) }

// SetTTT writes the Target Transfer Tag.
func (p TextResponse) SetTTT(t TTT) { p.setWord(offTTT, uint32(t)) }
