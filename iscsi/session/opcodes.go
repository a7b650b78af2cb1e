package session

import "lunar/iscsi/pdu"

// opcodeRow says how full feature phase treats a PDU of an initiator.
type opcodeRow struct {
	// header takes the header; nil refuses the opcode.
	header func(*Conn, *pdu.Header, []byte) Disposition
	// discovery allows it in a discovery session (RFC 3720 §3.3 [R-3.3-1]).
	discovery bool
	// drop ends the connection.
	drop bool
}

// opcodes is the one place a PDU type is entered. It is filled in init because
// its functions refer to Conn, which refers to it.
var opcodes [64]opcodeRow

func init() {
	opcodes[pdu.OpNOPOut] = opcodeRow{header: (*Conn).ping}
	opcodes[pdu.OpSCSICommand] = opcodeRow{header: (*Conn).command}
	opcodes[pdu.OpTaskRequest] = opcodeRow{header: (*Conn).manage}
	// RFC 3720 §3.2.3 [R-3.2.3-3]: there is no second login on a connection.
	opcodes[pdu.OpLoginReq] = opcodeRow{header: (*Conn).never, discovery: true, drop: true}
	opcodes[pdu.OpTextReq] = opcodeRow{header: (*Conn).textRequest, discovery: true}
	opcodes[pdu.OpDataOut] = opcodeRow{header: (*Conn).dataOut}
	opcodes[pdu.OpLogoutReq] = opcodeRow{header: (*Conn).logout, discovery: true}
	opcodes[pdu.OpSNACK] = opcodeRow{header: (*Conn).snack}
}

// never stands where the row itself decides.
func (c *Conn) never(*pdu.Header, []byte) Disposition { return Disposition{Verdict: Drop} }
