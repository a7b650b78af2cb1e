package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// vpdRow is one vital product data page.
type vpdRow struct {
	code byte
	name string
	// absent pages are served for a LUN without a unit too.
	absent bool
	// body appends what follows the four bytes of page header; way is how the
	// question came, nil when nobody knows.
	body func(d *Device, way *sam.Path, b []byte) []byte
}

// vpdRows are the pages in ascending order (SPC-4 §7.8.15 asks for the order).
// To add a page, add a row here. It is filled by init because page 00h lists the
// table it stands in.
var vpdRows []vpdRow

func init() {
	vpdRows = []vpdRow{
		{0x00, "Supported VPD Pages", true, (*Device).vpdSupported},
		{0x80, "Unit Serial Number", false, (*Device).vpdSerial},
		{0x83, "Device Identification", false, (*Device).vpdIdentification},
		{0x84, "Software Interface Identification", false, (*Device).vpdSoftware},
		{0x85, "Management Network Addresses", false, (*Device).vpdManagement},
		{0x86, "Extended INQUIRY Data", false, (*Device).vpdExtended},
		{0x87, "Mode Page Policy", false, (*Device).vpdModePolicy},
		{0x88, "SCSI Ports", false, (*Device).vpdPorts},
		{0x8f, "Third-party Copy", false, (*Device).vpdThirdPartyCopy},
		{0xb0, "Block Limits", false, (*Device).vpdBlockLimits},
		{0xb1, "Block Device Characteristics", false, (*Device).vpdCharacteristics},
		{0xb2, "Logical Block Provisioning", false, (*Device).vpdProvisioning},
		{0xb3, "Referrals", false, (*Device).vpdReferrals},
		{0xb7, "Block Limits Extension", false, (*Device).vpdBlockLimitsExtension},
		{0xb9, "Concurrent Positioning Ranges", false, (*Device).vpdRanges},
	}
}

// findPage returns the row of a page this unit has, or nil.
func (d *Device) findPage(code byte) *vpdRow {
	for i := range vpdRows {
		if vpdRows[i].code == code && (!d.absent || vpdRows[i].absent) {
			return &vpdRows[i]
		}
	}
	return nil
}

// vpdPage appends a whole page with its header (SPC-4 §7.8.1).
func (d *Device) vpdPage(b []byte, way *sam.Path, row *vpdRow) []byte {
	start := len(b)
	b = append(b, d.peripheral(), row.code, 0, 0)
	b = row.body(d, way, b)
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start-4))
	return b
}

// vpdSupported is page 00h (SPC-4 §7.8.15).
func (d *Device) vpdSupported(_ *sam.Path, b []byte) []byte {
	for i := range vpdRows {
		if !d.absent || vpdRows[i].absent {
			b = append(b, vpdRows[i].code)
		}
	}
	return b
}

// vpdSerial is page 80h (SPC-4 §7.8.17).
func (d *Device) vpdSerial(_ *sam.Path, b []byte) []byte {
	s := d.serial()
	return appendText(b, s, len(s))
}

func (d *Device) serial() string {
	return d.identity.Serial[:min(len(d.identity.Serial), MaxSerialBytes)]
}

// Designators (SPC-4 §7.8.6.1): code set, association and type.
const (
	codeSetBinary, codeSetASCII, codeSetUTF8 = 1, 2, 3

	ofUnit   = 0 << 4
	ofPort   = 1 << 4
	ofTarget = 2 << 4

	typeVendor, typeNAA, typeRelativePort, typePortGroup, typeName = 1, 3, 4, 5, 8

	// protocolISCSI, in the top four bits of the first byte, is valid with PIV
	// (SPC-4 §7.6.1).
	pivMask       = 0x80
	protocolISCSI = 5 << 4
)

// vpdIdentification is page 83h (SPC-4 §7.8.6). Hosts know the unit by its NAA
// designator, so it stands first; it is the same on every path.
func (d *Device) vpdIdentification(way *sam.Path, b []byte) []byte {
	id := &d.identity
	b = appendDesignator(b, codeSetBinary, ofUnit|typeNAA, id.NAA[:])

	vendor := appendText(nil, id.Vendor, vendorBytes)
	vendor = appendText(vendor, d.serial(), len(d.serial()))
	b = appendDesignator(b, codeSetASCII, ofUnit|typeVendor, vendor)

	if way == nil {
		return b
	}
	b = appendDesignator(b, protocolISCSI|codeSetBinary, pivMask|ofPort|typeRelativePort,
		[]byte{0, 0, byte(way.RelativePort >> 8), byte(way.RelativePort)})

	b = appendDesignator(b, protocolISCSI|codeSetBinary, pivMask|ofPort|typePortGroup,
		[]byte{0, 0, byte(way.PortalGroupTag >> 8), byte(way.PortalGroupTag)})
	b = appendDesignator(b, protocolISCSI|codeSetUTF8, pivMask|ofPort|typeName, portName(way.TargetName, way.PortalGroupTag))
	name := way.TargetName[:min(len(way.TargetName), MaxNameBytes)]
	return appendDesignator(b, protocolISCSI|codeSetUTF8, pivMask|ofTarget|typeName, padName(name))
}

func appendDesignator(b []byte, codeSet, kind byte, value []byte) []byte {
	b = append(b, codeSet, kind, 0, byte(len(value)))
	return append(b, value...)
}

// padName ends a SCSI name string with one to four NULs, to a multiple of four
// bytes (SPC-4 §7.8.6.11).
func padName(s string) []byte {
	return append([]byte(s), make([]byte, 4-len(s)%4)...)
}
