package sam

// NexusName names the two ends of an I_T nexus, as far as state that outlives its
// sessions needs them.
type NexusName struct {
	Initiator InitiatorPort
	Target    TargetPort
}

// InitiatorPort is an iSCSI initiator port: the name of its node and its ISID (RFC 3720
// §3.4.2 [R-3.4.2-2]).
type InitiatorPort struct {
	Name string
	ISID [6]byte
}

// TargetPort is an iSCSI target port: the name of its node and its relative target port
// identifier (SPC-4 §7.8.6.7).
type TargetPort struct {
	Name     string
	Relative uint16
	// Group is its target port group.
	Group uint16
}
