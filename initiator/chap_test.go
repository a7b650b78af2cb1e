package initiator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lunar/internal/conform"
	"lunar/iscsi/auth"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

const (
	ourSecret   = "the user's own secret"
	theirSecret = "the target's own secret"
)

var (
	oneWay = CHAP{User: "user", Secret: ourSecret}
	mutual = CHAP{User: "user", Secret: ourSecret, TargetUser: "target", TargetSecret: theirSecret}
)

// overPipe logs in to what answers, and returns the texts of our requests.
func overPipe(t *testing.T, cfg Config, answer func(h *pdu.Header, data []byte) (pdu.Header, []byte)) (Params, []string, error) {
	t.Helper()
	near, far := net.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var requests []string
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer far.Close()
		c := NewConn(far)
		for {
			p, err := c.Receive()
			if err != nil {
				return
			}
			requests = append(requests, string(p.Data))
			resp, said := answer(&p.Header, p.Data)
			if c.Send(&resp, nil, said) != nil {
				return
			}
		}
	}()
	c := NewConn(near)
	if cfg.Target == "" && !cfg.Discovery {
		cfg.Target = testTarget
	}
	p, err := c.Login(ctx, cfg)
	near.Close()
	<-served
	return p, requests, err
}

// directory demands one policy of everybody.
type directory struct{ access login.Access }

func (d directory) Access(login.Query) login.Access { return d.access }

func policyOf(mutual bool, algorithms ...auth.Algorithm) *auth.Policy {
	p := &auth.Policy{Users: []auth.Credentials{{Name: "user", Secret: []byte(ourSecret)}}, Algorithms: algorithms}
	if mutual {
		p.Mutual = &auth.Credentials{Name: "target", Secret: []byte(theirSecret)}
	}
	return p
}

// machine answers as the target of this module does.
func machine(access login.Access) func(h *pdu.Header, data []byte) (pdu.Header, []byte) {
	m := login.NewMachine(&login.Config{
		Offer: login.DefaultOffer(), Targets: directory{access}, PortalGroupTag: 1,
		Node: auth.Node{Key: [16]byte{1}, Chance: func(b []byte) { _, _ = rand.Read(b) }},
	}, netip.Addr{})
	return func(h *pdu.Header, data []byte) (resp pdu.Header, said []byte) {
		o, said := m.Step(pdu.AsLoginRequest(h), data, &resp)
		if o == login.Admit {
			_, said = m.Admitted(pdu.LoginSuccess, 9, m.CmdSN(), m.CmdSN().Add(31), &resp)
		}
		return resp, said
	}
}

func TestLogin_CHAP_AgainstTheTarget(t *testing.T) {
	conform.Covers(t, "R-8.2.1-1", "R-11.1.4-1", "R-11.1.4-3", "R-11.1-2")
	var refused *LoginError
	for name, c := range map[string]struct {
		cfg    Config
		access login.Access
		err    func(error) bool
	}{
		"one way":                 {Config{CHAP: oneWay}, login.Access{Auth: policyOf(false)}, nil},
		"one way, could be both":  {Config{CHAP: oneWay}, login.Access{Auth: policyOf(true)}, nil},
		"mutual":                  {Config{CHAP: mutual}, login.Access{Auth: policyOf(true)}, nil},
		"mutual, any name":        {Config{CHAP: CHAP{User: "user", Secret: ourSecret, TargetSecret: theirSecret}}, login.Access{Auth: policyOf(true)}, nil},
		"discovery":               {Config{CHAP: mutual, Discovery: true}, login.Access{Auth: policyOf(true)}, nil},
		"nothing is demanded":     {Config{CHAP: oneWay}, login.Access{}, nil},
		"MD5 alone":               {Config{CHAP: mutual, Algorithms: []auth.Algorithm{auth.MD5}}, login.Access{Auth: policyOf(true)}, nil},
		"SHA-256 alone":           {Config{CHAP: mutual}, login.Access{Auth: policyOf(true, auth.SHA256)}, nil},
		"no credentials":          {Config{}, login.Access{Auth: policyOf(false)}, func(err error) bool { return errors.As(err, &refused) }},
		"no common algorithm":     {Config{CHAP: oneWay, Algorithms: []auth.Algorithm{auth.MD5}}, login.Access{Auth: policyOf(false, auth.SHA3)}, func(err error) bool { return errors.As(err, &refused) }},
		"wrong secret":            {Config{CHAP: CHAP{User: "user", Secret: "not the user's secret"}}, login.Access{Auth: policyOf(false)}, func(err error) bool { return errors.As(err, &refused) }},
		"unknown user":            {Config{CHAP: CHAP{User: "User", Secret: ourSecret}}, login.Access{Auth: policyOf(false)}, func(err error) bool { return errors.As(err, &refused) }},
		"mutual, which it cannot": {Config{CHAP: mutual}, login.Access{Auth: policyOf(false)}, func(err error) bool { return errors.As(err, &refused) }},
		"mutual, undemanded":      {Config{CHAP: mutual}, login.Access{}, func(err error) bool { return errors.As(err, &refused) }},
		"another target's secret": {
			Config{CHAP: CHAP{User: "user", Secret: ourSecret, TargetSecret: "another target's secret"}},
			login.Access{Auth: policyOf(true)},
			func(err error) bool { return errors.Is(err, ErrUnproven) },
		},
		"another target's name": {
			Config{CHAP: CHAP{User: "user", Secret: ourSecret, TargetUser: "other", TargetSecret: theirSecret}},
			login.Access{Auth: policyOf(true)},
			func(err error) bool { return errors.Is(err, ErrUnproven) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, requests, err := overPipe(t, c.cfg, machine(c.access))
			switch {
			case c.err == nil && (err != nil || p.TSIH != 9):
				t.Errorf("%v; said %q", err, requests)
			case c.err != nil && (err == nil || !c.err(err)):
				t.Errorf("ended in %v", err)
			}
			if errors.As(err, &refused) && refused.Status != pdu.LoginAuthFailure {
				t.Errorf("status %04x", uint16(refused.Status))
			}
			if err != nil && strings.Contains(err.Error(), "secret\"") {
				t.Errorf("%v", err)
			}
			if all := fmt.Sprint(requests); strings.Contains(all, ourSecret) || strings.Contains(all, theirSecret) {
				t.Errorf("a secret was sent: %s", all)
			}
		})
	}
}

// script answers each request by the next line, "0>1 T key=value;key=value"; a line
// may be a function of the request's text.
func script(lines ...any) func(h *pdu.Header, data []byte) (pdu.Header, []byte) {
	n := 0
	return func(h *pdu.Header, data []byte) (resp pdu.Header, said []byte) {
		line := "3>3"
		if n < len(lines) {
			switch l := lines[n].(type) {
			case string:
				line = l
			case func(string) string:
				line = l(string(data))
			}
		}
		stages, rest, _ := strings.Cut(line, " ")
		var current, next int
		_, _ = fmt.Sscanf(stages, "%d>%d", &current, &next)
		rest, transit := strings.CutPrefix(rest, "T ")
		if rest != "" {
			said = []byte(strings.ReplaceAll(rest, ";", "\x00") + "\x00")
		}
		resp.SetOpcode(pdu.OpLoginResp)
		resp.SetITT(h.ITT())
		r := pdu.AsLoginResponse(&resp)
		r.SetStages(pdu.Stage(current), pdu.Stage(next), transit, false)
		r.SetStatSN(r.StatSN().Add(uint32(n)))
		n++
		return resp, said
	}
}

func said(data, key string) string {
	for kv := range strings.SplitSeq(data, "\x00") {
		if k, v, _ := strings.Cut(kv, "="); k == key {
			return v
		}
	}
	return ""
}

// A target that cheats is left, whatever it tries.
func TestLogin_CHAP_TargetBreaksIt(t *testing.T) {
	conform.Covers(t, "R-11.1.1-20", "R-8.2.1-9", "R-5.2.1-4")
	const asks = "0 CHAP_A=7;CHAP_I=5;CHAP_C=0x00112233445566778899aabbccddeeff"
	reflect := func(data string) string { // our own response as its proof
		return "0>1 T CHAP_N=target;CHAP_R=" + said(data, "CHAP_R")
	}
	var proto *ProtocolError
	isProto := func(err error) bool { return errors.As(err, &proto) }
	unproven := func(err error) bool { return errors.Is(err, ErrUnproven) }
	for name, c := range map[string]struct {
		chap  CHAP
		lines []any
		want  func(error) bool
	}{
		"a method that was not offered":    {oneWay, []any{"0 AuthMethod=SRP"}, isProto},
		"None where it must prove itself":  {mutual, []any{"0 AuthMethod=None"}, isProto},
		"silence where it must":            {mutual, []any{"0 TargetPortalGroupTag=1", "0>1 T "}, unproven},
		"T to a request without":           {oneWay, []any{"0>1 T AuthMethod=None"}, isProto},
		"the challenge with the method":    {oneWay, []any{"0 AuthMethod=CHAP;CHAP_A=7;CHAP_I=5;CHAP_C=0x01"}, isProto},
		"the method late, and on":          {oneWay, []any{"0", "0>1 T AuthMethod=CHAP"}, isProto},
		"no challenge":                     {oneWay, []any{"0 AuthMethod=CHAP", "0"}, isProto},
		"an algorithm that was no offer":   {oneWay, []any{"0 AuthMethod=CHAP", "0 CHAP_A=4;CHAP_I=5;CHAP_C=0x01"}, isProto},
		"an identifier too large":          {oneWay, []any{"0 AuthMethod=CHAP", "0 CHAP_A=7;CHAP_I=256;CHAP_C=0x01"}, isProto},
		"an empty challenge":               {oneWay, []any{"0 AuthMethod=CHAP", "0 CHAP_A=7;CHAP_I=1;CHAP_C=0x"}, isProto},
		"a challenge too long":             {oneWay, []any{"0 AuthMethod=CHAP", "0 CHAP_A=7;CHAP_I=1;CHAP_C=0x" + strings.Repeat("00", 1025)}, isProto},
		"its name too early":               {oneWay, []any{"0 AuthMethod=CHAP", asks + ";CHAP_N=target"}, isProto},
		"a proof nobody asked for":         {oneWay, []any{"0 AuthMethod=CHAP", asks, "0>1 T CHAP_N=target;CHAP_R=0x00"}, isProto},
		"no proof":                         {mutual, []any{"0 AuthMethod=CHAP", asks, "0>1 T "}, unproven},
		"no proof, and time":               {mutual, []any{"0 AuthMethod=CHAP", asks, "0", "0>1 T "}, unproven},
		"half a proof":                     {mutual, []any{"0 AuthMethod=CHAP", asks, "0>1 T CHAP_N=target"}, isProto},
		"a wrong proof":                    {mutual, []any{"0 AuthMethod=CHAP", asks, "0>1 T CHAP_N=target;CHAP_R=0x00"}, unproven},
		"our response as proof":            {mutual, []any{"0 AuthMethod=CHAP", asks, reflect}, unproven},
		"straight on, without any keys":    {mutual, []any{"0 AuthMethod=CHAP", "0>1 T " + asks[2:]}, isProto},
		"the operational stage without it": {mutual, []any{"1>3 T AuthMethod=CHAP"}, isProto},
	} {
		t.Run(name, func(t *testing.T) {
			// One who takes it would go on to the operational stage.
			_, requests, err := overPipe(t, Config{CHAP: c.chap}, script(append(c.lines, "0>1 T ")...))
			if err == nil || !c.want(err) {
				t.Errorf("ended in %v", err)
			}
			for _, r := range requests {
				if strings.Contains(r, "MaxBurstLength") {
					t.Errorf("operational keys were sent to it: %q", r)
				}
				if ours := said(r, auth.KeyChallenge); ours == "0x00112233445566778899aabbccddeeff" {
					t.Error("its challenge came back to it")
				}
			}
		})
	}
}

// Challenges of ours are new each time, and as long as a digest.
func TestLogin_CHAP_OurChallengeIsFresh(t *testing.T) {
	conform.Covers(t, "R-8.2.1-9")
	seen := map[string]bool{}
	for range 5 {
		_, requests, err := overPipe(t, Config{CHAP: mutual}, machine(login.Access{Auth: policyOf(true)}))
		if err != nil || len(requests) < 3 {
			t.Fatal(err, requests)
		}
		b, ok := text.Binary([]byte(said(requests[2], auth.KeyChallenge)), text.MaxBinaryBytes)
		if !ok || len(b) != 32 || seen[string(b)] {
			t.Errorf("challenge %x", b)
		}
		seen[string(b)] = true
	}
}

func TestConfig_CHAP_Refused(t *testing.T) {
	conform.Covers(t, "R-8.2.1-4", "R-8.2.1-5", "R-8.2.1-6")
	for name, c := range map[string]Config{
		"a secret and no user":         {CHAP: CHAP{Secret: ourSecret}},
		"no secret":                    {CHAP: CHAP{User: "user"}},
		"short":                        {CHAP: CHAP{User: "user", Secret: "hush"}},
		"one secret for both":          {CHAP: CHAP{User: "user", Secret: ourSecret, TargetSecret: ourSecret}},
		"a target's name alone":        {CHAP: CHAP{User: "user", Secret: ourSecret, TargetUser: "target"}},
		"a short one of the target":    {CHAP: CHAP{User: "user", Secret: ourSecret, TargetSecret: "hush"}},
		"an algorithm nobody knows":    {CHAP: oneWay, Algorithms: []auth.Algorithm{4}},
		"the target's and not our own": {CHAP: CHAP{TargetSecret: theirSecret}},
	} {
		c.Portal, c.Target = "h", testTarget
		if _, err := c.filled(); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
	short := Config{Portal: "h", Target: testTarget, CHAP: CHAP{User: "user", Secret: "hush"}, ShortSecrets: true}
	if _, err := short.filled(); err != nil {
		t.Error(err)
	}
}
