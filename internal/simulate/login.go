package simulate

import (
	"strconv"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/text"
)

// begin asks for a new session, in place of the one there is if any: reinstatement (RFC
// 3720 §5.3.5).
func (h *host) begin(again bool) {
	l := &link{host: h, cid: pdu.CID(1 + h.w.dice.below(len(h.slots))), leading: true}
	if !h.w.dial(l) {
		return
	}
	h.w.moved = true
	h.lead, h.shaken = l, true
	for _, x := range h.slots {
		if x != nil && x.excuse == "" {
			x.excuse = "reinstated"
		}
	}
	h.w.say("   host %d logs in anew, again=%v", h.n, again)
	l.login(uint32(h.w.plan.Settings.FirstNumber), 0)
}

// join opens a connection in a place of the session; one that is there is reinstated.
func (h *host) join(slot int) {
	l := &link{host: h, cid: pdu.CID(slot + 1)}
	if !h.w.dial(l) {
		return
	}
	h.w.moved = true
	if old := h.slots[slot]; old != nil {
		old.sweeping = true
		old.breaks()
		old.excuse = "the connection was reinstated"
		h.attend()
	}
	l.old = h.slots[slot]
	if h.logouts[slot] > 0 || h.over {
		l.excuse, h.shaken = "a logout that may still come", true
		l.asked++
	}
	h.slots[slot] = l
	l.login(h.sn.Uint32(), h.tsih)
}

// login sends the only Login Request.
func (l *link) login(first uint32, tsih pdu.TSIH) {
	s := &l.host.w.plan.Settings
	l.began = l.host.w.clock()
	if l.host.w.cold {
		l.excuse = "a cold reset"
	}
	var h pdu.Header
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	p := pdu.AsLoginRequest(&h)
	p.SetStages(pdu.OperationalStage, pdu.FullFeature, true, false)
	p.SetISID(l.host.isid)
	p.SetTSIH(tsih)
	p.SetCID(l.cid)
	h.SetITT(0)
	p.SetCmdSN(serial.Cmd(first))
	w := text.NewWriter(8192)
	w.Put("InitiatorName", l.host.name)
	w.Put("TargetName", targetName)
	digests := [2]string{"None", "CRC32C,None"}
	w.Put("HeaderDigest", digests[s.HeaderDigest])
	w.Put("DataDigest", digests[s.DataDigest])
	w.PutNumber("MaxRecvDataSegmentLength", uint32(s.Recv))
	if l.leading {
		yes := [2]string{"No", "Yes"}
		w.Put("SessionType", "Normal")
		w.PutNumber("MaxConnections", uint32(s.Conns))
		w.Put("InitialR2T", yes[s.InitialR2T])
		w.Put("ImmediateData", yes[s.Immediate])
		w.PutNumber("MaxBurstLength", uint32(s.Burst))
		w.PutNumber("FirstBurstLength", uint32(s.First))
		w.PutNumber("MaxOutstandingR2T", uint32(s.R2T))
		w.PutNumber("ErrorRecoveryLevel", uint32(s.Level))
		w.PutNumber("DefaultTime2Wait", 0)
		w.PutNumber("DefaultTime2Retain", uint32(s.Retain))
	}
	l.send(&h, w.Bytes(), 0)
}

// loginResponse takes the answer.
func (l *link) loginResponse(h *pdu.Header, data []byte) {
	w, p := l.host.w, pdu.AsLoginResponse(h)
	switch {
	case h.Opcode() != pdu.OpLoginResp:
		w.fail("opcode", "%s in a login", show(h))
	case p.Status() == pdu.LoginNoSession && !l.leading && (l.host.shaken || w.cold || l.host.faded()):
		// The session went with its last connection.
		l.excuse = "refused"
		l.die()
		l.host.bury("the session is gone", false)
	case p.Status() != pdu.LoginSuccess:
		w.fail("login", "refused: %s", p.Status())
	case !p.Transit() || p.Next() != pdu.FullFeature:
		w.fail("login", "goes on: %s", show(h))
	default:
		l.next = p.StatSN().Next()
		l.statSN, l.said, l.acked = l.next, map[serial.StatSN]*said{}, w.clock()
		l.exp, l.last = p.ExpCmdSN(), p.MaxCmdSN()
		l.recv = w.plan.Settings.Recv
		l.phase, l.joined = full, true
		l.settle(data)
		if l.leading {
			l.host.started(l, p.TSIH())
		} else {
			l.host.joined(l)
		}
	}
}

// settle reads what the target answered.
func (l *link) settle(data []byte) {
	s := &l.host.w.plan.Settings
	k := &l.host.keys
	if l.leading {
		*k = keys{initialR2T: true, immediate: true, first: 65536, burst: 262144, r2t: 1, n: 1}
	}
	l.maxSend = 8192
	for len(data) > 0 {
		p, rest, ok := text.NextPair(data)
		if !ok {
			l.host.w.fail("login", "text %q", data)
			return
		}
		data = rest
		n, _ := strconv.Atoi(string(p.Value))
		yes := string(p.Value) == "Yes"
		switch string(p.Key) {
		case "HeaderDigest":
			l.header = string(p.Value) == "CRC32C"
		case "DataDigest":
			l.data = string(p.Value) == "CRC32C"
		case "MaxRecvDataSegmentLength":
			l.maxSend = n
		case "InitialR2T":
			k.initialR2T = yes
		case "ImmediateData":
			k.immediate = yes
		case "FirstBurstLength":
			k.first = n
		case "MaxBurstLength":
			k.burst = n
		case "MaxOutstandingR2T":
			k.r2t = n
		case "MaxConnections":
			k.n = n
		case "ErrorRecoveryLevel":
			k.level = n
		}
	}
	if l.leading && (k.initialR2T != (s.InitialR2T != 0) || k.immediate != (s.Immediate != 0) || k.first > s.First || k.burst > s.Burst || k.r2t > s.R2T || k.n > s.Conns || k.level != s.Level) {
		l.host.w.fail("negotiation", "%+v", *k)
	}
	if l.header != (s.HeaderDigest != 0) || l.data != (s.DataDigest != 0) {
		l.host.w.fail("negotiation", "header digest %v, data digest %v", l.header, l.data)
	}
}

// started begins a session: one before it has ended with all its tasks.
func (h *host) started(l *link, tsih pdu.TSIH) {
	if h.alive {
		h.bury("the session was reinstated", true)
	}
	if l.exp.Uint32() != uint32(h.w.plan.Settings.FirstNumber) || l.last.Sub(l.exp)+1 != int32(h.w.plan.Settings.Window) {
		h.w.fail("window", "a session begins with %d..%d", l.exp.Uint32(), l.last.Uint32())
	}
	h.lead, h.slots[l.cid-1] = nil, l
	h.alive, h.tsih, h.shaken, h.over = true, tsih, false, false
	h.epoch++
	clear(h.logouts)
	clear(h.ends)
	h.abandoned = 0
	h.sn, h.exp, h.last = l.exp, l.exp, l.last
	h.attend()
}

// joined adds a connection; what it takes the place of has ended.
func (h *host) joined(l *link) {
	if h.exp.Less(l.exp) {
		h.exp = l.exp
	}
	if h.last.Less(l.last) {
		h.last = l.last
	}
	if l.old != nil {
		h.sweep(l.old, "the connection was reinstated", h.w.parks())
	}
	h.reroute()
}
