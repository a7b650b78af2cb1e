package initiator

import (
	"errors"
	"testing"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// TaskReporting is offered with everything less, and not at all when the default will do.
func TestTaskReporting_Offer(t *testing.T) {
	conform.Covers(t, "N-3")
	for r, want := range map[TaskReporting]string{
		RFC3720: "", ResponseFence: "ResponseFence,RFC3720", FastAbort: "FastAbort,ResponseFence,RFC3720",
	} {
		cfg, err := Config{Portal: "h", Target: testTarget, TaskReporting: r}.filled()
		if err != nil {
			t.Fatal(err)
		}
		n := newNegotiation(&cfg, nil)
		n.sayOffers()
		if got := n.said["TaskReporting"]; got != want {
			t.Errorf("%v: offered %q, want %q", r, got, want)
		}
	}
	if _, err := (Config{Portal: "h", Target: testTarget, TaskReporting: 3}).filled(); err == nil {
		t.Error("a value that does not exist was taken")
	}
}

func TestTaskReporting_Answer(t *testing.T) {
	conform.Covers(t, "N-3")
	for answer, want := range map[string]TaskReporting{
		"RFC3720": RFC3720, "ResponseFence": ResponseFence, "FastAbort": FastAbort, "NotUnderstood": RFC3720,
	} {
		target := serveFake(t, faketarget.Config{Answers: map[string]string{"TaskReporting": answer}})
		if got := dial(t, target, Config{TaskReporting: FastAbort}).Params().TaskReporting; got != want {
			t.Errorf("%s: %v", answer, got)
		}
	}
}

// The announcement that tasks of a unit are ended is acknowledged with its LUN; nobody
// sends one where FastAbort was not agreed to.
func TestTermination_IsAcknowledged(t *testing.T) {
	conform.Covers(t, "N-6")
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for _, r := range []TaskReporting{FastAbort, ResponseFence} {
			acks := make(chan pdu.Header, 1)
			target := serveFake(t, faketarget.Config{
				Answers: map[string]string{"TaskReporting": r.String()},
				Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
					if h.Opcode() == pdu.OpNOPOut && h.ITT() == pdu.NoTag {
						acks <- *h
					}
					return false
				},
			})
			s := dialOn(t, loop, target, Config{TaskReporting: r})
			var h pdu.Header
			h.SetOpcode(pdu.OpAsync)
			h.SetFlags(pdu.FlagFinal)
			h.SetITT(pdu.NoTag)
			h.SetLUN(sam.LUNOf(3))
			pdu.AsAsync(&h).SetEvent(pdu.EventTermination, 0)
			c := target.Conns()[0]
			c.Send(&h, nil, true)
			c.Flush()
			if r != FastAbort {
				<-s.dead
				var broken *ProtocolError
				if err := s.Err(); !errors.As(err, &broken) {
					t.Errorf("the session ended with %v", err)
				}
				continue
			}
			ack := <-acks
			p := pdu.AsNOPOut(&ack)
			if p.LUN() != sam.LUNOf(3) || p.TTT() != pdu.NoTag || p.ExpStatSN() != pdu.AsAsync(&h).StatSN().Next() || !ack.Immediate() {
				t.Errorf("LUN %x, TTT %x, ExpStatSN %v", p.LUN(), uint32(p.TTT()), p.ExpStatSN())
			}
		}
	})
}

// late is a target that asks for the data of a write only when a function over it has
// come, and then answers the function.
type late struct {
	result pdu.TaskResult
	write  pdu.ITT
	came   chan serial.DataSN
}

func (l *late) request(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
	switch h.Opcode() {
	case pdu.OpSCSICommand:
		if l.write == 0 && pdu.AsSCSICommand(h).Write() {
			l.write = h.ITT()
			return true
		}
	case pdu.OpTaskRequest:
		var r pdu.Header
		r.SetOpcode(pdu.OpR2T)
		r.SetFlags(pdu.FlagFinal)
		r.SetITT(l.write)
		p := pdu.AsR2T(&r)
		p.SetTTT(1)
		p.SetDesiredBytes(4096)
		c.Send(&r, nil, false)
		var a pdu.Header
		a.SetOpcode(pdu.OpTaskResponse)
		a.SetFlags(pdu.FlagFinal)
		a.SetITT(h.ITT())
		pdu.AsTaskResponse(&a).SetResult(l.result)
		c.Send(&a, nil, true)
		return true
	case pdu.OpDataOut:
		l.came <- pdu.AsDataOut(h).DataSN()
		var a pdu.Header
		a.SetOpcode(pdu.OpSCSIResponse)
		a.SetFlags(pdu.FlagFinal)
		a.SetITT(h.ITT())
		c.Send(&a, nil, true)
		return true
	default:
	}
	return false
}

// Once a function over many tasks is sent, no data goes out for them on its connection;
// if it is not carried out, what was asked for meanwhile is sent after all. Without
// FastAbort every R2T is answered at once.
func TestFastAbort_SendsNoDataBehindTheFunction(t *testing.T) {
	conform.Covers(t, "N-6")
	no := false
	for name, k := range map[string]struct {
		reporting TaskReporting
		result    pdu.TaskResult
		data      bool
		err       error
	}{
		"carried out":       {FastAbort, pdu.FunctionComplete, false, ErrAborted},
		"refused":           {FastAbort, pdu.LUNDoesNotExist, true, nil},
		"without FastAbort": {ResponseFence, pdu.FunctionComplete, true, ErrAborted},
	} {
		t.Run(name, func(t *testing.T) {
			l := &late{result: k.result, came: make(chan serial.DataSN, 4)}
			target := serveFake(t, faketarget.Config{
				Answers: map[string]string{"TaskReporting": k.reporting.String()}, Request: l.request,
			})
			s := dial(t, target, Config{TaskReporting: k.reporting, ImmediateData: &no, InitialR2T: new(true)})
			ended := make(chan error, 1)
			go func() {
				_, err := s.Do(t.Context(), Command{CDB: make([]byte, 10), Out: make([]byte, 4096)})
				ended <- err
			}()
			for target.Seen(pdu.OpSCSICommand) == 0 {
				_, _ = s.Ping(t.Context(), nil)
			}
			if r, err := s.TaskManagement(t.Context(), sam.LogicalUnitReset, 0, pdu.NoTag); r != k.result || err != nil {
				t.Fatalf("result %v, %v", r, err)
			}
			if err := <-ended; !errors.Is(err, k.err) {
				t.Errorf("the write: %v, want %v", err, k.err)
			}
			if k.data {
				<-l.came
				return
			}
			_, _ = s.Ping(t.Context(), nil)
			if n := target.Seen(pdu.OpDataOut); n != 0 {
				t.Errorf("%d Data-Out behind the function", n)
			}
		})
	}
}
