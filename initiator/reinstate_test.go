package initiator

import (
	"bytes"
	"sync/atomic"
	"testing"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// A target may take a moment to see that the other connections are gone too, and until
// then says that there are too many; the session waits for that, and goes on.
func TestRecovery_Reinstate_TargetIsLate(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		var cut atomic.Bool
		var logins atomic.Int32
		target := serveFake(t, faketarget.Config{
			DataInBytes: 4096, Answers: map[string]string{"DefaultTime2Wait": "0"},
			Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
				if h.Opcode() == pdu.OpDataIn && pdu.AsDataIn(h).DataSN() == serial.Data(2) && cut.CompareAndSwap(false, true) {
					return faketarget.SpoilHeader // which ends the connection
				}
				return faketarget.Deliver
			},
			Admit: func(pdu.LoginRequest) pdu.LoginStatus {
				if cut.Load() && logins.Add(1) <= 2 {
					return pdu.LoginTooManyConnections
				}
				return pdu.LoginSuccess
			},
			Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
				if h.Opcode() != pdu.OpTaskRequest {
					return false
				}
				q := pdu.AsTaskRequest(h)
				var r pdu.Header
				r.SetOpcode(pdu.OpTaskResponse)
				r.SetFlags(pdu.FlagFinal)
				r.SetITT(h.ITT())
				pdu.AsTaskResponse(&r).SetResult(pdu.FunctionComplete)
				c.Send(&r, nil, true)
				c.Continue(q.ReferencedTag(), q.ExpDataSN())
				return true
			},
		})
		want := randomBytes(16384)
		target.Disk(func(b []byte) { copy(b, want) })
		d := &Disk{s: dialOn(t, loop, target, Config{RecoveryLevel: 2, HeaderDigest: true}), blockBytes: 512, blocks: 2048}
		got := make([]byte, len(want))
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || logins.Load() < 3 {
			t.Errorf("%v, after %d logins", err, logins.Load())
		}
	})
}
