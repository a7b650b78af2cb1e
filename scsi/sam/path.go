package sam

// Path is how an initiator port reaches logical units: through which target port,
// and which units it sees there. It does not change, and every command of the
// sessions that use it names it.
type Path struct {
	// TargetName is the iSCSI name of the target device, PortalGroupTag and
	// RelativePort are its port (RFC 3720 §3.4.2 [R-3.4.2-2]).
	TargetName                   string
	PortalGroupTag, RelativePort uint16
	// LUNs are the numbers that lead to a unit, in increasing order, for REPORT
	// LUNS.
	LUNs []LUN
}
