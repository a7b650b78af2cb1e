package scsi

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"lunar/scsi/sam"
)

// TransportIDs name initiator ports (SPC-4 §7.6.4.6); those of iSCSI are text.
const (
	transportHeader = 4
	// minTransportText is the least ADDITIONAL LENGTH.
	minTransportText = 20
	// maxTransportText is a name of the longest kind (RFC 3720 §3.2.6.1), its ISID and
	// padding.
	maxTransportText = 256

	// transportPort is FORMAT CODE 01b, a name with an ISID, and PROTOCOL IDENTIFIER 5h.
	transportPort = 0x45
	// isidMark stands between the name of a node and the ISID of its port.
	isidMark = ",i,0x"
)

// appendTransportID appends the TransportID of an initiator port.
func appendTransportID(b []byte, p *sam.InitiatorPort) []byte {
	start := len(b)
	b = append(b, transportPort, 0, 0, 0)
	b = append(b, p.Name...)
	b = append(b, isidMark...)
	b = hex.AppendEncode(b, p.ISID[:])
	b = append(b, 0)
	for n := len(b) - start - transportHeader; n < minTransportText || n%4 != 0; n++ {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start-transportHeader))
	return b
}

// cutTransportID reads the TransportID at the start of b and returns what stands behind
// it. Only a name with an ISID names a port: a whole node (FORMAT CODE 00b) is refused.
func cutTransportID(b []byte) (p sam.InitiatorPort, rest []byte, ok bool) {
	if len(b) < transportHeader || b[0] != transportPort {
		return p, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < minTransportText || n > maxTransportText || n%4 != 0 || n > len(b)-transportHeader {
		return p, nil, false
	}
	text, _, ended := strings.Cut(string(b[transportHeader:transportHeader+n]), "\x00")
	name, isid, marked := strings.Cut(text, isidMark)
	id, err := hex.DecodeString(isid)
	if !ended || !marked || name == "" || err != nil || len(id) != len(p.ISID) {
		return p, nil, false
	}
	return sam.InitiatorPort{Name: name, ISID: [6]byte(id)}, b[transportHeader+n:], true
}
