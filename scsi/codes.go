package scsi

import (
	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// Additional sense codes and qualifiers (SPC-4 annex F.2), ASC in the high byte.
const (
	codeNone              = 0x0000
	codeNotReady          = 0x0400 // LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE
	codeFormatting        = 0x0404 // LOGICAL UNIT NOT READY, FORMAT IN PROGRESS
	codeTransition        = 0x040a // LOGICAL UNIT NOT ACCESSIBLE, ASYMMETRIC ACCESS STATE TRANSITION
	codeStandby           = 0x040b // LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE
	codeUnavailable       = 0x040c // LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN UNAVAILABLE STATE
	codeSanitizing        = 0x041b // LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS
	codeNeedsStart        = 0x0402 // LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED
	codeInProgress        = 0x0016 // OPERATION IN PROGRESS
	codeUnreachable       = 0x0804 // UNREACHABLE COPY TARGET
	codeThirdParty        = 0x0d01 // THIRD PARTY DEVICE FAILURE
	codeNotReachable      = 0x0d02 // COPY TARGET DEVICE NOT REACHABLE
	codeUnderrun          = 0x0d04 // COPY TARGET DEVICE DATA UNDERRUN
	codeWrongDevice       = 0x0d03 // INCORRECT COPY TARGET DEVICE TYPE
	codeWriteError        = 0x0c00 // WRITE ERROR
	codeInformationUnit   = 0x0e03 // INVALID FIELD IN COMMAND INFORMATION UNIT
	codeGuard             = 0x1001 // LOGICAL BLOCK GUARD CHECK FAILED
	codeApplicationTag    = 0x1002 // LOGICAL BLOCK APPLICATION TAG CHECK FAILED
	codeReferenceTag      = 0x1003 // LOGICAL BLOCK REFERENCE TAG CHECK FAILED
	codeReadError         = 0x1100 // UNRECOVERED READ ERROR
	codeParameterLength   = 0x1a00 // PARAMETER LIST LENGTH ERROR
	codeMiscompare        = 0x1d00 // MISCOMPARE DURING VERIFY OPERATION
	codeInvalidOpcode     = 0x2000 // INVALID COMMAND OPERATION CODE
	codeRange             = 0x2100 // LOGICAL BLOCK ADDRESS OUT OF RANGE
	codeTokenType         = 0x2301 // INVALID TOKEN OPERATION, UNSUPPORTED TOKEN TYPE
	codeTokenRemote       = 0x2302 // INVALID TOKEN OPERATION, REMOTE TOKEN USAGE NOT SUPPORTED
	codeTokenUnknown      = 0x2304 // INVALID TOKEN OPERATION, TOKEN UNKNOWN
	codeTokenCorrupt      = 0x2305 // INVALID TOKEN OPERATION, TOKEN CORRUPT
	codeTokenExpired      = 0x2307 // INVALID TOKEN OPERATION, TOKEN EXPIRED
	codeTokenCancelled    = 0x2308 // INVALID TOKEN OPERATION, TOKEN CANCELLED
	codeTokenDeleted      = 0x2309 // INVALID TOKEN OPERATION, TOKEN DELETED
	codeTokenLength       = 0x230a // INVALID TOKEN OPERATION, INVALID TOKEN LENGTH
	codeInvalidField      = 0x2400 // INVALID FIELD IN CDB
	codeNoUnit            = 0x2500 // LOGICAL UNIT NOT SUPPORTED
	codeInvalidParameter  = 0x2600 // INVALID FIELD IN PARAMETER LIST
	codeInvalidRelease    = 0x2604 // INVALID RELEASE OF PERSISTENT RESERVATION
	codeManyTargets       = 0x2606 // TOO MANY TARGET DESCRIPTORS
	codeTargetType        = 0x2607 // UNSUPPORTED TARGET DESCRIPTOR TYPE CODE
	codeManySegments      = 0x2608 // TOO MANY SEGMENT DESCRIPTORS
	codeSegmentType       = 0x2609 // UNSUPPORTED SEGMENT DESCRIPTOR TYPE CODE
	codeInexactSegment    = 0x260a // UNEXPECTED INEXACT SEGMENT
	codeGranularity       = 0x260d // COPY SEGMENT GRANULARITY VIOLATION
	codeInlineData        = 0x260b // INLINE DATA LENGTH EXCEEDED
	codeWriteProtected    = 0x2700 // WRITE PROTECTED
	codeSoftwareProtected = 0x2702 // LOGICAL UNIT SOFTWARE WRITE PROTECTED
	codeNoSpace           = 0x2707 // SPACE ALLOCATION FAILED WRITE PROTECT
	codeCleared           = 0x2f02 // COMMANDS CLEARED BY DEVICE SERVER
	codeFormatCorrupted   = 0x3100 // MEDIUM FORMAT CORRUPTED
	codeSanitizeFailed    = 0x3103 // SANITIZE COMMAND FAILED
	codeSequence          = 0x2c00 // COMMAND SEQUENCE ERROR
	codeSavingParameters  = 0x3900 // SAVING PARAMETERS NOT SUPPORTED
	codeNoMedium          = 0x3a00 // MEDIUM NOT PRESENT
	codeInternalFailure   = 0x4400 // INTERNAL TARGET FAILURE
	codeInvalidMessage    = 0x4900 // INVALID MESSAGE ERROR
	codePrevented         = 0x5302 // MEDIUM REMOVAL PREVENTED
	codeNoRegistrations   = 0x5504 // INSUFFICIENT REGISTRATION RESOURCES
	codeSetGroups         = 0x670a // SET TARGET PORT GROUPS COMMAND FAILED
)

// illegal returns an ILLEGAL REQUEST sense.
func illegal(code uint16) sam.Sense { return sam.NewSense(sam.IllegalRequest, code) }

// failField ends c with INVALID FIELD IN CDB at byte b; bit is -1 for the whole
// field.
func failField(c *sam.Command, b, bit int) { c.Fail(illegal(codeInvalidField).At(b, bit)) }

// FailAttribute ends c because its task attribute is ACA and there is no ACA (SAM-5
// §8.6).
func FailAttribute(c *sam.Command) { c.Fail(illegal(codeInvalidMessage)) }

// FailMedium ends c with what the medium said. Write tells the two directions
// apart and lba, the first block that was not served, becomes INFORMATION
// (SBC-3 §4.18.1). OK and Running are no failures and leave c alone.
func FailMedium(c *sam.Command, r blk.Result, write bool, lba uint64) {
	switch r {
	case blk.Running, blk.OK, blk.Differs: // FailCompare reports a difference
	case blk.MediumError:
		code := uint16(codeReadError)
		if write {
			code = codeWriteError
		}
		c.Fail(sam.NewSense(sam.MediumError, code).WithInfo(lba))
	case blk.NoSpace:
		// SBC-3 §4.7.3.6: a thin unit that ran out refuses writes as protected.
		c.Fail(sam.NewSense(sam.DataProtect, codeNoSpace).WithInfo(lba))
	case blk.NotReady:
		c.Fail(sam.NewSense(sam.NotReady, codeNotReady))
	case blk.WrongGuard:
		failProtection(c, pi.Guard, lba)
	case blk.WrongApplicationTag:
		failProtection(c, pi.Application, lba)
	case blk.WrongReferenceTag:
		failProtection(c, pi.Reference, lba)
	case blk.Unsupported:
		// The Device asks only for what Info promises, so this is our own failure.
		c.Fail(sam.NewSense(sam.HardwareError, codeInternalFailure))
	}
}

// failProtection ends c because a field of the protection information of block lba is
// wrong (SBC-4 table 79, note d).
func failProtection(c *sam.Command, wrong pi.Checks, lba uint64) {
	c.Fail(sam.NewSense(sam.AbortedCommand, codeOf(wrong)).WithInfo(lba))
}

// codeOf is what a command is told that found a field wrong.
func codeOf(wrong pi.Checks) uint16 {
	switch wrong {
	case pi.Guard:
		return codeGuard
	case pi.Application:
		return codeApplicationTag
	default:
		return codeReferenceTag
	}
}

// WriteFailed says whether c ended because the medium could not write.
func WriteFailed(c *sam.Command) bool { return c.Sense.Code == codeWriteError }

// FailCompare ends c with MISCOMPARE; INFORMATION is the offset of the first
// byte that differs from the data of the initiator (SBC-3 §5.29).
func FailCompare(c *sam.Command, offset uint64) {
	c.Fail(sam.NewSense(sam.Miscompare, codeMiscompare).WithInfo(offset))
}

// FailExpected ends c because the initiator announced another amount of data
// than the CDB needs. Unlike other failures it keeps DataOutBytes, so that the
// transport still reports the residual (RFC 7143 §11.4.5).
func FailExpected(c *sam.Command) {
	out := c.DataOutBytes
	c.Fail(illegal(codeInformationUnit))
	c.DataOutBytes = out
}
