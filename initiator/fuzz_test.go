package initiator

import (
	"testing"

	"lunar/iscsi/auth"
)

// FuzzHear plays arbitrary answers of a target that must prove itself: no panic, and
// without the proof the security stage is never left.
func FuzzHear(f *testing.F) {
	f.Add([]byte("AuthMethod=CHAP\x00"), []byte("CHAP_A=7\x00CHAP_I=1\x00CHAP_C=0x00ff\x00"), []byte("CHAP_N=target\x00CHAP_R=0x00\x00"))
	f.Add([]byte("TargetPortalGroupTag=1\x00AuthMethod=CHAP\x00"), []byte("CHAP_A=5\x00CHAP_I=255\x00CHAP_C=0bAQID\x00"), []byte("X-a=1\x00"))
	f.Add([]byte("AuthMethod=None\x00"), []byte("MaxBurstLength=512\x00"), []byte("TargetAddress=h:1,2\x00"))
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		cfg, err := Config{Portal: "h", Target: testTarget, CHAP: mutual, Algorithms: auth.Algorithms()}.filled()
		if err != nil {
			t.Fatal(err)
		}
		n := newNegotiation(&cfg, nil)
		n.sayNames()
		for _, answer := range [][]byte{first, second, third} {
			n.take(loginSegmentBytes)
			due := n.chap.step
			if n.hear(answer) != nil || n.authenticate(due) != nil {
				return
			}
			if n.leaveSecurity() == nil {
				t.Fatalf("left after %q", answer)
			}
		}
	})
}
