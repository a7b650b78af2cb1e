package initiator

import (
	"errors"
	"strings"
	"testing"

	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
)

const testTarget = "iqn.2026-01.example:disk"

// serveFake starts a target whose faults fail the test.
func serveFake(t *testing.T, cfg faketarget.Config) *faketarget.Target {
	t.Helper()
	target, err := faketarget.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		target.Stop()
		if f := target.Faults(); len(f) > 0 {
			t.Errorf("the target saw: %s", strings.Join(f, "; "))
		}
	})
	return target
}

func dial(t *testing.T, target *faketarget.Target, cfg Config) *Session {
	t.Helper()
	cfg.Portal, cfg.Target = target.Portal(), testTarget
	s, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestDial_Defaults_OfferEverythingThatSavesRoundTrips(t *testing.T) {
	p := dial(t, serveFake(t, faketarget.Config{}), Config{}).Params()
	if !p.ImmediateData || p.InitialR2T || p.HeaderDigest || p.DataDigest {
		t.Errorf("%+v", p)
	}
	if p.MaxSendDataSegmentLength != 8192 || p.MaxRecvDataSegmentLength != 262144 || p.TSIH != 7 {
		t.Errorf("%+v", p)
	}
	if p.ISID[0]>>6 != 2 {
		t.Errorf("ISID %x is not of type random", p.ISID)
	}
}

// The result of a key is what its rule makes of both values, and only that.
func TestDial_Answers_AgainstTheRule(t *testing.T) {
	for _, c := range []struct {
		key, answer string
		legal       bool
		holds       func(Params) bool
	}{
		{"MaxBurstLength", "4096", true, func(p Params) bool { return p.MaxBurst == 4096 && p.FirstBurst == 4096 }},
		{"MaxBurstLength", "262145", false, nil},
		{"MaxBurstLength", "511", false, nil},
		{"FirstBurstLength", "0x1000", true, func(p Params) bool { return p.FirstBurst == 4096 }},
		{"FirstBurstLength", "many", false, nil},
		{"MaxOutstandingR2T", "2", false, nil},
		{"InitialR2T", "Yes", true, func(p Params) bool { return p.InitialR2T }},
		{"InitialR2T", "yes", false, nil},
		{"ImmediateData", "No", true, func(p Params) bool { return !p.ImmediateData }},
		{"HeaderDigest", "CRC32C", false, nil}, // None was offered
		{"DataPDUInOrder", "No", false, nil},
		{"DefaultTime2Wait", "30", true, func(p Params) bool { return p.DefaultTime2Wait == 30 }},
		{"DefaultTime2Retain", "1", false, nil},
		{"ErrorRecoveryLevel", "1", false, nil},
		{"MaxRecvDataSegmentLength", "16777216", false, nil},
		{"MaxRecvDataSegmentLength", "512", true, func(p Params) bool { return p.MaxSendDataSegmentLength == 512 }},
		{"MaxConnections", "Irrelevant", true, func(Params) bool { return true }},
		{"MaxBurstLength", "Reject", false, nil},
		{"AuthMethod", "CHAP", false, nil},
		{"AuthMethod", "-", true, func(Params) bool { return true }},
		{"MaxBurstLength", "-", true, func(p Params) bool { return p.MaxBurst == 262144 }},
	} {
		t.Run(c.key+"="+c.answer, func(t *testing.T) {
			target := serveFake(t, faketarget.Config{Answers: map[string]string{c.key: c.answer}})
			s, err := Dial(t.Context(), Config{Portal: target.Portal(), Target: testTarget})
			if s != nil {
				defer func() { _ = s.Close() }()
			}
			var proto *ProtocolError
			switch {
			case c.legal && err != nil:
				t.Fatal(err)
			case c.legal && !c.holds(s.Params()):
				t.Errorf("%+v", s.Params())
			case !c.legal && !errors.As(err, &proto):
				t.Errorf("was taken: %v", err)
			}
		})
	}
}

func TestDial_TargetRaisesKeys_AreAnswered(t *testing.T) {
	target := serveFake(t, faketarget.Config{
		Answers: map[string]string{"MaxBurstLength": "-", "X-unknown": "-"},
		Raise:   []string{"TargetAlias=disk one", "X-unknown=1"},
	})
	p := dial(t, target, Config{}).Params()
	if p.TargetAlias != "disk one" {
		t.Errorf("%+v", p)
	}
}

func TestDial_AnswerInParts_IsJoined(t *testing.T) {
	target := serveFake(t, faketarget.Config{LoginPart: 37, Answers: map[string]string{"MaxBurstLength": "8192"}})
	if p := dial(t, target, Config{}).Params(); p.MaxBurst != 8192 || p.DefaultTime2Wait != 2 {
		t.Errorf("%+v", p)
	}
}

func TestDial_Refused_SaysWhyAndWhat(t *testing.T) {
	target := serveFake(t, faketarget.Config{Refuse: pdu.LoginNotFound})
	_, err := Dial(t.Context(), Config{Portal: target.Portal(), Target: testTarget})
	var refused *LoginError
	if !errors.As(err, &refused) || refused.Status != pdu.LoginNotFound {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{testTarget, target.Portal(), "discovery"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestDial_Redirected_Follows(t *testing.T) {
	goal := serveFake(t, faketarget.Config{})
	door := serveFake(t, faketarget.Config{Refuse: pdu.LoginMovedTemporarily, Redirect: goal.Portal()})
	if p := dial(t, door, Config{}).Params(); p.Portal != goal.Portal() {
		t.Errorf("ended at %s, not %s", p.Portal, goal.Portal())
	}
}

func TestDial_RedirectedInCircles_GivesUp(t *testing.T) {
	var target *faketarget.Target
	target, err := faketarget.Start(faketarget.Config{Refuse: pdu.LoginMovedTemporarily, Redirect: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Stop()
	if _, err := Dial(t.Context(), Config{Portal: target.Portal(), Target: testTarget}); err == nil {
		t.Error("a redirection to nowhere succeeded")
	}
}

func TestDiscover_LongAnswer_IsGathered(t *testing.T) {
	lines := []string{
		"TargetName=iqn.2026-01.example:a", "TargetAddress=127.0.0.1:3260,1", "TargetAddress=[::1]:3260,2",
		"TargetName=iqn.2026-01.example:b",
	}
	for _, part := range []int{0, 1, 7, 50} {
		target := serveFake(t, faketarget.Config{Targets: lines, TextPart: part})
		list, err := Discover(t.Context(), target.Portal(), "")
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 2 || len(list[0].Addresses) != 2 || list[1].Name != "iqn.2026-01.example:b" {
			t.Errorf("part %d: %+v", part, list)
		}
	}
}

func TestConfig_Refused(t *testing.T) {
	for name, c := range map[string]Config{
		"no portal":   {Target: testTarget},
		"no target":   {Portal: "h"},
		"depth":       {Portal: "h", Target: testTarget, QueueDepth: MaxQueueDepth + 1},
		"short burst": {Portal: "h", Target: testTarget, MaxBurst: 511},
		"first burst": {Portal: "h", Target: testTarget, FirstBurst: 8192, MaxBurst: 4096},
	} {
		if _, err := c.filled(); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// Every row of the key table permits its own answer to any offer in range, and
// answering is symmetric.
func TestKeyTable_AnswerIsAllowed(t *testing.T) {
	cfg, err := Config{Portal: "h", Target: testTarget, HeaderDigest: true, DataDigest: true}.filled()
	if err != nil {
		t.Fatal(err)
	}
	offers := map[rule][]string{
		and: {"Yes", "No"}, or2: {"Yes", "No"}, list: {"None", "CRC32C,None", "None,CRC32C"},
		minimum: {"1", "512", "4096", "65535"}, maximum: {"0", "2", "3600"}, declare: {"512", "16777215"},
	}
	for i := range keyTable {
		k := &keyTable[i]
		for _, theirs := range offers[k.rule] {
			v, ok := k.answer(k.offer(&cfg), theirs)
			if !ok {
				continue // out of the key's range
			}
			if k.rule != declare && !k.allows(theirs, v) {
				t.Errorf("%s: %s to an offer of %s is not a result of it", k.name, v, theirs)
			}
			if k.rule != declare && !k.allows(k.offer(&cfg), v) {
				t.Errorf("%s: %s is not a result of our own %s", k.name, v, k.offer(&cfg))
			}
		}
	}
}
