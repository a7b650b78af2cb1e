package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

const (
	opModeSelect10 = 0x55

	pfMask = 0x10 // byte 1: the pages are as SPC-4 has them
	spMask = 0x01 // byte 1: save them

	// maxModeSelect bounds a parameter list, which is no longer than what MODE SENSE says.
	maxModeSelect = maxModeSense
)

// beginModeSelect serves MODE SELECT(6) and (10) (SPC-4 §6.11, §6.12).
func (d *Device) beginModeSelect(c *sam.Command) {
	length, at := int64(c.CDB[4]), 4
	if c.CDB[0] == opModeSelect10 {
		length, at = int64(binary.BigEndian.Uint16(c.CDB[7:])), 7
	}
	switch {
	case c.CDB[1]&spMask != 0 && !d.keeps:
		c.Fail(illegal(codeSavingParameters))
	case length > 0 && c.CDB[1]&pfMask == 0:
		failField(c, 1, 4) // vendor specific pages, of which there are none
	case length > maxModeSelect:
		c.Fail(illegal(codeParameterLength).At(at, -1))
	default:
		ask(c, length, 0)
	}
}

// modeSelect takes the pages of the list, all of them or none.
func (d *Device) modeSelect(c *sam.Command) Program {
	if int64(c.Received) < c.DataOutBytes {
		c.Fail(illegal(codeParameterLength))
		return Program{}
	}
	b := c.Buffer[:c.DataOutBytes]
	at, ok := d.skipModeHeader(c, b)
	next := d.mode
	for ok && at < len(b) {
		at, ok = d.selectPage(c, &next, b, at)
	}
	if !ok {
		return Program{}
	}
	saves := c.CDB[1]&spMask != 0
	n := d.draftOf(c)
	n.mode, n.told.mode = next, next != d.mode
	if saves {
		n.saved = next
	}
	n.durable = saves && next != d.saved
	flushes := next.Through && !d.mode.Through
	p := d.adopt(n)
	if flushes {
		// SBC-3 §6.5.5: what is in the cache goes to the medium when WCE becomes zero.
		return Program{Kind: Sync, Keeps: p.Kind == Keep}
	}
	return p
}

// skipModeHeader returns where the pages begin. A block descriptor, if there is one, has to
// be that of the unit: nothing here changes the number of blocks or their length.
func (d *Device) skipModeHeader(c *sam.Command, b []byte) (at int, ok bool) {
	header, descriptor := 4, 0
	long := false
	switch {
	case len(b) == 0:
		return 0, true // SPC-4 §6.11: no list is no error
	case c.CDB[0] == opModeSelect10 && len(b) >= 8:
		header, descriptor, long = 8, int(binary.BigEndian.Uint16(b[6:])), b[4]&longMask != 0
	case c.CDB[0] != opModeSelect10 && len(b) >= 4:
		descriptor = int(b[3])
	default:
		c.Fail(illegal(codeParameterLength))
		return 0, false
	}
	at = header + descriptor
	want := 8
	if long {
		want = 16
	}
	switch {
	case at > len(b):
		c.Fail(illegal(codeParameterLength))
	case descriptor == 0:
		return at, true
	case descriptor != want:
		c.Fail(illegal(codeInvalidParameter).AtParameter(header - 1))
	case !d.fitsDescriptor(b[header:at]):
		c.Fail(illegal(codeInvalidParameter).AtParameter(header))
	default:
		return at, true
	}
	return 0, false
}

// fitsDescriptor says whether a block descriptor asks for what there is: its number of
// blocks, or zero or all ones for as many as there are (SBC-3 §6.5.2).
func (d *Device) fitsDescriptor(b []byte) bool {
	blocks, most, length := uint64(binary.BigEndian.Uint32(b)), uint64(1<<32-1), binary.BigEndian.Uint32(b[4:])&0xffffff
	if len(b) == 16 {
		blocks, most, length = binary.BigEndian.Uint64(b), 1<<64-1, binary.BigEndian.Uint32(b[12:])
	}
	return (blocks == 0 || blocks == most || blocks == d.blocks) && length == d.info.BlockBytes
}

// selectPage takes the page at at into m, and returns where the next one begins.
func (d *Device) selectPage(c *sam.Command, m *parameters, b []byte, at int) (next int, ok bool) {
	fail := func(code uint16, where int) (int, bool) {
		c.Fail(illegal(code).AtParameter(where))
		return 0, false
	}
	header, subpage := 2, byte(0)
	if b[at]&spfMask != 0 {
		header = 4
	}
	if at+header > len(b) {
		return fail(codeParameterLength, at)
	}
	length := int(b[at+1])
	if header == 4 {
		subpage, length = b[at+1], int(binary.BigEndian.Uint16(b[at+2:]))
	}
	r := findModeRow(b[at]&0x3f, subpage)
	if r == nil || !r.served(d) {
		return fail(codeInvalidParameter, at)
	}
	now := r.body(d, m, nil)
	if length != len(now) {
		// SPC-4 §6.11: another length than MODE SENSE says is an invalid field.
		return fail(codeInvalidParameter, at+header-1)
	}
	if at+header+length > len(b) {
		return fail(codeParameterLength, at)
	}
	body, mask := b[at+header:at+header+length], make([]byte, length)
	if r.mask != nil {
		r.mask(d, mask)
	}
	for i := range body {
		if (body[i]^now[i])&^mask[i] != 0 {
			return fail(codeInvalidParameter, at+header+i)
		}
	}
	if r.change != nil {
		r.change(m, body)
	}
	return at + header + length, true
}

func findModeRow(page, subpage byte) *modeRow {
	for i := range modeRows {
		if modeRows[i].page == page && modeRows[i].subpage == subpage {
			return &modeRows[i]
		}
	}
	return nil
}
