package scsi

// longCommands have CDBs of 32 bytes, with expected tags for type 2 protection (SBC-4 §5.19,
// §5.39, §5.43, §5.47, §5.54). They reach an iSCSI target in an additional header segment
// (RFC 3720 §10.2.2.3).
var longCommands = []Opcode{
	{
		Code: opVariable, Action: 0x0009, Name: "READ(32)", Class: MediumRead, Out: readsOut, flags: hasAction | needsType2, act: actRead,
		Usage: longUsage(0x09, 0x1a), Recommended: secondsMedium, begin: (*Device).beginLong,
	},
	{
		Code: opVariable, Action: 0x000a, Name: "VERIFY(32)", Class: MediumRead, Out: readsOut, flags: hasAction | needsType2, act: actVerify,
		Usage: longUsage(0x0a, 0x16), Recommended: secondsMedium, begin: (*Device).beginLong,
	},
	{
		Code: opVariable, Action: 0x000b, Name: "WRITE(32)", Class: MediumWrite, Out: writesOut, flags: hasAction | needsType2 | modifies, act: actWrite,
		Usage: longUsage(0x0b, 0x1a), Recommended: secondsMedium, begin: (*Device).beginLong,
	},
	{
		Code: opVariable, Action: 0x000c, Name: "WRITE AND VERIFY(32)", Class: MediumWrite, Out: writesOut, flags: hasAction | needsType2 | modifies, act: actWriteVerify,
		Usage: longUsage(0x0c, 0x16), Recommended: secondsMedium, begin: (*Device).beginLong,
	},
	{
		Code: opVariable, Action: 0x000d, Name: "WRITE SAME(32)", Class: MediumWrite, Out: writesOut, flags: hasAction | needsType2 | modifies | unmapBit | anchorBit, act: actSame,
		Usage: longUsage(0x0d, anchorSameMask|unmapMask|ndobMask), Recommended: secondsLong, begin: (*Device).beginLong,
	},
}

// Fields of the 32-byte CDBs.
const (
	longAdditionalAt = 7  // ADDITIONAL CDB LENGTH
	longOptionsAt    = 10 // what byte 1 of the shorter ones has
	longLBAAt        = 12
	longReferenceAt  = 20 // EXPECTED INITIAL LOGICAL BLOCK REFERENCE TAG
	longTagAt        = 24 // EXPECTED LOGICAL BLOCK APPLICATION TAG
	longMaskAt       = 26 // LOGICAL BLOCK APPLICATION TAG MASK
	longLengthAt     = 28

	// longAdditional is the length behind byte 7.
	longAdditional = 0x18
)

// longUsage is the CDB usage of a command, without the bits of protection: its service
// action, and what it has of the options.
func longUsage(action, options byte) []byte {
	u := []byte{opVariable, naca, 0, 0, 0, 0, 0, longAdditional, 0, action, options, 0}
	for len(u) < 32 {
		u = append(u, 0xff)
	}
	return u
}
