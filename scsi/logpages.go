package scsi

import "encoding/binary"

// Parameter control bytes (SPC-4 §7.3.2.2.2): nothing is saved, or compared with a
// threshold.
const (
	logCounter = 0x00 // a bounded data counter
	logList    = 0x03 // a binary format list
)

func appendCounter(b []byte, code uint16, value uint64) []byte {
	b = append(b, byte(code>>8), byte(code), logCounter, 8)
	return binary.BigEndian.AppendUint64(b, value)
}

// appendErrors is what pages 02h, 03h and 05h have in common (SPC-4 §7.3.5): of errors
// that were corrected only the medium knows.
func appendErrors(b []byte, uncorrected uint64) []byte {
	const totalUncorrected = 0x0006
	return appendCounter(b, totalUncorrected, uncorrected)
}

// logNonMedium is page 06h (SPC-4 §7.3.8).
func (d *Device) logNonMedium(s *Statistics, b []byte) []byte {
	return appendCounter(b, 0, s.OtherErrors)
}

// logSelfTests is page 10h (SPC-4 §7.3.12): twenty results, of which none was run in the
// foreground or background.
func (d *Device) logSelfTests(_ *Statistics, b []byte) []byte {
	const results, bytes = 20, 16
	for n := range uint16(results) {
		b = append(b, 0, byte(n+1), logList, bytes)
		b = append(b, make([]byte, bytes)...)
	}
	return b
}

// logStatistics is page 19h, parameters 0001h to 0003h (SPC-4 §7.3.7). Times are not measured and
// stay zero.
func (d *Device) logStatistics(s *Statistics, b []byte) []byte {
	const (
		general, bytes           = 0x0001, 64
		idle, interval, eight    = 0x0002, 0x0003, 8
		exponentOfTen, intervals = 3, 1 // an interval of a millisecond
	)
	b = append(b, 0, general, logList, bytes)
	for _, v := range []uint64{
		s.Reads, s.Writes, s.WriteBytes >> d.blockShift, s.ReadBytes >> d.blockShift, 0, 0, 0, 0,
	} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, 0, idle, logList, eight, 0, 0, 0, 0, 0, 0, 0, 0)
	return append(b, 0, interval, logList, eight, 0, 0, 0, exponentOfTen, 0, 0, 0, intervals)
}

// unknownTemperature says that nobody knows it: what is behind a unit may be memory, a file or
// many disks.
const unknownTemperature = 0xff

// logExceptions is page 2Fh (SBC-3 §6.4.5): none, and no temperature.
func (d *Device) logExceptions(_ *Statistics, b []byte) []byte {
	return append(b, 0, 0, logList, 4, 0, 0, unknownTemperature, 0)
}

// logTemperature is page 0Dh (SPC-4 §7.3.21): the temperature, and the highest there may be.
func (d *Device) logTemperature(_ *Statistics, b []byte) []byte {
	b = append(b, 0, 0, logList, 2, 0, unknownTemperature)
	return append(b, 0, 1, logList, 2, 0, unknownTemperature)
}

// logCycles is page 0Eh (SPC-4 §7.3.20), of it what START STOP UNIT does: starts, counted
// since the unit was opened, and loads of a medium. Nobody knows a date of manufacture, and
// any number of cycles does no harm.
func (d *Device) logCycles(_ *Statistics, b []byte) []byte {
	const starts, loads, bytes = 0x0004, 0x0006, 4
	b = binary.BigEndian.AppendUint32(append(b, 0, starts, logList, bytes), d.starts)
	if d.removable {
		b = binary.BigEndian.AppendUint32(append(b, 0, loads, logList, bytes), d.loads)
	}
	return b
}

// logScans is page 15h (SBC-3 §6.4.2), parameter 0000h alone: no scan is made, of none there
// are results. The power is on since the unit was opened.
func (d *Device) logScans(s *Statistics, b []byte) []byte {
	const bytes, minute = 12, 60_000
	b = append(b, 0, 0, logList, bytes)
	b = binary.BigEndian.AppendUint32(b, uint32((s.Millis-s.Started)/minute))
	return append(b, make([]byte, bytes-4)...)
}

// logCache is page 19h subpage 20h (SPC-4 §7.3.4): a cache that keeps what is read.
func (d *Device) logCache(s *Statistics, b []byte) []byte {
	const cache, bytes = 0x0001, 40
	b = append(b, 0, cache, logList, bytes)
	for _, v := range []uint64{s.CacheHits, s.CacheReads, 0, 0, 0} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// logPower is page 1Ah (SPC-4 §7.3.11): there is no power condition to get into but active,
// and the unit never left it.
func (d *Device) logPower(_ *Statistics, b []byte) []byte {
	const bytes = 4
	for _, condition := range []byte{0x01, 0x02, 0x03, 0x04, 0x08, 0x09} {
		b = append(b, 0, condition, logList, bytes, 0, 0, 0, 0)
	}
	return b
}
