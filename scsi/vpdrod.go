package scsi

import "encoding/binary"

// Third-party copy descriptors of ROD tokens (SBC-4 §6.6.9.3, SPC-4 §7.8.17.8, §7.8.17.9).
const (
	tpcRODLimits   = 0x0000 // Block Device ROD Limits
	tpcRODFeatures = 0x0106 // ROD Token Features
	tpcRODTypes    = 0x0108 // Supported ROD Types

	tpcRODLimitsBytes, tpcRODFeaturesBytes, tpcRODTypeBytes = 32, 44, 64
	tpcBlockRODBytes                                        = 48
)

// appendRODLimits appends what POPULATE TOKEN and WRITE USING TOKEN take. The descriptor is
// the one that Windows looks for.
func (d *Device) appendRODLimits(b []byte) []byte {
	p := make([]byte, tpcRODLimitsBytes)
	binary.BigEndian.PutUint16(p[6:], maxRanges)
	binary.BigEndian.PutUint32(p[8:], maxInactivity)
	binary.BigEndian.PutUint32(p[12:], defaultInactivity)
	binary.BigEndian.PutUint64(p[16:], maxTokenBytes>>d.blockShift)
	binary.BigEndian.PutUint64(p[24:], optimalTokenBytes>>d.blockShift)
	return appendTPC(b, tpcRODLimits, p)
}

// appendROD appends the other two. REMOTE TOKENS is 0: of this target only.
func (d *Device) appendROD(b []byte) []byte {
	p := make([]byte, tpcRODFeaturesBytes, tpcRODFeaturesBytes+tpcBlockRODBytes)
	// No lifetime can be asked for: a token lives until its inactivity timeout.
	binary.BigEndian.PutUint32(p[20:], maxInactivity)
	binary.BigEndian.PutUint16(p[42:], tpcBlockRODBytes)
	blocks := make([]byte, tpcBlockRODBytes)
	binary.BigEndian.PutUint16(blocks[2:], tpcBlockRODBytes-4)
	binary.BigEndian.PutUint64(blocks[8:], maxTokenBytes)
	binary.BigEndian.PutUint64(blocks[16:], optimalTokenBytes)
	binary.BigEndian.PutUint64(blocks[24:], maxTokenBytes) // nothing moves
	binary.BigEndian.PutUint64(blocks[32:], optimalTokenBytes)
	b = appendTPC(b, tpcRODFeatures, append(p, blocks...))

	const tokenIn, tokenOut = 0x02, 0x01
	p = make([]byte, 4, 4+2*tpcRODTypeBytes)
	for _, t := range []struct {
		kind  uint32
		flags byte
	}{{rodVulnerable, tokenIn | tokenOut}, {rodZero, tokenIn}} {
		k := make([]byte, tpcRODTypeBytes)
		binary.BigEndian.PutUint32(k, t.kind)
		k[4] = t.flags
		p = append(p, k...)
	}
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)-4))
	return appendTPC(b, tpcRODTypes, p)
}
