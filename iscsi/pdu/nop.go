package pdu

// NOPOut is opcode 00h (RFC 3720 §10.18): a ping, the answer to one, or only an
// ExpStatSN.
type NOPOut struct{ Request }

// AsNOPOut views h as a NOP-Out.
func AsNOPOut(h *Header) NOPOut { return NOPOut{Request{h}} }

// TTT is the tag of the NOP-In it answers, or NoTag.
func (p NOPOut) TTT() TTT { return TTT(p.word(offTTT)) }

// SetTTT writes the Target Transfer Tag.
func (p NOPOut) SetTTT(t TTT) { p.setWord(offTTT, uint32(t)) }

// NOPIn is opcode 20h (RFC 3720 §10.19).
type NOPIn struct{ Response }

// AsNOPIn views h as a NOP-In.
func AsNOPIn(h *Header) NOPIn { return NOPIn{Response{h}} }

// TTT is our tag when an answer is wanted, or NoTag.
func (p NOPIn) TTT() TTT { return TTT(p.word(offTTT)) }

// SetTTT writes the Target Transfer Tag.
func (p NOPIn) SetTTT(t TTT) { p.setWord(offTTT, uint32(t)) }
