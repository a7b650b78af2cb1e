package pdu

import (
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Residual flags of a SCSI Response and of a Data-In with status (RFC 3720
// §10.4.1). Overflow and underflow exclude each other [R-10.4.1-1].
const (
	ResidualBidiOverflow  = 0x10
	ResidualBidiUnderflow = 0x08
	ResidualOverflow      = 0x04
	ResidualUnderflow     = 0x02

	offResponse     = 2
	offStatus       = 3
	offQualifier    = 8
	offSNACKTag     = 20
	offExpDataSN    = 36
	offBidiResidual = 40
)

// ServiceResponse is the iSCSI outcome of a command (RFC 3720 §10.4.3).
type ServiceResponse uint8

// Service responses.
const (
	CompletedAtTarget ServiceResponse = 0
	TargetFailure     ServiceResponse = 1
)

// SCSIResponse is opcode 21h (RFC 3720 §10.4).
type SCSIResponse struct{ Response }

// AsSCSIResponse views h as a SCSI Response.
func AsSCSIResponse(h *Header) SCSIResponse { return SCSIResponse{Response{h}} }

// ServiceResponse is byte 2.
func (p SCSIResponse) ServiceResponse() ServiceResponse {
	return ServiceResponse(p.Header[offResponse])
}

// SetServiceResponse writes byte 2.
func (p SCSIResponse) SetServiceResponse(r ServiceResponse) { p.Header[offResponse] = byte(r) }

// Status is the SCSI status, byte 3.
func (p SCSIResponse) Status() sam.Status { return sam.Status(p.Header[offStatus]) }

// SetStatus writes the SCSI status.
func (p SCSIResponse) SetStatus(s sam.Status) { p.Header[offStatus] = byte(s) }

// StatusQualifier says more about the status, where protocol level 2 is agreed; below it
// the field is reserved (RFC 7144 §5.2.1, SAM-5 §5.3.2).
func (p SCSIResponse) StatusQualifier() sam.Qualifier { return sam.Qualifier(p.half(offQualifier)) }

// SetStatusQualifier writes the status qualifier.
func (p SCSIResponse) SetStatusQualifier(q sam.Qualifier) { p.setHalf(offQualifier, uint16(q)) }

// SNACKTag is the tag of the last R-Data SNACK of the command, or 0 (§10.4.4).
func (p SCSIResponse) SNACKTag() uint32 { return p.word(offSNACKTag) }

// SetSNACKTag writes the SNACK tag.
func (p SCSIResponse) SetSNACKTag(v uint32) { p.setWord(offSNACKTag, v) }

// ExpDataSN is the number of Data-In and R2T PDUs sent (§10.4.8 [R-10.4.8-1]).
func (p SCSIResponse) ExpDataSN() serial.DataSN { return serial.Data(p.word(offExpDataSN)) }

// SetExpDataSN writes ExpDataSN.
func (p SCSIResponse) SetExpDataSN(n serial.DataSN) { p.setWord(offExpDataSN, n.Uint32()) }

// BidiResidual is the read residual of a bidirectional command (§10.4.6).
func (p SCSIResponse) BidiResidual() uint32 { return p.word(offBidiResidual) }

// SetBidiResidual writes the bidirectional read residual.
func (p SCSIResponse) SetBidiResidual(n uint32) { p.setWord(offBidiResidual, n) }

// Residual is the residual count, valid with an overflow or underflow flag.
func (p SCSIResponse) Residual() uint32 { return p.word(offResidual) }

// SetResidual writes the residual count.
func (p SCSIResponse) SetResidual(n uint32) { p.setWord(offResidual, n) }
