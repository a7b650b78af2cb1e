package pdu

const (
	snackMask    = 0x0f
	offBegRun    = 40
	offRunLength = 44
)

// SNACKType is what is asked again or acknowledged (RFC 3720 §10.16.1).
type SNACKType uint8

// SNACK types.
const (
	SNACKData    SNACKType = 0
	SNACKStatus  SNACKType = 1
	SNACKDataACK SNACKType = 2
	SNACKRData   SNACKType = 3
)

// SNACK is the SNACK Request, opcode 10h (RFC 3720 §10.16). It has no CmdSN.
type SNACK struct{ Request }

// AsSNACK views h as a SNACK Request.
func AsSNACK(h *Header) SNACK { return SNACK{Request{h}} }

// Type is what is asked.
func (p SNACK) Type() SNACKType { return SNACKType(p.Header[offFlags] & snackMask) }

// SetType writes byte 1: the type with F, which is always set.
func (p SNACK) SetType(t SNACKType) { p.Header[offFlags] = FlagFinal | byte(t) }

// Tag is the SNACK Tag of R-Data, the Target Transfer Tag of DataACK, or NoTag.
func (p SNACK) Tag() uint32 { return p.word(offTTT) }

// SetTag writes the tag.
func (p SNACK) SetTag(t uint32) { p.setWord(offTTT, t) }

// Run is the first number asked for and how many; 0 and 0 mean all that is
// unacknowledged (§10.16.6, §10.16.7).
func (p SNACK) Run() (first, count uint32) { return p.word(offBegRun), p.word(offRunLength) }

// SetRun writes the run.
func (p SNACK) SetRun(first, count uint32) {
	p.setWord(offBegRun, first)
	p.setWord(offRunLength, count)
}
