package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// REPORT and SET TIMESTAMP (SPC-4 §5.2, §6.41, §6.47). The device clock is the time of day until
// an initiator sets it, and then keeps its distance to that.
const (
	opReportTimestamp = 0xa3
	opSetTimestamp    = 0xa4
	timestampAction   = 0x0f

	timestampBytes = 12
	timestampBits  = 48

	// TIMESTAMP ORIGIN: set by the command, or by other means.
	originCommand = 0x02
	originOther   = 0x03
)

func (d *Device) beginReportTimestamp(c *sam.Command) {
	ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[6:])), timestampBytes))
}

func (d *Device) beginSetTimestamp(c *sam.Command) {
	switch length := int64(binary.BigEndian.Uint32(c.CDB[6:])); length {
	case 0:
		c.Succeed() // SPC-4 §6.47: no list changes nothing
	case timestampBytes:
		ask(c, length, 0)
	default:
		c.Fail(illegal(codeParameterLength).At(6, -1))
	}
}

// askTime needs the time of day, which Counted brings.
func (d *Device) askTime(c *sam.Command) Program {
	if int64(c.Received) < c.DataOutBytes {
		c.Fail(illegal(codeParameterLength).At(6, -1))
		return Program{}
	}
	return Program{Kind: Count}
}

// timestamp ends both commands, at millis of the time of day.
func (d *Device) timestamp(c *sam.Command, millis int64) {
	if c.CDB[0] == opSetTimestamp {
		// Bytes 4 to 9 of the list; 0 to 3, 10 and 11 are reserved.
		d.ahead = int64(binary.BigEndian.Uint64(c.Buffer[2:])&(1<<timestampBits-1)) - millis
		d.clockSet = true
		d.attendOthers(c.Nexus, TimestampChanged)
		return
	}
	b := [timestampBytes]byte{1: timestampBytes - 2, 2: originOther}
	if d.clockSet {
		b[2] = originCommand
	}
	now := uint64(millis+d.ahead) & (1<<timestampBits - 1)
	binary.BigEndian.PutUint16(b[4:], uint16(now>>32))
	binary.BigEndian.PutUint32(b[6:], uint32(now))
	answer(c, b[:])
}
