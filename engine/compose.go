package engine

import (
	"fmt"
	"slices"
	"time"

	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/lun"
	"lunar/scsi/sam"
)

// compose makes a Status of what the cores told. It runs on no core.
func (e *Engine) compose(s *shown, views []*view) *Status {
	st := &Status{Node: NodeStatus{
		Ring: e.ring, Poll: s.cfg.Poll.String(), Started: e.started, UptimeSeconds: time.Since(e.started).Seconds(),
		Groups: groupsOf(s), Logins: loginsOf(views),
	}, Targets: []TargetStatus{}, Units: make([]UnitStatus, 0, len(s.units)), Sessions: []SessionStatus{}}
	st.Node.LoginsUnderWay, st.Node.TurnedAway = e.door.under()
	perTarget := map[string]int{}
	for _, v := range views {
		r := v.reactor
		r.CPU = s.cfg.CPUs[r.Number]
		r.Sessions, r.Logins = len(v.survey.Sessions), v.survey.Logins
		r.ReceiveBuffersFree = r.ReceiveBuffers - v.survey.HeldBuffers
		r.Pools = slices.Clone(r.Pools)
		st.Sessions = slices.Grow(st.Sessions, r.Sessions)
		st.Reactors = append(st.Reactors, r)
		for i := range v.survey.Sessions {
			info := &v.survey.Sessions[i]
			st.Sessions = append(st.Sessions, sessionOf(info, r.Number))
			if !info.Identity.Discovery {
				perTarget[info.Identity.Target]++
			}
		}
	}
	slices.SortFunc(st.Sessions, func(a, b SessionStatus) int { return int(a.ID) - int(b.ID) })
	for i := range s.units {
		st.Units = append(st.Units, unitOf(s, i, views))
	}
	for i := range s.cfg.Targets {
		t := targetOf(&s.cfg.Targets[i], st.Node.Groups)
		t.Sessions = perTarget[t.Name]
		st.Targets = append(st.Targets, t)
	}
	return st
}

func groupsOf(s *shown) (groups []GroupStatus) {
	for _, g := range s.cfg.Groups {
		bound := []string{}
		for _, p := range s.portals {
			if p.tag == g.Tag {
				bound = append(bound, p.bound)
			}
		}
		groups = append(groups, GroupStatus{g.Tag, bound})
	}
	return groups
}

// loginsOf sums the results of logins over the cores, in the order of their statuses.
func loginsOf(views []*view) []LoginCount {
	sum := []LoginCount{}
	for _, v := range views {
		for _, l := range v.logins {
			i := slices.IndexFunc(sum, func(o LoginCount) bool { return o.Status == l.Status })
			if i < 0 {
				i = len(sum)
				sum = append(sum, LoginCount{Status: l.Status, Result: pdu.LoginStatus(l.Status).String()})
			}
			sum[i].Count += l.Count
		}
	}
	slices.SortFunc(sum, func(a, b LoginCount) int { return int(a.Status) - int(b.Status) })
	return sum
}

func unitOf(s *shown, i int, views []*view) UnitStatus {
	home := s.units[i].lun.Home()
	info := views[home].info[i]
	var n lun.Counts
	for _, v := range views {
		n.Add(&v.counts[i])
	}
	u := UnitStatus{
		Name: s.cfg.Units[i].Name, Medium: s.media[i], Bytes: info.Bytes, BlockBytes: info.BlockBytes, Home: home,
		Reads: n.Reads, Writes: n.Writes, Others: n.Others, ReadBytes: n.ReadBytes, WriteBytes: n.WriteBytes,
		Passed: n.Passed, Aborted: n.Aborted,
	}
	for key, count := range n.Failed {
		if count > 0 {
			u.Errors = append(u.Errors, ErrorCount{uint8(key), sam.SenseKey(key).String(), count})
		}
	}
	return u
}

func targetOf(c *Target, groups []GroupStatus) TargetStatus {
	t := TargetStatus{Name: c.Name, Alias: c.Alias, Groups: slices.Sorted(slices.Values(c.Groups)), LUNs: []LUNStatus{}}
	if len(c.Groups) == 0 {
		for _, g := range groups {
			t.Groups = append(t.Groups, g.Tag)
		}
	}
	for _, m := range c.LUNs {
		t.LUNs = append(t.LUNs, LUNStatus{Number: m.Number, Unit: m.Unit, ReadOnly: m.ReadOnly})
	}
	for _, a := range c.Access {
		for _, m := range a.LUNs {
			t.LUNs = append(t.LUNs, LUNStatus{m.Number, m.Unit, m.ReadOnly, a.Initiator})
		}
	}
	if c.Redirect != nil {
		t.Redirect = c.Redirect.Addresses
	}
	return t
}

func sessionOf(i *transport.SessionInfo, reactor int) SessionStatus {
	id := &i.Identity
	return SessionStatus{
		ID: uint16(i.TSIH), Initiator: id.Initiator, Alias: id.Alias, ISID: fmt.Sprintf("%x", id.ISID[:]),
		Target: id.Target, Discovery: id.Discovery, Tag: id.PortalGroupTag,
		Source: id.Source.Unmap().String(), Portal: i.Address, User: id.User, Reactor: reactor, State: i.State,
		AgeSeconds: seconds(i.AgeNanos), SilentSeconds: seconds(i.SilentNanos),
		Commands: i.Commands, BytesIn: i.BytesIn, BytesOut: i.BytesOut, Tasks: i.Tasks, Window: i.Window,
		Keys: negotiatedOf(&i.Params),
	}
}

func seconds(nanos int64) float64 { return time.Duration(nanos).Seconds() }

func negotiatedOf(p *login.Params) Negotiated {
	digest := map[bool]string{false: "None", true: "CRC32C"}
	return Negotiated{
		HeaderDigest: digest[p.HeaderDigest], DataDigest: digest[p.DataDigest],
		MaxConnections: p.MaxConnections, InitialR2T: p.InitialR2T, ImmediateData: p.ImmediateData,
		MaxBurstLength: p.MaxBurstLength, FirstBurstLength: p.FirstBurstLength,
		DefaultTime2Wait: p.DefaultTime2Wait, DefaultTime2Retain: p.DefaultTime2Retain,
		MaxOutstandingR2T: p.MaxOutstandingR2T, DataPDUInOrder: p.DataPDUInOrder, DataSequenceInOrder: p.DataSequenceInOrder,
		ErrorRecoveryLevel: p.ErrorRecoveryLevel, ProtocolLevel: p.ProtocolLevel, TaskReporting: p.TaskReporting.String(),
		InitiatorMaxRecv: p.MaxSend, TargetMaxRecv: p.MaxRecv,
	}
}
