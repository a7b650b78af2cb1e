package api

import (
	"fmt"
	"strings"

	"lunar/engine"
)

// nodeFacts is how the status of a node looks.
func nodeFacts(n *NodeReply) [][]string {
	rows := [][]string{
		{"version", n.Version},
		{"up", age(n.UptimeSeconds)},
		{"I/O", n.Ring + ", poll " + n.Poll},
		{"serves", fmt.Sprintf("%d targets, %d units, %d sessions", n.Targets, n.Units, n.Sessions)},
	}
	for _, g := range n.Groups {
		rows = append(rows, []string{fmt.Sprintf("portal group %d", g.Tag), strings.Join(g.Portals, " ")})
	}
	var ends []string
	for _, l := range n.Logins {
		ends = append(ends, fmt.Sprintf("%d %s", l.Count, l.Result))
	}
	rows = append(rows,
		[]string{"logins", strings.Join(ends, ", ")},
		[]string{"logins under way", fmt.Sprintf("%d (%d connections turned away so far)", n.LoginsUnderWay, n.TurnedAway)})
	for i := range n.Reactors {
		rows = append(rows, []string{fmt.Sprintf("reactor %d", n.Reactors[i].Number), reactorLine(&n.Reactors[i])})
	}
	return rows
}

func reactorLine(r *engine.ReactorStatus) string {
	s := fmt.Sprintf("%d connections, %d commands, %d passed, %d of %d receive buffers free",
		r.Connections, r.Commands, r.Passed, r.ReceiveBuffersFree, r.ReceiveBuffers)
	if r.CPU >= 0 {
		s = fmt.Sprintf("on processor %d, ", r.CPU) + s
	}
	for _, p := range r.Pools {
		s += fmt.Sprintf(", %s %s of %s free", p.Name, size(p.Free), size(p.Bytes))
	}
	if r.Quarantined > 0 {
		s += fmt.Sprintf(", %d connections quarantined", r.Quarantined)
	}
	return s
}

// sessionFacts is how one session looks.
func sessionFacts(s *engine.SessionStatus) [][]string {
	k := &s.Keys
	yesNo := map[bool]string{true: "Yes", false: "No"}
	return [][]string{
		{"session", count(s.ID)},
		{"initiator", s.Initiator},
		{"alias", s.Alias},
		{"ISID", s.ISID},
		{"target", s.Target + yes(s.Discovery, " (discovery)")},
		{"portal", fmt.Sprintf("%s,%d", s.Portal, s.Tag)},
		{"source", s.Source},
		{"CHAP user", s.User},
		{"reactor", count(s.Reactor)},
		{"state", s.State},
		{"age", age(s.AgeSeconds) + ", silent for " + age(s.SilentSeconds)},
		{"commands", fmt.Sprintf("%d, %d tasks of at most %d under way", s.Commands, s.Tasks, s.Window)},
		{"bytes", size(s.BytesIn) + " in, " + size(s.BytesOut) + " out"},
		{"HeaderDigest", k.HeaderDigest},
		{"DataDigest", k.DataDigest},
		{"InitialR2T", yesNo[k.InitialR2T]},
		{"ImmediateData", yesNo[k.ImmediateData]},
		{"MaxBurstLength", fmt.Sprint(k.MaxBurstLength)},
		{"FirstBurstLength", fmt.Sprint(k.FirstBurstLength)},
		{"MaxOutstandingR2T", fmt.Sprint(k.MaxOutstandingR2T)},
		{"MaxRecvDataSegmentLength", fmt.Sprintf("%d initiator, %d target", k.InitiatorMaxRecv, k.TargetMaxRecv)},
		{"ErrorRecoveryLevel", fmt.Sprint(k.ErrorRecoveryLevel)},
		{"MaxConnections", fmt.Sprint(k.MaxConnections)},
		{"DefaultTime2Wait", fmt.Sprint(k.DefaultTime2Wait)},
		{"DefaultTime2Retain", fmt.Sprint(k.DefaultTime2Retain)},
		{"iSCSIProtocolLevel", fmt.Sprint(k.ProtocolLevel)},
		{"TaskReporting", k.TaskReporting},
	}
}

// doneFacts is how an answer without data looks.
func doneFacts(d *Done) [][]string { return [][]string{{d.Done}} }
