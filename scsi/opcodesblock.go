package scsi

// blockCommands are those of a direct access block device (SBC-3 §5, SBC-2 for the 6-byte
// forms).
var blockCommands = []Opcode{
	{
		Code: 0x04, Name: "FORMAT UNIT", Class: UnitChange, Out: writesOut, flags: erases,
		Usage:       []byte{0x04, longListMask | formatData | 0x0f, 0, 0, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginFormat, execute: (*Device).formatUnit,
	},
	{
		Code: 0x08, Name: "READ(6)", Class: MediumRead, Out: readsOut, flags: plain,
		Usage:       []byte{0x08, 0x1f, 0xff, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0x0a, Name: "WRITE(6)", Class: MediumWrite, Out: writesOut, flags: modifies | plain,
		Usage:       []byte{0x0a, 0x1f, 0xff, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0x1b, Name: "START STOP UNIT", Class: UnitChange, Out: writesOut, flags: passStopped | eased,
		Usage:       []byte{0x1b, 0x01, 0, 0x0f, 0xf7, naca},
		Recommended: secondsLong, begin: (*Device).beginStartStop, execute: (*Device).startStop,
	},
	{
		Code: 0x1e, Name: "PREVENT ALLOW MEDIUM REMOVAL", Class: Neutral, Out: writesOut, flags: passStopped | eased,
		Usage:       []byte{0x1e, 0, 0, 0, 0x01, naca},
		Recommended: secondsQuick, begin: (*Device).beginPreventAllow,
	},
	{
		Code: 0x25, Name: "READ CAPACITY(10)", Class: Neutral, Out: neverOut,
		Usage:       []byte{0x25, 0, 0, 0, 0, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadCapacity10, execute: (*Device).readCapacity10,
	},
	{
		Code: 0x28, Name: "READ(10)", Class: MediumRead, Out: readsOut, flags: plain, act: actRead,
		Usage:       []byte{0x28, 0x1a, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0x2a, Name: "WRITE(10)", Class: MediumWrite, Out: writesOut, flags: modifies | plain, act: actWrite,
		Usage:       []byte{0x2a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0x2e, Name: "WRITE AND VERIFY(10)", Class: MediumWrite, Out: writesOut, flags: modifies, act: actWriteVerify,
		Usage:       []byte{0x2e, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginWriteVerify,
	},
	{
		Code: 0x2f, Name: "VERIFY(10)", Class: MediumRead, Out: readsOut, act: actVerify,
		Usage:       []byte{0x2f, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginVerify, execute: (*Device).verify,
	},
	{
		Code: 0x34, Name: "PRE-FETCH(10)", Class: MediumRead, Out: readsOut,
		Usage:       []byte{0x34, 0x02, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPrefetch, execute: (*Device).prefetch,
	},
	{
		Code: 0x35, Name: "SYNCHRONIZE CACHE(10)", Class: MediumRead, Out: writesOut,
		Usage:       []byte{0x35, 0x06, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginSynchronize, execute: (*Device).synchronize,
	},
	{
		Code: 0x37, Name: "READ DEFECT DATA(10)", Class: Neutral, Out: readsOut,
		Usage:       []byte{0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadDefects, execute: (*Device).readDefects,
	},
	{
		Code: 0x41, Name: "WRITE SAME(10)", Class: MediumWrite, Out: writesOut, flags: modifies | unmapBit | anchorBit, act: actSame,
		Usage:       []byte{0x41, anchorSameMask | unmapMask, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginWriteSame, execute: (*Device).writeSame,
	},
	{
		Code: 0x42, Name: "UNMAP", Class: MediumWrite, Out: writesOut, flags: modifies | needsThin | anchorBit,
		Usage:       []byte{0x42, anchorUnmapMask, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginUnmap, execute: (*Device).unmap,
	},
	{
		Code: 0x48, Action: sanitizeOverwrite, Name: "SANITIZE, OVERWRITE", Class: UnitChange, Out: writesOut, flags: erases | hasAction,
		Usage:       []byte{0x48, immedMask | auseMask | sanitizeOverwrite, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginSanitize, execute: (*Device).sanitize,
	},
	{
		Code: 0x48, Action: sanitizeBlockErase, Name: "SANITIZE, BLOCK ERASE", Class: UnitChange, Out: writesOut, flags: erases | hasAction,
		Usage:       []byte{0x48, immedMask | auseMask | sanitizeBlockErase, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginSanitize, execute: (*Device).sanitize,
	},
	{
		Code: 0x48, Action: sanitizeExit, Name: "SANITIZE, EXIT FAILURE MODE", Class: UnitChange, Out: writesOut, flags: erases | hasAction,
		Usage:       []byte{0x48, immedMask | sanitizeExit, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginSanitize, execute: (*Device).sanitize,
	},
	{
		Code: 0x88, Name: "READ(16)", Class: MediumRead, Out: readsOut, flags: plain, act: actRead,
		Usage:       []byte{0x88, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0x89, Name: "COMPARE AND WRITE", Class: MediumAtomic, Out: writesOut, flags: modifies, act: actCompare,
		Usage:       []byte{0x89, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginCompareWrite, execute: (*Device).compareWrite,
	},
	{
		Code: 0x8a, Name: "WRITE(16)", Class: MediumWrite, Out: writesOut, flags: modifies | plain, act: actWrite,
		Usage:       []byte{0x8a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0x8b, Name: "ORWRITE(16)", Class: MediumAtomic, Out: writesOut, flags: modifies, act: actOr,
		Usage:       []byte{0x8b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginOrWrite,
	},
	{
		Code: 0x8e, Name: "WRITE AND VERIFY(16)", Class: MediumWrite, Out: writesOut, flags: modifies, act: actWriteVerify,
		Usage:       []byte{0x8e, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWriteVerify,
	},
	{
		Code: 0x8f, Name: "VERIFY(16)", Class: MediumRead, Out: readsOut, act: actVerify,
		Usage:       []byte{0x8f, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginVerify, execute: (*Device).verify,
	},
	{
		Code: 0x90, Name: "PRE-FETCH(16)", Class: MediumRead, Out: readsOut,
		Usage:       []byte{0x90, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, naca},
		Recommended: secondsLong, begin: (*Device).beginPrefetch, execute: (*Device).prefetch,
	},
	{
		Code: 0x91, Name: "SYNCHRONIZE CACHE(16)", Class: MediumRead, Out: writesOut,
		Usage:       []byte{0x91, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginSynchronize, execute: (*Device).synchronize,
	},
	{
		Code: 0x93, Name: "WRITE SAME(16)", Class: MediumWrite, Out: writesOut, flags: modifies | unmapBit | anchorBit, act: actSame,
		Usage:       []byte{0x93, anchorSameMask | unmapMask | ndobMask, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginWriteSame, execute: (*Device).writeSame,
	},
	{
		Code: 0x9c, Name: "WRITE ATOMIC(16)", Class: MediumAtomic, Out: writesOut, flags: modifies | needsAtomic, act: actAtomic,
		Usage:       []byte{0x9c, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWriteAtomic, execute: (*Device).writeAtomic,
	},
	{
		Code: 0x9e, Action: 0x10, Name: "READ CAPACITY(16)", Class: Neutral, Out: neverOut, flags: hasAction,
		Usage:       []byte{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadCapacity16, execute: (*Device).readCapacity16,
	},
	{
		Code: 0x9e, Action: 0x12, Name: "GET LBA STATUS", Class: MediumRead, Out: readsOut, flags: hasAction,
		Usage:       []byte{0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginLBAStatus, execute: (*Device).lbaStatus,
	},
	{
		Code: 0x9e, Action: referralsAction, Name: "REPORT REFERRALS", Class: Neutral, Out: neverOut, flags: passAccess | hasAction,
		Usage:       []byte{0x9e, referralsAction, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, naca},
		Recommended: secondsQuick, begin: (*Device).beginReferrals, execute: (*Device).referrals,
	},
	{
		Code: 0xa8, Name: "READ(12)", Class: MediumRead, Out: readsOut, flags: plain, act: actRead,
		Usage:       []byte{0xa8, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0xaa, Name: "WRITE(12)", Class: MediumWrite, Out: writesOut, flags: modifies | plain, act: actWrite,
		Usage:       []byte{0xaa, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0xae, Name: "WRITE AND VERIFY(12)", Class: MediumWrite, Out: writesOut, flags: modifies, act: actWriteVerify,
		Usage:       []byte{0xae, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWriteVerify,
	},
	{
		Code: 0xaf, Name: "VERIFY(12)", Class: MediumRead, Out: readsOut, act: actVerify,
		Usage:       []byte{0xaf, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginVerify, execute: (*Device).verify,
	},
	{
		Code: 0xb7, Name: "READ DEFECT DATA(12)", Class: Neutral, Out: readsOut,
		Usage:       []byte{0xb7, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadDefects, execute: (*Device).readDefects,
	},
}
