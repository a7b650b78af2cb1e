package engine

import (
	"time"
)

// Status is the running node at one moment, as plain values that belong to whoever
// asked. Reactors are looked at one after the other, so sums over them may be off by
// what happened meanwhile; each counter by itself only grows.
type Status struct {
	Node     NodeStatus      `json:"node"`
	Reactors []ReactorStatus `json:"reactors"`
	Targets  []TargetStatus  `json:"targets"`
	Units    []UnitStatus    `json:"units"`
	Sessions []SessionStatus `json:"sessions"`
}

// NodeStatus is what the node has once.
type NodeStatus struct {
	// Ring is what carries the I/O, Poll how reactors wait.
	Ring          string    `json:"ring"`
	Poll          string    `json:"poll"`
	Started       time.Time `json:"started"`
	UptimeSeconds float64   `json:"uptime_seconds"`
	// Groups are the portal groups with the addresses in use.
	Groups []GroupStatus `json:"portal_groups"`
	// Logins are those that ended, by result; LoginsUnderWay and TurnedAway are of the
	// door: connections that are no session yet, and those that found no room.
	Logins         []LoginCount `json:"logins"`
	LoginsUnderWay int          `json:"logins_under_way"`
	TurnedAway     uint64       `json:"turned_away"`
}

// GroupStatus is a portal group.
type GroupStatus struct {
	Tag     uint16   `json:"tag"`
	Portals []string `json:"portals"`
}

// LoginCount is how many logins ended with a status (RFC 3720 §10.13.5).
type LoginCount struct {
	Status uint16 `json:"status"`
	Result string `json:"result"`
	Count  uint64 `json:"count"`
}

// ReactorStatus is one reactor. Counters are since the start.
type ReactorStatus struct {
	Number int `json:"number"`
	// CPU is the processor it is pinned to, -1 without one.
	CPU         int `json:"cpu"`
	Connections int `json:"connections"`
	Sessions    int `json:"sessions"`
	Logins      int `json:"logins"`

	Accepted uint64 `json:"accepted"`
	LoggedIn uint64 `json:"logged_in"`
	Dropped  uint64 `json:"dropped"`
	Commands uint64 `json:"commands"`
	// Passed are commands that ran here without the home of their unit.
	Passed uint64 `json:"passed"`
	// Quarantined connections broke an invariant of the target.
	Quarantined uint64 `json:"quarantined"`
	// Turns of the loop, and how often it was let sleep.
	Turns  uint64 `json:"turns"`
	Sleeps uint64 `json:"sleeps"`
	// Running requests are with media.
	Running int `json:"running"`
	// Pools are the memory for data, in bytes; ReceiveBuffers are counted.
	Pools              []PoolStatus `json:"pools"`
	ReceiveBuffers     int          `json:"receive_buffers"`
	ReceiveBuffersFree int          `json:"receive_buffers_free"`
}

// PoolStatus is one pool of buffers, in bytes.
type PoolStatus struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	Free  int    `json:"free"`
}

// TargetStatus is one target.
type TargetStatus struct {
	Name   string   `json:"name"`
	Alias  string   `json:"alias,omitempty"`
	Groups []uint16 `json:"portal_groups"`
	// LUNs are the target's map; those of its access rules have their initiator.
	LUNs     []LUNStatus `json:"luns"`
	Sessions int         `json:"sessions"`
	// Redirect is where logins are sent instead.
	Redirect []string `json:"redirect,omitempty"`
}

// LUNStatus is a unit under a number.
type LUNStatus struct {
	Number   uint16 `json:"number"`
	Unit     string `json:"unit"`
	ReadOnly bool   `json:"read_only"`
	// Initiator is the pattern of the access rule that has this map, empty for the map
	// of all others.
	Initiator string `json:"initiator,omitempty"`
}

// UnitStatus is one logical unit. Counters are since it was opened, over all reactors;
// bytes are those that commands which ended with GOOD name.
type UnitStatus struct {
	Name       string `json:"name"`
	Medium     string `json:"medium"`
	Bytes      int64  `json:"bytes"`
	BlockBytes uint32 `json:"block_bytes"`
	// Home is the reactor that its device server is on.
	Home int `json:"home"`

	Reads      uint64 `json:"reads"`
	Writes     uint64 `json:"writes"`
	Others     uint64 `json:"others"`
	ReadBytes  uint64 `json:"read_bytes"`
	WriteBytes uint64 `json:"write_bytes"`
	// Passed are commands that needed nothing of the home (the gate).
	Passed uint64 `json:"passed"`
	// Aborted ended without a status. Errors ended with CHECK CONDITION, by sense key;
	// a unit attention is among them.
	Aborted uint64       `json:"aborted"`
	Errors  []ErrorCount `json:"errors,omitempty"`
}

// ErrorCount is how many commands ended with a sense key (SPC-4 §4.5.6).
type ErrorCount struct {
	Key   uint8  `json:"key"`
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// SessionStatus is one session with its connection.
type SessionStatus struct {
	// ID is the TSIH.
	ID        uint16 `json:"id"`
	Initiator string `json:"initiator"`
	Alias     string `json:"alias,omitempty"`
	ISID      string `json:"isid"`
	// Target is empty in an unnamed discovery session.
	Target    string `json:"target"`
	Discovery bool   `json:"discovery"`
	Tag       uint16 `json:"portal_group"`
	// Source is the address it comes from, Portal the one it came to.
	Source string `json:"source"`
	Portal string `json:"portal"`
	// User was proved by CHAP; empty where nobody asked.
	User    string `json:"user,omitempty"`
	Reactor int    `json:"reactor"`
	State   string `json:"state"`

	AgeSeconds    float64 `json:"age_seconds"`
	SilentSeconds float64 `json:"silent_seconds"`
	Commands      uint64  `json:"commands"`
	// BytesIn and BytesOut are of the socket.
	BytesIn  uint64 `json:"bytes_in"`
	BytesOut uint64 `json:"bytes_out"`
	// Tasks are under way; Window is how many may be.
	Tasks  int        `json:"tasks"`
	Window int        `json:"window"`
	Keys   Negotiated `json:"keys"`
}

// Negotiated are the results of a login by the names of RFC 3720 §12; lengths are in
// bytes, times in seconds.
type Negotiated struct {
	HeaderDigest        string `json:"HeaderDigest"`
	DataDigest          string `json:"DataDigest"`
	MaxConnections      uint32 `json:"MaxConnections"`
	InitialR2T          bool   `json:"InitialR2T"`
	ImmediateData       bool   `json:"ImmediateData"`
	MaxBurstLength      uint32 `json:"MaxBurstLength"`
	FirstBurstLength    uint32 `json:"FirstBurstLength"`
	DefaultTime2Wait    uint32 `json:"DefaultTime2Wait"`
	DefaultTime2Retain  uint32 `json:"DefaultTime2Retain"`
	MaxOutstandingR2T   uint32 `json:"MaxOutstandingR2T"`
	DataPDUInOrder      bool   `json:"DataPDUInOrder"`
	DataSequenceInOrder bool   `json:"DataSequenceInOrder"`
	ErrorRecoveryLevel  uint32 `json:"ErrorRecoveryLevel"`
	ProtocolLevel       uint32 `json:"iSCSIProtocolLevel"`
	TaskReporting       string `json:"TaskReporting"`
	// InitiatorMaxRecv is the most the initiator takes in one data segment, TargetMaxRecv
	// the most we take: their MaxRecvDataSegmentLength and ours.
	InitiatorMaxRecv uint32 `json:"initiator_MaxRecvDataSegmentLength"`
	TargetMaxRecv    uint32 `json:"target_MaxRecvDataSegmentLength"`
}
