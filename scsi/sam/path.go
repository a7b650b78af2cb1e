package sam

// Path is how an initiator port reaches logical units: through which target port,
// and which units it sees there. It does not change, and every command of the
// sessions that use it names it.
type Path struct {
	// TargetName is the iSCSI name of the target device, PortalGroupTag and
	// RelativePort are its port (RFC 3720 §3.4.2 [R-3.4.2-2]).
	TargetName                   string
	PortalGroupTag, RelativePort uint16
	// Ports are all ports of the target, this one among them.
	Ports []Port
	// LUNs are the numbers that lead to a unit, in increasing order, for REPORT
	// LUNS; Units are what they lead to, one for each.
	LUNs  []LUN
	Units []Mapped
	// Map is its owner's own handle; nobody else reads meaning into it.
	Map any
}

// Mapped is a unit as an initiator may name it in a third-party copy.
type Mapped struct {
	// NAA is the designator of the unit.
	NAA [16]byte
	// BlockBytes is the length of its logical blocks.
	BlockBytes uint32
}

// Port is a port of a target: its portal group, which is also its target port group
// (SPC-4 §5.15.2.1), and its relative identifier.
type Port struct{ PortalGroupTag, Relative uint16 }
