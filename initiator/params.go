package initiator

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// Params is what login agreed on. Lengths are in bytes, times in seconds.
type Params struct {
	HeaderDigest, DataDigest  bool
	ImmediateData, InitialR2T bool
	FirstBurst, MaxBurst      uint32
	// MaxRecvDataSegmentLength is ours, MaxSendDataSegmentLength what the target
	// declared for itself (RFC 3720 §12.12: each direction has its own).
	MaxRecvDataSegmentLength, MaxSendDataSegmentLength uint32
	MaxOutstandingR2T                                  uint16
	DefaultTime2Wait, DefaultTime2Retain               uint16
	// MaxConnections is how many connections the session may have, ErrorRecoveryLevel
	// what is done about errors, 0 to 2 (RFC 3720 §6.1.5).
	MaxConnections     uint16
	ErrorRecoveryLevel uint8
	// TaskReporting is how the target reports the end of tasks.
	TaskReporting TaskReporting
	// PortalGroupTag and TargetAlias are what the target says of itself.
	PortalGroupTag uint16
	TargetAlias    string
	ISID           pdu.ISID
	TSIH           pdu.TSIH
	// Portal is where login ended, after redirections.
	Portal string
	// CmdSN is the number of the first command, ExpCmdSN and MaxCmdSN the target's
	// window for it, StatSN the number of the first response to come (RFC 3720
	// §3.2.2).
	CmdSN, ExpCmdSN, MaxCmdSN serial.CmdSN
	StatSN                    serial.StatSN
}

// defaults are the values that hold for a key nobody negotiates (RFC 3720 §12).
func defaults() Params {
	return Params{
		ImmediateData: true, InitialR2T: true, FirstBurst: 65536, MaxBurst: 262144,
		MaxRecvDataSegmentLength: loginSegmentBytes, MaxSendDataSegmentLength: loginSegmentBytes,
		MaxOutstandingR2T: 1, DefaultTime2Wait: 2, DefaultTime2Retain: 20, MaxConnections: 1,
	}
}
