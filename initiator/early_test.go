package initiator

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// earlyWrite is a write that its target fails before it takes the data, which is
// more than the sockets hold.
type earlyWrite struct {
	s       *Session
	want    []byte
	req     *Request
	done    chan struct{}
	stalled chan struct{}
	goOn    func()

	mu  sync.Mutex
	got []byte
}

func startEarly(t *testing.T, loop *drive.Loop) *earlyWrite {
	t.Helper()
	const size = 15 << 20
	w := &earlyWrite{want: randomBytes(size), done: make(chan struct{}, 2), stalled: make(chan struct{})}
	gate := make(chan struct{})
	w.goOn = sync.OnceFunc(func() { close(gate) })
	target := serveFake(t, faketarget.Config{
		Answers: map[string]string{"MaxRecvDataSegmentLength": "262144"},
		Request: func(c *faketarget.Conn, h *pdu.Header, data []byte) bool {
			switch h.Opcode() {
			case pdu.OpSCSICommand:
				c.Status(h, sam.CheckCondition, pdu.ResidualUnderflow, size, []byte{0x70, 0, 5, 0, 0, 0, 0, 0})
				c.Flush()
				close(w.stalled)
				<-gate
			case pdu.OpDataOut:
				w.mu.Lock()
				w.got = append(w.got, data...)
				w.mu.Unlock()
			default:
				return false
			}
			return true
		},
	})
	t.Cleanup(w.goOn)
	no := false
	w.s = dialOn(t, loop, target, Config{ImmediateData: &no, FirstBurst: size, MaxBurst: size})
	cdb := (&Disk{blockBytes: 512}).BlockCDB(opRead16, 0, 512)
	cdb[0] = opWrite16
	w.req = &Request{Command: Command{CDB: cdb[:], Out: bytes.Clone(w.want)}, Done: func(r *Request) {
		clear(r.Out) // it is ours again
		w.done <- struct{}{}
	}}
	if err := w.s.Submit(w.req); err != nil {
		t.Fatal(err)
	}
	w.s.Flush()
	<-w.stalled
	select {
	case <-w.done:
		if loop != nil {
			t.Error("the request ended while the kernel reads its data")
		}
		w.done <- struct{}{}
	case <-time.After(50 * time.Millisecond):
		if loop == nil {
			t.Error("a request whose data was copied waits")
		}
	}
	return w
}

// An answer that comes before the data has left is reported when it has, and what
// leaves is what was written.
func TestSession_AnswerBeforeData_WaitsForTheSend(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		w := startEarly(t, loop)
		w.goOn()
		<-w.done
		if w.req.Err != nil || w.req.Result.Status != sam.CheckCondition {
			t.Errorf("%+v, %v", w.req.Result, w.req.Err)
		}
		if _, err := w.s.Ping(t.Context(), nil); err != nil { // behind all data
			t.Fatal(err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if !bytes.Equal(w.got, w.want) {
			t.Errorf("%d bytes arrived, and not those of the command", len(w.got))
		}
	})
}

// A session that ends meanwhile reports it once, and the next command not at all.
func TestSession_EndsBeforeDataLeft_ReportsOnce(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		w := startEarly(t, loop)
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
		<-w.done
		if len(w.done) > 0 || w.req.Result.Status != sam.CheckCondition {
			t.Errorf("reported again, or %+v", w.req.Result)
		}
		if err := w.s.Submit(w.req); !errors.Is(err, ErrClosed) {
			t.Errorf("submitted again: %v", err)
		}
	})
}
