package scsi

// primaryCommands are those of every device type (SPC-4 §6, SPC-2 for RESERVE and
// RELEASE).
var primaryCommands = []Opcode{
	{
		Code: 0x00, Name: "TEST UNIT READY", Class: Neutral, Out: neverOut,
		Usage:       []byte{0x00, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginTestUnitReady,
	},
	{
		Code: 0x03, Name: "REQUEST SENSE", Class: Neutral, Out: neverOut, flags: passAccess | passAttention | passStopped | passAbsent | passReserved | passOperation,
		Usage:       []byte{0x03, 0x01, 0, 0, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginRequestSense, execute: (*Device).requestSense,
	},
	{
		Code: 0x12, Name: "INQUIRY", Class: Neutral, Out: neverOut, flags: passAccess | passAttention | passStopped | passAbsent | passReserved | passOperation,
		Usage:       []byte{0x12, 0x01, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginInquiry, execute: (*Device).inquiry,
	},
	{
		Code: 0x15, Name: "MODE SELECT(6)", Class: UnitChange, Out: writesOut, flags: passAccess | passStopped,
		Usage:       []byte{0x15, pfMask | spMask, 0, 0, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginModeSelect, execute: (*Device).modeSelect,
	},
	{
		Code: 0x16, Name: "RESERVE(6)", Class: UnitChange, Out: neverOut, flags: passStopped,
		Usage:       []byte{0x16, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).reserve,
	},
	{
		Code: 0x17, Name: "RELEASE(6)", Class: UnitChange, Out: neverOut, flags: passStopped | passReserved,
		Usage:       []byte{0x17, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).release,
	},
	{
		Code: 0x1a, Name: "MODE SENSE(6)", Class: Neutral, Out: readsOut, flags: passAccess | passStopped,
		Usage:       []byte{0x1a, 0x08, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginModeSense, execute: (*Device).modeSense,
	},
	{
		Code: 0x1c, Name: "RECEIVE DIAGNOSTIC RESULTS", Class: Neutral, Out: readsOut,
		Usage:       []byte{0x1c, pcvMask, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginReceiveDiagnostic, execute: (*Device).receiveDiagnostic,
	},
	{
		Code: 0x1d, Name: "SEND DIAGNOSTIC", Class: MediumRead, Out: writesOut,
		Usage:       []byte{0x1d, diagnosticPF | selfTestMask, 0, 0xff, 0xff, naca},
		Recommended: secondsMedium, begin: (*Device).beginSendDiagnostic, execute: (*Device).sendDiagnostic,
	},
	{
		Code: 0x3b, Name: "WRITE BUFFER", Class: Neutral, Out: writesOut,
		Usage:       []byte{0x3b, bufferModeMask, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginWriteBuffer, execute: (*Device).writeBuffer,
	},
	{
		Code: 0x3c, Name: "READ BUFFER(10)", Class: Neutral, Out: readsOut,
		Usage:       []byte{0x3c, bufferModeMask, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadBuffer, execute: (*Device).readBuffer,
	},
	{
		Code: 0x4c, Name: "LOG SELECT", Class: Neutral, Out: writesOut, flags: passAccess | passStopped,
		Usage:       []byte{0x4c, pcrMask, 0xc0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginLogSelect, execute: (*Device).log,
	},
	{
		Code: 0x4d, Name: "LOG SENSE", Class: Neutral, Out: neverOut, flags: passAccess | passStopped | passOperation,
		Usage:       []byte{0x4d, 0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginLogSense, execute: (*Device).log,
	},
	{
		Code: 0x55, Name: "MODE SELECT(10)", Class: UnitChange, Out: writesOut, flags: passAccess | passStopped,
		Usage:       []byte{0x55, pfMask | spMask, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginModeSelect, execute: (*Device).modeSelect,
	},
	{
		Code: 0x56, Name: "RESERVE(10)", Class: UnitChange, Out: neverOut, flags: passStopped,
		Usage:       []byte{0x56, 0, 0, 0, 0, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).reserve,
	},
	{
		Code: 0x57, Name: "RELEASE(10)", Class: UnitChange, Out: neverOut, flags: passStopped | passReserved,
		Usage:       []byte{0x57, 0, 0, 0, 0, 0, 0, 0, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReserve, execute: (*Device).release,
	},
	{
		Code: 0x5a, Name: "MODE SENSE(10)", Class: Neutral, Out: readsOut, flags: passAccess | passStopped,
		Usage:       []byte{0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginModeSense, execute: (*Device).modeSense,
	},
	{
		Code: 0x5e, Action: prinKeys, Name: "PERSISTENT RESERVE IN, READ KEYS", Class: Neutral, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5e, prinKeys, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginPersistIn, execute: (*Device).persistIn,
	},
	{
		Code: 0x5e, Action: prinReservation, Name: "PERSISTENT RESERVE IN, READ RESERVATION", Class: Neutral, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5e, prinReservation, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginPersistIn, execute: (*Device).persistIn,
	},
	{
		Code: 0x5e, Action: prinCapabilities, Name: "PERSISTENT RESERVE IN, REPORT CAPABILITIES", Class: Neutral, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5e, prinCapabilities, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginPersistIn, execute: (*Device).persistIn,
	},
	{
		Code: 0x5e, Action: prinFullStatus, Name: "PERSISTENT RESERVE IN, READ FULL STATUS", Class: Neutral, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5e, prinFullStatus, 0, 0, 0, 0, 0, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginPersistIn, execute: (*Device).persistIn,
	},
	{
		Code: 0x5f, Action: proutRegister, Name: "PERSISTENT RESERVE OUT, REGISTER", Class: UnitChange, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutRegister, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x5f, Action: proutReserve, Name: "PERSISTENT RESERVE OUT, RESERVE", Class: UnitChange, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutReserve, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x5f, Action: proutRelease, Name: "PERSISTENT RESERVE OUT, RELEASE", Class: UnitChange, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutRelease, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x5f, Action: proutClear, Name: "PERSISTENT RESERVE OUT, CLEAR", Class: UnitChange, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutClear, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x5f, Action: proutPreempt, Name: "PERSISTENT RESERVE OUT, PREEMPT", Class: UnitChange, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutPreempt, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x5f, Action: proutPreemptAbort, Name: "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", Class: UnitSeizure, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutPreemptAbort, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x5f, Action: proutIgnore, Name: "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", Class: UnitChange, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutIgnore, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x5f, Action: proutMove, Name: "PERSISTENT RESERVE OUT, REGISTER AND MOVE", Class: UnitChange, Out: neverOut, flags: passAccess | passStopped | hasAction,
		Usage:       []byte{0x5f, proutMove, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsLong, begin: (*Device).beginPersistOut, execute: (*Device).persistOut,
	},
	{
		Code: 0x83, Action: extendedCopyLID1, Name: "EXTENDED COPY(LID1)", Class: MediumCopy, Out: writesOut, flags: hasAction,
		Usage:       []byte{0x83, extendedCopyLID1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsCopy, begin: (*Device).beginExtendedCopy, execute: (*Device).extendedCopy,
	},
	{
		Code: 0x83, Action: extendedCopyLID4, Name: "EXTENDED COPY(LID4)", Class: MediumCopy, Out: writesOut, flags: hasAction,
		Usage:       []byte{0x83, extendedCopyLID4, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsCopy, begin: (*Device).beginExtendedCopy, execute: (*Device).extendedCopy,
	},
	{
		Code: 0x83, Action: populateToken, Name: "POPULATE TOKEN", Class: MediumHold, Out: readsOut, flags: hasAction,
		Usage:       []byte{0x83, populateToken, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsMedium, begin: (*Device).beginPopulateToken, execute: (*Device).populateToken,
	},
	{
		Code: 0x83, Action: writeUsingToken, Name: "WRITE USING TOKEN", Class: MediumCopy, Out: writesOut, flags: hasAction | modifies,
		Usage:       []byte{0x83, writeUsingToken, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsCopy, begin: (*Device).beginWriteUsingToken, execute: (*Device).writeUsingToken,
	},
	{
		Code: 0x83, Action: copyOperationAbort, Name: "COPY OPERATION ABORT", Class: Neutral, Out: writesOut, flags: passStopped | hasAction,
		Usage:       []byte{0x83, copyOperationAbort, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, naca},
		Recommended: secondsLong, begin: (*Device).beginCopyAbort, execute: (*Device).copyAbort,
	},
	{
		Code: 0x84, Action: copyStatusLID1, Name: "RECEIVE COPY STATUS(LID1)", Class: Neutral, Out: neverOut, flags: passStopped | hasAction,
		Usage:       []byte{0x84, copyStatusLID1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginCopyResults, execute: (*Device).copyResults,
	},
	{
		Code: 0x84, Action: copyParametersAction, Name: "RECEIVE COPY OPERATING PARAMETERS", Class: Neutral, Out: neverOut, flags: passStopped | hasAction,
		Usage:       []byte{0x84, copyParametersAction, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginCopyResults, execute: (*Device).copyResults,
	},
	{
		Code: 0x84, Action: copyFailureAction, Name: "RECEIVE COPY FAILURE DETAILS(LID1)", Class: Neutral, Out: neverOut, flags: passStopped | hasAction,
		Usage:       []byte{0x84, copyFailureAction, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginCopyResults, execute: (*Device).copyResults,
	},
	{
		Code: 0x84, Action: rodTokenInformation, Name: "RECEIVE ROD TOKEN INFORMATION", Class: Neutral, Out: neverOut, flags: passStopped | hasAction,
		Usage:       []byte{0x84, rodTokenInformation, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginCopyResults, execute: (*Device).copyResults,
	},
	{
		Code: 0x84, Action: reportAllTokens, Name: "REPORT ALL ROD TOKENS", Class: Neutral, Out: neverOut, flags: passStopped | hasAction,
		Usage:       []byte{0x84, reportAllTokens, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginAllTokens, execute: (*Device).allTokens,
	},
	{
		Code: 0x84, Action: copyStatusLID4, Name: "RECEIVE COPY STATUS(LID4)", Class: Neutral, Out: neverOut, flags: passStopped | hasAction,
		Usage:       []byte{0x84, copyStatusLID4, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginCopyResults, execute: (*Device).copyResults,
	},
	{
		Code: opReadBuffer16, Name: "READ BUFFER(16)", Class: Neutral, Out: readsOut,
		Usage:       []byte{0x9b, bufferModeMask, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, naca},
		Recommended: secondsQuick, begin: (*Device).beginReadBuffer, execute: (*Device).readBuffer,
	},
	{
		Code: 0xa0, Name: "REPORT LUNS", Class: Neutral, Out: neverOut, flags: passAccess | passAttention | passStopped | passAbsent | passReserved | passOperation,
		Usage:       []byte{0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReportLUNs, execute: (*Device).reportLUNs,
	},
	{
		Code: 0xa3, Action: 0x05, Name: "REPORT IDENTIFYING INFORMATION", Class: Neutral, Out: neverOut, flags: passStopped | hasAction,
		Usage:       []byte{0xa3, 0x05, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, naca},
		Recommended: secondsQuick, begin: (*Device).beginReportIdentifying, execute: (*Device).reportIdentifying,
	},
	{
		Code: 0xa4, Action: 0x06, Name: "SET IDENTIFYING INFORMATION", Class: UnitChange, Out: writesOut, flags: passStopped | hasAction,
		Usage:       []byte{0xa4, 0x06, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, naca},
		Recommended: secondsLong, begin: (*Device).beginSetIdentifying, execute: (*Device).setIdentifying,
	},
	{
		Code: 0xa3, Action: 0x0a, Name: "REPORT TARGET PORT GROUPS", Class: Neutral, Out: neverOut, flags: passStopped | passOperation | passAccess | hasAction,
		Usage:       []byte{0xa3, groupsExtended | 0x0a, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReportGroups, execute: (*Device).reportGroups,
	},
	{
		Code: 0xa3, Action: 0x0c, Name: "REPORT SUPPORTED OPERATION CODES", Class: Neutral, Out: readsOut, flags: passAccess | passStopped | passOperation | hasAction,
		Usage:       []byte{0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginSupportedOpcodes, execute: (*Device).supportedOpcodes,
	},
	{
		Code: 0xa3, Action: 0x0d, Name: "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", Class: Neutral, Out: readsOut, flags: passAccess | passStopped | passOperation | hasAction,
		Usage:       []byte{0xa3, 0x0d, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginSupportedFunctions, execute: (*Device).supportedFunctions,
	},
	{
		Code: 0xa2, Name: "SECURITY PROTOCOL IN", Class: Neutral, Out: readsOut, flags: passStopped | passOperation,
		Usage:       []byte{0xa2, 0xff, 0xff, 0xff, inc512Mask, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginSecurityIn, execute: (*Device).securityIn,
	},
	{
		Code: opReportTimestamp, Action: timestampAction, Name: "REPORT TIMESTAMP", Class: Neutral, Out: neverOut,
		flags:       passAccess | passStopped | passOperation | hasAction,
		Usage:       []byte{0xa3, timestampAction, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginReportTimestamp, execute: (*Device).askTime,
	},
	{
		Code: opSetTimestamp, Action: timestampAction, Name: "SET TIMESTAMP", Class: UnitChange, Out: writesOut, flags: passStopped | hasAction,
		Usage:       []byte{0xa4, timestampAction, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginSetTimestamp, execute: (*Device).askTime,
	},
	{
		Code: 0xa4, Action: 0x0a, Name: "SET TARGET PORT GROUPS", Class: UnitChange, Out: writesOut, flags: passStopped | passAccess | hasAction,
		Usage:       []byte{0xa4, 0x0a, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, naca},
		Recommended: secondsQuick, begin: (*Device).beginSetGroups, execute: (*Device).setGroups,
	},
}
