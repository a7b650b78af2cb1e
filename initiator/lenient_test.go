package initiator

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// A session without a handle is none, except to those who are told not to mind.
func TestDial_NoTSIH_OnlyLenient(t *testing.T) {
	target := serveFake(t, faketarget.Config{NoTSIH: true})
	if p := dial(t, target, Config{Lenient: true}).Params(); p.TSIH != 0 {
		t.Errorf("%+v", p)
	}
	_, err := Dial(t.Context(), Config{Portal: target.Portal(), Target: testTarget})
	if err == nil || !strings.Contains(err.Error(), "TSIH 0") {
		t.Errorf("got %v", err)
	}
}

// A target that answers with its own wish has not changed what the rule makes of
// both; data that was not agreed on is never sent, which the target would report.
func TestDial_AnswerAgainstTheRule_OnlyLenient(t *testing.T) {
	for _, c := range []struct {
		key, answer string
		cfg         Config
		holds       func(Params) bool
	}{
		{"ImmediateData", "Yes", Config{ImmediateData: new(false)}, func(p Params) bool { return !p.ImmediateData }},
		{"ImmediateData", "No", Config{ImmediateData: new(true)}, func(p Params) bool { return !p.ImmediateData }},
		{"InitialR2T", "No", Config{InitialR2T: new(true)}, func(p Params) bool { return p.InitialR2T }},
		{"InitialR2T", "Yes", Config{InitialR2T: new(false)}, func(p Params) bool { return p.InitialR2T }},
	} {
		legal := c.answer == "No" && c.key == "ImmediateData" || c.answer == "Yes" && c.key == "InitialR2T"
		target := serveFake(t, faketarget.Config{Answers: map[string]string{c.key: c.answer}})
		c.cfg.Portal, c.cfg.Target = target.Portal(), testTarget
		s, err := Dial(t.Context(), c.cfg)
		var proto *ProtocolError
		if legal && err != nil || !legal && !errors.As(err, &proto) {
			t.Errorf("%s=%s, strict: %v", c.key, c.answer, err)
		}
		if s != nil {
			_ = s.Close()
		}
		c.cfg.Lenient = true
		s = dial(t, target, c.cfg)
		if !c.holds(s.Params()) {
			t.Errorf("%s=%s: %+v", c.key, c.answer, s.Params())
		}
		d := &Disk{s: s, blockBytes: 512, blocks: 2048}
		if _, err := d.WriteAt(make([]byte, 16384), 0); err != nil {
			t.Error(err)
		}
	}
}

// What is no Yes or No, and numbers out of range, nobody takes.
func TestDial_NonsenseAnswer_NotEvenLenient(t *testing.T) {
	for key, answer := range map[string]string{
		"InitialR2T": "yes", "ImmediateData": "1", "MaxBurstLength": "262145", "HeaderDigest": "CRC32C",
	} {
		target := serveFake(t, faketarget.Config{Answers: map[string]string{key: answer}})
		_, err := Dial(t.Context(), Config{Portal: target.Portal(), Target: testTarget, Lenient: true})
		var proto *ProtocolError
		if !errors.As(err, &proto) {
			t.Errorf("%s=%s: %v", key, answer, err)
		}
	}
}

// A StatSN that stands still is a target's bad habit; one that runs ahead is a
// response that was lost.
func TestSession_StatSN_RepeatedOnlyLenient(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for name, c := range map[string]struct {
			ahead, lenient, accepted bool
		}{
			"repeated, strict": {false, false, false}, "repeated, lenient": {false, true, true},
			"ahead, strict": {true, false, false}, "ahead, lenient": {true, true, false},
		} {
			t.Run(name, func(t *testing.T) {
				var first *serial.StatSN
				target := serveFake(t, faketarget.Config{Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
					r := pdu.Response{Header: h}
					status := h.Opcode() == pdu.OpSCSIResponse || h.Opcode() == pdu.OpDataIn && h.Flags()&pdu.DataStatus != 0
					switch sn := r.StatSN(); {
					case status && c.ahead:
						r.SetStatSN(sn.Next())
					case status && first == nil:
						first = &sn
					case status:
						r.SetStatSN(*first)
					}
					return faketarget.Deliver
				}})
				s := dialOn(t, loop, target, Config{Lenient: c.lenient})
				d := &Disk{s: s, blockBytes: 512, blocks: 2048}
				want, got := randomBytes(4096), make([]byte, 4096)
				_, err := d.WriteAt(want, 0)
				for range 6 {
					if err == nil {
						_, err = d.ReadAt(got, 0)
					}
				}
				if c.accepted && (err != nil || !bytes.Equal(got, want)) {
					t.Errorf("the session ended: %v", err)
				}
				if !c.accepted && (err == nil || !strings.Contains(err.Error(), "StatSN")) {
					t.Errorf("got %v", err)
				}
			})
		}
	})
}
