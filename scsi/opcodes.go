package scsi

import "lunar/lun/blk"

// Timeouts in seconds. The nominal one is zero, "not indicated", where the time
// depends on the medium alone (SPC-4 §6.35.4).
const (
	secondsQuick  = 10 // answered from memory
	secondsMedium = 30 // one transfer from or to the medium
	secondsLong   = 60 // a range of the medium, or a flush
)

// opcodes is the command set: to add a command, add a row here and its functions
// in the file of its family. Rows with one opcode are neighbours; the table is
// in the order of opcodes, which is the order REPORT SUPPORTED OPERATION CODES
// lists them in.
//
// The masks leave out what is not done here, so those bits are refused with a
// field pointer: RDPROTECT, WRPROTECT and VRPROTECT (no protection information,
// SBC-3 §4.22), RARC, GROUP NUMBER (GROUP_SUP is 0, SBC-3 §4.23) and ANCHOR
// (ANC_SUP is 0). Of every CONTROL byte NACA is evaluated (SAM-5 §5.2).
// PRE-FETCH, which changes nothing, takes a GROUP NUMBER all the same: hosts send one.
// FUA_NV and SYNC_NV are obsolete and still sent, so they are accepted and have
// no effect: no cache here survives a power loss.
var opcodes = []Opcode{
	{
		Code: 0x00, Name: "TEST UNIT READY", Class: Neutral,
		Usage:       []byte{0x00, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginTestUnitReady,
	},
	{
		Code: 0x03, Name: "REQUEST SENSE", Class: Neutral, flags: passAttention | passStopped | passAbsent | passReserved,
		Usage:       []byte{0x03, 0x01, 0, 0, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginRequestSense, execute: (*Device).requestSense,
	},
	{
		Code: 0x08, Name: "READ(6)", Class: MediumRead, flags: plain,
		Usage:       []byte{0x08, 0x1f, 0xff, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0x0a, Name: "WRITE(6)", Class: MediumWrite, flags: modifies | plain,
		Usage:       []byte{0x0a, 0x1f, 0xff, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0x12, Name: "INQUIRY", Class: Neutral, flags: passAttention | passStopped | passAbsent | passReserved,
		Usage:       []byte{0x12, 0x01, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginInquiry, execute: (*Device).inquiry,
	},
	{
		Code: 0x16, Name: "RESERVE(6)", Class: UnitChange, flags: passStopped,
		Usage:       []byte{0x16, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).reserve,
	},
	{
		Code: 0x17, Name: "RELEASE(6)", Class: UnitChange, flags: passStopped | passReserved,
		Usage:       []byte{0x17, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).release,
	},
	{
		Code: 0x1a, Name: "MODE SENSE(6)", Class: Neutral, flags: passStopped,
		Usage:       []byte{0x1a, 0x08, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginModeSense, execute: (*Device).modeSense,
	},
	{
		Code: 0x1b, Name: "START STOP UNIT", Class: UnitChange, flags: passStopped,
		Usage:       []byte{0x1b, 0x01, 0, 0x0f, 0xf7, naca},
		Recommended: secondsLong, begin: (*Device).beginStartStop, execute: (*Device).startStop,
	},
	{
		Code: 0x1e, Name: "PREVENT ALLOW MEDIUM REMOVAL", Class: Neutral, flags: passStopped,
		Usage:       []byte{0x1e, 0, 0, 0, 0x01, naca},
		Recommended: secondsQuick, begin: (*Device).beginPreventAllow,
	},
	{
		Code: 0x25, Name: "READ CAPACITY(10)", Class: Neutral,
		Usage:       []byte{0x25, 0, 0, 0, 0, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadCapacity10, execute: (*Device).readCapacity10,
	},
	{
		Code: 0x28, Name: "READ(10)", Class: MediumRead, flags: plain,
		Usage:       []byte{0x28, 0x1a, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0x2a, Name: "WRITE(10)", Class: MediumWrite, flags: modifies | plain,
		Usage:       []byte{0x2a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0x2e, Name: "WRITE AND VERIFY(10)", Class: MediumWrite, flags: modifies,
		Usage:       []byte{0x2e, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginWriteVerify,
	},
	{
		Code: 0x2f, Name: "VERIFY(10)", Class: MediumRead,
		Usage:       []byte{0x2f, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginVerify, execute: (*Device).verify,
	},
	{
		Code: 0x34, Name: "PRE-FETCH(10)", Class: MediumRead,
		Usage:       []byte{0x34, 0x02, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPrefetch, execute: (*Device).prefetch,
	},
	{
		Code: 0x35, Name: "SYNCHRONIZE CACHE(10)", Class: MediumRead,
		Usage:       []byte{0x35, 0x06, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginSynchronize, execute: (*Device).synchronize,
	},
	{
		Code: 0x37, Name: "READ DEFECT DATA(10)", Class: Neutral,
		Usage:       []byte{0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadDefects, execute: (*Device).readDefects,
	},
	{
		Code: 0x41, Name: "WRITE SAME(10)", Class: MediumWrite, flags: modifies | unmapBit,
		Usage:       []byte{0x41, 0x08, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginWriteSame, execute: (*Device).writeSame,
	},
	{
		Code: 0x42, Name: "UNMAP", Class: MediumWrite, flags: modifies | needsThin,
		Usage:       []byte{0x42, 0, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginUnmap, execute: (*Device).unmap,
	},
	{
		Code: 0x56, Name: "RESERVE(10)", Class: UnitChange, flags: passStopped,
		Usage:       []byte{0x56, 0, 0, 0, 0, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).reserve,
	},
	{
		Code: 0x57, Name: "RELEASE(10)", Class: UnitChange, flags: passStopped | passReserved,
		Usage:       []byte{0x57, 0, 0, 0, 0, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).release,
	},
	{
		Code: 0x5a, Name: "MODE SENSE(10)", Class: Neutral, flags: passStopped,
		Usage:       []byte{0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginModeSense, execute: (*Device).modeSense,
	},
	{
		Code: 0x88, Name: "READ(16)", Class: MediumRead, flags: plain,
		Usage:       []byte{0x88, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0x89, Name: "COMPARE AND WRITE", Class: MediumAtomic, flags: modifies,
		Usage:       []byte{0x89, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginCompareWrite, execute: (*Device).compareWrite,
	},
	{
		Code: 0x8a, Name: "WRITE(16)", Class: MediumWrite, flags: modifies | plain,
		Usage:       []byte{0x8a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0x8b, Name: "ORWRITE(16)", Class: MediumAtomic, flags: modifies,
		Usage:       []byte{0x8b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginOrWrite,
	},
	{
		Code: 0x8e, Name: "WRITE AND VERIFY(16)", Class: MediumWrite, flags: modifies,
		Usage:       []byte{0x8e, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWriteVerify,
	},
	{
		Code: 0x8f, Name: "VERIFY(16)", Class: MediumRead,
		Usage:       []byte{0x8f, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginVerify, execute: (*Device).verify,
	},
	{
		Code: 0x90, Name: "PRE-FETCH(16)", Class: MediumRead,
		Usage:       []byte{0x90, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, naca},
		Recommended: secondsLong, begin: (*Device).beginPrefetch, execute: (*Device).prefetch,
	},
	{
		Code: 0x91, Name: "SYNCHRONIZE CACHE(16)", Class: MediumRead,
		Usage:       []byte{0x91, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginSynchronize, execute: (*Device).synchronize,
	},
	{
		Code: 0x93, Name: "WRITE SAME(16)", Class: MediumWrite, flags: modifies | unmapBit,
		Usage:       []byte{0x93, 0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginWriteSame, execute: (*Device).writeSame,
	},
	{
		Code: 0x9e, Action: 0x10, Name: "READ CAPACITY(16)", Class: Neutral, flags: hasAction,
		Usage:       []byte{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadCapacity16, execute: (*Device).readCapacity16,
	},
	{
		Code: 0x9e, Action: 0x12, Name: "GET LBA STATUS", Class: MediumRead, flags: hasAction,
		Usage:       []byte{0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginLBAStatus, execute: (*Device).lbaStatus,
	},
	{
		Code: 0xa0, Name: "REPORT LUNS", Class: Neutral, flags: passAttention | passStopped | passAbsent | passReserved,
		Usage:       []byte{0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReportLUNs, execute: (*Device).reportLUNs,
	},
	{
		Code: 0xa3, Action: 0x0c, Name: "REPORT SUPPORTED OPERATION CODES", Class: Neutral, flags: passStopped | hasAction,
		Usage:       []byte{0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginSupportedOpcodes, execute: (*Device).supportedOpcodes,
	},
	{
		Code: 0xa3, Action: 0x0d, Name: "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", Class: Neutral, flags: passStopped | hasAction,
		Usage:       []byte{0xa3, 0x0d, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginSupportedFunctions, execute: (*Device).supportedFunctions,
	},
	{
		Code: 0xa8, Name: "READ(12)", Class: MediumRead, flags: plain,
		Usage:       []byte{0xa8, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginRead,
	},
	{
		Code: 0xaa, Name: "WRITE(12)", Class: MediumWrite, flags: modifies | plain,
		Usage:       []byte{0xaa, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWrite,
	},
	{
		Code: 0xae, Name: "WRITE AND VERIFY(12)", Class: MediumWrite, flags: modifies,
		Usage:       []byte{0xae, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginWriteVerify,
	},
	{
		Code: 0xaf, Name: "VERIFY(12)", Class: MediumRead,
		Usage:       []byte{0xaf, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginVerify, execute: (*Device).verify,
	},
	{
		Code: 0xb7, Name: "READ DEFECT DATA(12)", Class: Neutral,
		Usage:       []byte{0xb7, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadDefects, execute: (*Device).readDefects,
	},
}

// byOpcode finds the rows of an opcode.
var byOpcode = indexOpcodes(opcodes)

// served says whether the row exists on a unit with this medium.
func (o *Opcode) served(i *blk.Info) bool { return o.flags&needsThin == 0 || i.Thin }

// usage returns the CDB usage of the row on a unit with this medium.
func (o *Opcode) usage(i *blk.Info) []byte {
	if o.flags&unmapBit == 0 || i.Thin {
		return o.Usage
	}
	u := append([]byte(nil), o.Usage...)
	u[1] &^= unmapMask
	return u
}
