package login

import (
	"strings"
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// FuzzMachine plays arbitrary requests: no panic, a reply that fits one PDU, and
// Done only out of Admit.
func FuzzMachine(f *testing.F) {
	f.Add(byte(0x87), byte(0), []byte("InitiatorName=iqn.a.b\x00TargetName=iqn.2026-11.lunar:default\x00"), byte(0x87), []byte(""))
	f.Add(byte(0x81), byte(0), []byte("InitiatorName=iqn.a.b\x00SessionType=Discovery\x00AuthMethod=CHAP,None\x00"), byte(0x87), []byte("HeaderDigest=CRC32C,None\x00"))
	f.Add(byte(0x44), byte(1), []byte("Initi"), byte(0x87), []byte("atorName=iqn.a.b\x00"))
	f.Fuzz(func(t *testing.T, flags1, version byte, data1 []byte, flags2 byte, data2 []byte) {
		m := newMachine()
		for i, d := range [][]byte{data1, data2} {
			var h, resp pdu.Header
			h.SetOpcode(pdu.OpLoginReq)
			h.SetFlags([]byte{flags1, flags2}[i])
			pdu.AsLoginRequest(&h).SetVersions(version, version)
			o, answer := m.Step(pdu.AsLoginRequest(&h), d, &resp)
			if len(answer) > maxReplyBytes || o == Done || o == 0 {
				t.Fatalf("outcome %v with %d bytes", o, len(answer))
			}
			if o == Admit && (m.Identity().Initiator == "" || m.Identity().Target == "" && !m.Identity().Discovery) {
				t.Fatal("admitted without names")
			}
			if o != Reply {
				return
			}
		}
	})
}

// FuzzGuarded plays arbitrary requests to a target that demands a proof, in the
// security stage unless they say otherwise: who does not know the secret stays there.
func FuzzGuarded(f *testing.F) {
	const who = "InitiatorName=iqn.a.b\x00TargetName=iqn.2026-11.lunar:mutual\x00"
	f.Add([]byte(who+"AuthMethod=CHAP\x00"), byte(0), []byte("CHAP_A=8,7\x00"), byte(0x81), []byte("CHAP_N=user\x00CHAP_R=0x00\x00"), byte(0x83), []byte(""))
	f.Add([]byte(who+"AuthMethod=CHAP\x00"), byte(0), []byte("CHAP_A=5\x00"), byte(0x81), []byte("CHAP_N=user\x00CHAP_I=1\x00CHAP_C=0bAQID\x00"), byte(0x87), []byte("CHAP_R=0x1\x00"))
	f.Add([]byte(who), byte(0x40), []byte("AuthMethod=No"), byte(0x83), []byte("ne\x00"), byte(0x87), []byte("MaxBurstLength=512\x00"))
	f.Fuzz(func(t *testing.T, data1 []byte, flags2 byte, data2 []byte, flags3 byte, data3 []byte, flags4 byte, data4 []byte) {
		cfg := testConfig()
		cfg.Targets = &asking{answer: Access{Auth: demand(true)}}
		m := NewMachine(cfg, testSource)
		flags := []byte{0, flags2, flags3, flags4}
		for i, d := range [][]byte{data1, data2, data3, data4} {
			var h, resp pdu.Header
			h.SetOpcode(pdu.OpLoginReq)
			h.SetFlags(flags[i])
			o, answer := m.Step(pdu.AsLoginRequest(&h), d, &resp)
			r := pdu.AsLoginResponse(&resp)
			if o == Admit || o == Done || o == 0 || r.Transit() || m.Identity().User != "" || len(answer) > maxReplyBytes {
				t.Fatalf("request %d: outcome %v, user %q, % x", i, o, m.Identity().User, resp[:])
			}
			for b := answer; len(b) > 0; {
				p, rest, ok := text.NextPair(b)
				if !ok || string(p.Key) == "CHAP_R" || strings.HasSuffix(string(p.Key), "BurstLength") && string(p.Value) != text.NotUnderstood {
					t.Fatalf("request %d: a stranger hears %q", i, answer)
				}
				b = rest
			}
			if o != Reply {
				return
			}
		}
	})
}
