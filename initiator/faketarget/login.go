package faketarget

import (
	"strconv"
	"strings"

	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// login answers one Login Request; false ends the connection.
func (c *Conn) login(h *pdu.Header, data []byte) bool {
	q := pdu.AsLoginRequest(h)
	c.mu.Lock()
	c.cmdSN = q.CmdSN()
	c.mu.Unlock()
	var r pdu.Header
	p := pdu.AsLoginResponse(&r)
	r.SetOpcode(pdu.OpLoginResp)
	r.SetITT(h.ITT())
	p.SetISID(q.ISID())
	refuse := c.t.cfg.Refuse
	if c.t.cfg.Admit != nil {
		refuse = c.t.cfg.Admit(q)
	}
	if refuse != pdu.LoginSuccess {
		p.SetStatus(refuse)
		var reply []byte
		if c.t.cfg.Redirect != "" {
			reply = []byte("TargetAddress=" + c.t.cfg.Redirect + "\x00")
		}
		c.Send(&r, reply, true)
		return false
	}
	reply := c.answers(data)
	transit := q.Transit()
	if q.Current() == pdu.OperationalStage && len(c.t.cfg.Raise) > 0 && c.agreed["raised"] == "" {
		c.agreed["raised"] = text.Yes
		transit = false
		for _, kv := range c.t.cfg.Raise {
			reply = append(append(reply, kv...), 0)
		}
	}
	return c.loginReply(&r, q, reply, transit)
}

// loginReply sends the answer, in parts joined by C when Config.LoginPart says so.
func (c *Conn) loginReply(r *pdu.Header, q pdu.LoginRequest, reply []byte, transit bool) bool {
	p := pdu.AsLoginResponse(r)
	if part := c.t.cfg.LoginPart; part > 0 && len(reply) > part {
		p.SetStages(q.Current(), 0, false, true)
		c.Send(r, reply[:part], true)
		c.agreed["rest"] = string(reply[part:])
		return true
	}
	if transit && q.Next() == pdu.FullFeature {
		c.judgeRaised()
		if !c.t.cfg.NoTSIH {
			p.SetTSIH(7)
		}
	}
	p.SetStages(q.Current(), q.Next(), transit, false)
	c.Send(r, reply, true)
	if transit && q.Next() == pdu.FullFeature {
		c.Flush()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.full = true
		c.f.HeaderDigest = c.agreed["HeaderDigest"] == "CRC32C"
		c.f.DataDigest = c.agreed["DataDigest"] == "CRC32C"
	}
	return true
}

// judgeRaised checks that what the target raised was answered: an X- key that the
// initiator cannot know, by NotUnderstood (RFC 3720 §5.2 [R-5.2-10]).
func (c *Conn) judgeRaised() {
	for _, kv := range c.t.cfg.Raise {
		key, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(key, "X-") && c.heard[key] != text.NotUnderstood {
			c.t.fault("%s was answered by %q", kv, c.heard[key])
		}
	}
}

// answers is the reply to the keys of one request.
func (c *Conn) answers(data []byte) (reply []byte) {
	reply = append(reply, c.agreed["rest"]...)
	delete(c.agreed, "rest")
	for rest := data; len(rest) > 0; {
		p, tail, ok := text.NextPair(rest)
		if !ok {
			c.t.fault("login text %q", rest)
			return reply
		}
		rest = tail
		key, value := string(p.Key), string(p.Value)
		if _, twice := c.agreed[key]; twice && key != "" && !strings.Contains(strings.Join(c.t.cfg.Raise, ","), key+"=") {
			c.t.fault("key %s came twice", key)
		}
		c.heard[key] = value
		answer, said := c.answer(key, value)
		c.agreed[key] = answer
		if said {
			reply = append(reply, key+"="+answer+"\x00"...)
		}
	}
	return reply
}

func (c *Conn) answer(key, value string) (string, bool) {
	if a, has := c.t.cfg.Answers[key]; has {
		return or(a, "-", value), a != "-"
	}
	switch key {
	case "InitiatorName", "TargetName", "SessionType", "":
		return value, false
	case "MaxRecvDataSegmentLength":
		c.agreed["SendBytes"] = value
		return "8192", true
	case "HeaderDigest", "DataDigest":
		first, _, _ := strings.Cut(value, ",")
		return first, true
	case "DefaultTime2Wait":
		return "2", true
	}
	return value, true
}

func or(v, nothing, fallback string) string {
	if v == nothing {
		return fallback
	}
	return v
}

// text answers SendTargets, in parts when Config.TextPart says so.
func (c *Conn) text(h *pdu.Header, data []byte) {
	q := pdu.AsTextRequest(h)
	from := 0
	if q.TTT() != pdu.NoTag {
		from = int(q.TTT())
		if len(data) > 0 {
			c.t.fault("text request with data in the middle of an answer")
		}
		if want := c.agreed["textITT"]; want != strconv.Itoa(int(h.ITT())) {
			c.t.fault("text exchange changes its ITT")
		}
	}
	c.agreed["textITT"] = strconv.Itoa(int(h.ITT()))
	all := []byte(strings.Join(c.t.cfg.Targets, "\x00") + "\x00")
	to := len(all)
	if c.t.cfg.TextPart > 0 {
		to = min(to, from+c.t.cfg.TextPart)
	}
	var r pdu.Header
	p := pdu.AsTextResponse(&r)
	r.SetOpcode(pdu.OpTextResp)
	r.SetITT(h.ITT())
	p.SetTTT(pdu.TTT(to))
	if to < len(all) {
		r.SetFlags(pdu.FlagContinue)
	} else {
		r.SetFlags(pdu.FlagFinal)
		p.SetTTT(pdu.NoTag)
	}
	c.Send(&r, all[from:to], true)
}
