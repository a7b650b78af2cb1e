package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Modes of READ BUFFER and WRITE BUFFER (SPC-4 §6.17, §6.49). Those that load microcode are
// not there.
const (
	bufferData           = 0x02
	bufferDescriptor     = 0x03
	bufferEcho           = 0x0a
	bufferEchoDescriptor = 0x0b
	bufferModeMask       = 0x1f

	// bufferBytes is how long the one buffer of a unit is, echoBytes that for echoes.
	bufferBytes = 64 << 10
	echoBytes   = 4096
)

const opReadBuffer16 = 0x9b

// bufferRange decodes BUFFER OFFSET and the length, or ends c and is false.
func bufferRange(c *sam.Command) (offset, length int64, ok bool) {
	if c.CDB[0] == opReadBuffer16 {
		// SPC-5 §6.19: BUFFER OFFSET has eight bytes; no buffer is that long.
		offset = int64(min(binary.BigEndian.Uint64(c.CDB[2:]), 1<<32))
		length = int64(binary.BigEndian.Uint32(c.CDB[10:]))
		if c.CDB[14] != 0 {
			failField(c, 14, -1)
			return 0, 0, false
		}
		return offset, length, true
	}
	if c.CDB[2] != 0 {
		failField(c, 2, -1) // BUFFER ID: there is 0
		return 0, 0, false
	}
	offset = int64(c.CDB[3])<<16 | int64(c.CDB[4])<<8 | int64(c.CDB[5])
	length = int64(c.CDB[6])<<16 | int64(c.CDB[7])<<8 | int64(c.CDB[8])
	return offset, length, true
}

// beginReadBuffer serves READ BUFFER(10) and (16) (SPC-4 §6.17, SPC-5 §6.19).
func (d *Device) beginReadBuffer(c *sam.Command) {
	offset, length, ok := bufferRange(c)
	if !ok {
		return
	}
	switch c.CDB[1] & bufferModeMask {
	case bufferData:
		if offset > bufferBytes {
			at := 3
			if c.CDB[0] == opReadBuffer16 {
				at = 2
			}
			failField(c, at, -1)
			return
		}
		ask(c, 0, min(length, bufferBytes-offset))
	case bufferDescriptor, bufferEchoDescriptor:
		ask(c, 0, min(length, 4))
	case bufferEcho:
		if d.echo == nil {
			c.Fail(illegal(codeSequence)) // SPC-4 §6.17.8: nothing was written before
			return
		}
		ask(c, 0, min(length, int64(len(d.echo))))
	default:
		failField(c, 1, 4)
	}
}

func (d *Device) readBuffer(c *sam.Command) Program {
	offset, _, _ := bufferRange(c)
	switch c.CDB[1] & bufferModeMask {
	case bufferData:
		answer(c, d.data()[offset:])
	case bufferDescriptor:
		// OFFSET BOUNDARY 0: every byte is one. The capacity has 24 bits.
		answer(c, []byte{0, bufferBytes >> 16, bufferBytes >> 8 & 0xff, bufferBytes & 0xff})
	case bufferEchoDescriptor:
		// EBOS 0: another nexus may write over it.
		answer(c, []byte{0, 0, echoBytes >> 8, echoBytes & 0xff})
	default:
		answer(c, d.echo)
	}
	return Program{}
}

// beginWriteBuffer serves WRITE BUFFER (SPC-4 §6.49).
func (d *Device) beginWriteBuffer(c *sam.Command) {
	offset, length, ok := bufferRange(c)
	most := int64(echoBytes)
	switch mode := c.CDB[1] & bufferModeMask; {
	case !ok:
		return
	case mode == bufferData:
		most = bufferBytes - offset
	case mode != bufferEcho:
		failField(c, 1, 4)
		return
	case offset != 0:
		failField(c, 3, -1)
		return
	}
	if length > most {
		failField(c, 6, -1)
		return
	}
	ask(c, length, 0)
}

func (d *Device) writeBuffer(c *sam.Command) Program {
	offset, _, _ := bufferRange(c)
	in := c.Buffer[:min(int64(c.Received), c.DataOutBytes)]
	if c.CDB[1]&bufferModeMask == bufferData {
		copy(d.data()[offset:], in)
	} else {
		d.echo = append(make([]byte, 0, len(in)), in...)
	}
	return Program{}
}

// data is the buffer, drawn with its first use.
func (d *Device) data() []byte {
	if d.buffer == nil {
		d.buffer = make([]byte, bufferBytes)
	}
	return d.buffer
}
