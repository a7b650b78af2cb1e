package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// twoGroups is an engine with three targets over two portal groups, of which the raw
// initiator may see two.
func twoGroups(t *testing.T) *Engine {
	c := testConfig(t, 1, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	c.Groups = []Group{{Tag: 1, Portals: []string{"127.0.0.1:0", "[::1]:0"}}, {Tag: 7, Portals: []string{"127.0.0.2:0"}}}
	luns := c.Targets[0].LUNs
	c.Targets = []Target{
		{Name: "iqn.2026-11.lunar:both", Alias: "both of them", LUNs: luns},
		{Name: "iqn.2026-11.lunar:seven", LUNs: luns, Groups: []uint16{7}, Access: []Access{{Initiator: rawInitiator}}},
		{Name: "iqn.2026-11.lunar:hidden", LUNs: luns, Access: []Access{{Initiator: "iqn.2026-11.host:other"}}},
	}
	return start(t, c)
}

// Discovery shows, at every portal, every target that the asker may see with every
// address of each of its groups, and nothing else.
func TestDiscovery_AllPathsOfAllTargets(t *testing.T) {
	conform.Covers(t, "R-D-2", "R-D-3", "R-D-6", "R-D-8", "R-D-9", "R-D-11", "R-12.8-3", "R-3.4.1-1", "R-12.8-1")
	e := twoGroups(t)
	p := e.Portals()
	both := fmt.Sprintf("iqn.2026-11.lunar:both TargetAddress=%s,1 TargetAddress=%s,1 TargetAddress=%s,7", p[0], p[1], p[2])
	seven := fmt.Sprintf("iqn.2026-11.lunar:seven TargetAddress=%s,7", p[2])
	for portal := range p {
		r := dialRaw(t, e, portal)
		if l := r.login(0, "SessionType=Discovery"); l.Status() != pdu.LoginSuccess {
			t.Fatal(l.Status())
		}
		all, _ := r.ask("SendTargets=All")
		if got := records(all); !slices.Equal(got, []string{both, seven}) {
			t.Errorf("All at %s:\n%s", p[portal], strings.Join(got, "\n"))
		}
		for name, want := range map[string]string{
			"iqn.2026-11.lunar:seven": seven, "iqn.2026-11.lunar:both": both, "iqn.2026-11.lunar:hidden": "", "iqn.2026-11.lunar:none": "",
		} {
			one, _ := r.ask("SendTargets=" + name)
			if got := strings.Join(records(one), "\n"); got != want {
				t.Errorf("%s at %s: %q", name, p[portal], got)
			}
		}
	}
}

// Who may see nothing gets an empty answer that is the last.
func TestDiscovery_NothingToSee(t *testing.T) {
	conform.Covers(t, "R-D-10")
	c := testConfig(t, 1, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	c.Targets[0].Access = []Access{{Initiator: "iqn.2026-11.host:other"}}
	r := dialRaw(t, start(t, c), 0)
	r.login(0, "SessionType=Discovery")
	if all, parts := r.ask("SendTargets=All"); all != "" || parts != 1 {
		t.Errorf("%q in %d parts", all, parts)
	}
}

// A normal session hears of its own target only.
func TestSendTargets_InANormalSession(t *testing.T) {
	conform.Covers(t, "R-D-4", "R-D-5", "R-D-7", "R-12.4-1")
	e := twoGroups(t)
	r := dialRaw(t, e, 2)
	r.in("iqn.2026-11.lunar:both")
	own, _ := r.ask("SendTargets=")
	named, _ := r.ask("SendTargets=iqn.2026-11.lunar:both")
	if got := records(own); len(got) != 1 || !strings.HasPrefix(got[0], "iqn.2026-11.lunar:both ") || named != own {
		t.Errorf("own %q, by name %q", own, named)
	}
	if other, _ := r.ask("SendTargets=iqn.2026-11.lunar:seven"); other != "" {
		t.Errorf("another target: %q", other)
	}
	r.refusesText("SendTargets=All\x00")
	if code := r.testReady(0); code != 0x2900 {
		t.Errorf("the session: %04x", code)
	}
}

// A discovery session takes Text with SendTargets and the logout that closes it;
// everything else is refused, and it goes on.
func TestDiscovery_TakesNothingElse(t *testing.T) {
	conform.Covers(t, "R-3.3-1", "R-3.3-2", "R-12.21-2", "R-3.4.2-3")
	conform.Trap(t, 24)
	e := twoGroups(t)
	r := dialRaw(t, e, 0)
	l := r.login(0, "SessionType=Discovery", "MaxConnections=8")
	if l.Status() != pdu.LoginSuccess {
		t.Fatal(l.Status())
	}
	second := dialRaw(t, e, 0)
	second.cid = 1
	if s := second.login(l.TSIH(), "SessionType=Discovery"); s.Status() == pdu.LoginSuccess {
		t.Errorf("a second connection: %v", s.Status())
	}
	for _, o := range []pdu.Opcode{pdu.OpSCSICommand, pdu.OpTaskRequest, pdu.OpNOPOut, pdu.OpDataOut, pdu.OpSNACK} {
		h := r.request(o)
		if o == pdu.OpTaskRequest {
			h.SetFlags(pdu.FlagFinal | byte(sam.LogicalUnitReset))
		}
		r.rejects(h, nil, pdu.RejectProtocolError)
	}
	unknown := r.request(pdu.OpNOPOut)
	unknown.SetOpcode(0x1f)
	r.rejects(unknown, nil, pdu.RejectNotSupported)
	for _, text := range []string{"MaxRecvDataSegmentLength=512\x00", "SendTargets=All\x00InitiatorAlias=a\x00", "SendTargets=\x00"} {
		r.refusesText(text)
	}
	for _, reason := range []pdu.LogoutReason{pdu.CloseConnection, pdu.RemoveForRecovery} {
		h := r.request(pdu.OpLogoutReq)
		pdu.AsLogoutRequest(h).SetReason(reason)
		r.rejects(h, nil, pdu.RejectProtocolError)
	}
	if all, _ := r.ask("SendTargets=All"); len(records(all)) != 2 {
		t.Errorf("afterwards: %q", all)
	}
	h := r.request(pdu.OpLogoutReq)
	pdu.AsLogoutRequest(h).SetReason(pdu.CloseSession)
	r.send(h, nil)
	if p := r.receive(pdu.OpLogoutResp); pdu.AsLogoutResponse(&p.Header).Result() != pdu.LogoutDone {
		t.Error("the logout is refused")
	}
	r.closed(pdu.OpLogoutResp)
}

// Thousands of targets come in parts of the length that the initiator takes, each
// but the last with a tag.
func TestDiscovery_ThousandsOfTargets(t *testing.T) {
	conform.Covers(t, "R-D-12", "R-10.11.6-1", "R-10.11.1-1", "R-10.10.4-2", "N-22")
	conform.Trap(t, 25)
	const targets = 4000
	c := testConfig(t, 1, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	c.Targets = nil
	for i := range targets {
		c.Targets = append(c.Targets, Target{Name: fmt.Sprintf("iqn.2026-11.lunar:%04d", i)})
	}
	e := start(t, c)
	r := dialRaw(t, e, 0)
	r.login(0, "SessionType=Discovery")
	all, parts := r.ask("SendTargets=All")
	got := records(all)
	if len(got) != targets || parts < 2 {
		t.Fatalf("%d targets in %d parts", len(got), parts)
	}
	for i, record := range got {
		if want := fmt.Sprintf("iqn.2026-11.lunar:%04d TargetAddress=%s,1", i, e.Portals()[0]); record != want {
			t.Fatalf("record %d: %q", i, record)
		}
	}
	// A tag that was used up leads nowhere.
	h := r.request(pdu.OpTextReq)
	pdu.AsTextRequest(h).SetTTT(1)
	r.rejects(h, nil, pdu.RejectInvalidField)
}

// A target is found at the portals of its groups only, and says the tag and its
// alias; one that moved says where to.
func TestLogin_GroupsAliasRedirect(t *testing.T) {
	conform.Covers(t, "R-5.3.1-1", "R-12.6-1", "R-12.8-2", "R-10.13.5-1", "R-10.13.8-1")
	e := twoGroups(t)
	r := dialRaw(t, e, 0)
	if l := r.login(0, "TargetName=iqn.2026-11.lunar:seven"); l.Status() != pdu.LoginNotFound {
		t.Errorf("at another group: %v", l.Status())
	}
	for portal, tag := range map[int]string{0: "1", 2: "7"} {
		r := dialRaw(t, e, portal)
		said := r.said("TargetName=iqn.2026-11.lunar:both")
		if !strings.Contains(said, "TargetPortalGroupTag="+tag+" ") || !strings.Contains(said, "TargetAlias=both of them") {
			t.Errorf("at group %s: %q", tag, said)
		}
	}
	moved := again(e.cfg)
	moved.Targets[0].Redirect = &Redirect{Addresses: []string{"192.0.2.7:3260", "[2001:db8::7]"}, Permanent: true}
	apply(t, e, moved)
	r = dialRaw(t, e, 0)
	if said := r.said("TargetName=iqn.2026-11.lunar:both"); said != "0102 TargetAddress=192.0.2.7:3260 TargetAddress=[2001:db8::7] " {
		t.Errorf("moved: %q", said)
	}
}

// said is the status of a login, if it is a refusal, and the text of its answer.
func (r *raw) said(keys ...string) string {
	r.t.Helper()
	h, text := r.loginRequest(0, keys...)
	r.send(h, text)
	p := r.receive(pdu.OpLoginResp)
	s := strings.ReplaceAll(string(p.Data), "\x00", " ")
	if status := pdu.AsLoginResponse(&p.Header).Status(); status != pdu.LoginSuccess {
		s = fmt.Sprintf("%04x ", uint16(status)) + s
	}
	return s
}
