package session

import (
	"fmt"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// recovering is a play at level 1.
func recovering() *play {
	s := defaults()
	s.params.ErrorRecoveryLevel = 1
	return newPlay(s)
}

// note takes a PDU and lets nothing be said yet.
func (p *play) note(line string) {
	h, ahs, data, intact := request(p, line)
	p.headed(h, ahs, len(data))
	p.c.End(intact)
}

// expect complains unless exactly this is said.
func (p *play) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	p.pump()
	if len(p.out) != len(want) {
		t.Fatalf("%s: said %q, want %q", what, p.out, want)
	}
	for i := range want {
		if !matches(p.out[i], want[i]) {
			t.Errorf("%s: said %s, want %s", what, p.out[i], want[i])
		}
	}
	p.out = nil
	p.check(t)
}

// SNACKs that wait are bounded; those beyond it may come again.
func TestSNACK_AreBounded(t *testing.T) {
	conform.Covers(t, "R-10.17.1-3")
	p := recovering()
	p.take(request(p, "cmd itt=1 sn=10 F dev=good ack=100"))
	p.out = nil
	var want []string
	for range maxOrders + 1 {
		p.note("snack type=1 beg=100 run=1 ack=100")
		want = append(want, "scsi-response stat=100")
	}
	want[maxOrders] = "reject reason=3 of=10 stat=101"
	p.expect(t, "too many SNACKs", want...)
	p.take(request(p, "snack type=1 beg=100 run=1 ack=100"))
	p.expect(t, "one more", "scsi-response stat=100")
}

// Between a SNACK and its answer the world goes on.
func TestSNACK_OvertakenByEvents(t *testing.T) {
	conform.Covers(t, "R-10.16-4")
	p := recovering()
	p.take(request(p, "cmd itt=1 sn=10 F W edtl=512 dev=write:512 ack=100"))
	p.expect(t, "a write", "r2t ttt=1")
	p.note("snack itt=1 type=0 ack=100")
	p.note("data itt=1 ttt=1 len=512 F ack=100")
	task, _ := p.c.Find(1)
	p.progress(task)
	p.expect(t, "an R2T that was fulfilled", "scsi-response itt=1 stat=100")
	p.note("snack type=1 beg=100 run=1 ack=100")
	p.note("nop itt=-1 sn=11 I F ttt=ffffffff ack=101")
	p.expect(t, "an answer that was acknowledged")
	p.take(request(p, "cmd itt=2 sn=11 F R edtl=512 dev=read:512 ack=101"))
	p.expect(t, "a read", "data-in flags=FS stat=101")
	p.note("snack itt=2 type=0 ack=101")
	p.note("nop itt=-1 sn=12 I F ttt=ffffffff ack=102")
	p.expect(t, "data that was acknowledged")
	p.take(request(p, "cmd itt=3 sn=12 F R edtl=512 dev=read:512 ack=102"))
	p.expect(t, "a read", "data-in flags=FS stat=102")
	// Numbers of the cut before mean nothing after R-Data.
	p.note("snack itt=3 type=3 tag=7 ack=102")
	p.note("snack itt=3 type=0 ack=102")
	p.expect(t, "data that is cut anew", "data-in flags=F stat=0", "scsi-response stat=102 tag=7")
}

// What is acknowledged while a SNACK waits is left out; what is behind it comes.
func TestSNACK_AcknowledgedInPart(t *testing.T) {
	conform.Covers(t, "R-10.16.2-2")
	p := recovering()
	p.c.Params.MaxSend, p.c.Params.MaxBurstLength = 512, 1024
	p.take(request(p, "cmd itt=1 sn=10 F R edtl=2048 dev=read:2048 lun=3 ack=100"))
	p.expect(t, "a read", "data-in dsn=0", "data-in dsn=1 flags=FA ttt=1", "data-in dsn=2", "data-in dsn=3 flags=FS stat=100")
	p.note("snack itt=1 type=0 ack=100")
	p.note("snack type=2 tag=1 beg=2 ack=100 lun=3")
	p.expect(t, "the rest", "data-in dsn=2 off=1024", "data-in dsn=3 off=1536 flags=FS stat=100")
}

// A status that rode on data which is acknowledged while a SNACK waits was received, and
// its data is gone; what is behind it comes.
func TestSNACK_StatusOfAcknowledgedData(t *testing.T) {
	conform.Covers(t, "R-10.16.2-2")
	p := recovering()
	p.c.Params.MaxSend, p.c.Params.MaxBurstLength = 512, 512
	p.take(request(p, "cmd itt=1 sn=10 F R edtl=1024 dev=read:1024 lun=3 ack=100"))
	p.take(request(p, "cmd itt=2 sn=11 F dev=good ack=100"))
	p.expect(t, "a read", "data-in dsn=0 flags=FA ttt=1", "data-in dsn=1 flags=FS stat=100", "scsi-response stat=101")
	p.note("snack type=1 ack=100")
	p.note("snack type=2 tag=1 beg=2 ack=100 lun=3")
	p.gone = true
	p.expect(t, "the rest", "scsi-response itt=2 stat=101")
}

// A read whose outcome stands, and whose data is lost before its status is out, ends
// with 0B/1113.
func TestSNACK_SpoilsAnOutcome(t *testing.T) {
	conform.Covers(t, "R-6.7-3", "R-10.17.1-1")
	p := recovering()
	p.c.Params.MaxSend = 512
	p.take(request(p, "cmd itt=1 sn=10 F R edtl=1024 dev=read:1024 hold ack=100"))
	task, _ := p.c.Find(1)
	task.Status = sam.Good
	p.c.Responded(task)
	var h pdu.Header
	if s, done, ok := p.c.EmitDataIn(task, &h, 1024); !ok || done || s.Bytes != 512 {
		t.Fatalf("cut %+v", s)
	}
	p.gone = true
	p.note("snack itt=1 type=0 ack=100")
	p.expect(t, "data that is gone", "reject reason=3 of=10 stat=100", "scsi-response itt=1 stat=101 status=2 sense=b/1113 expdsn=1")
}

// Text and ping data that is not acknowledged is bounded too.
func TestRetention_BoundsText(t *testing.T) {
	conform.Covers(t, "R-6.1.3-1")
	p := recovering()
	p.c.Params.MaxSend = 262144
	for range maxRetainedText / 262144 {
		p.take(request(p, "nop itt=1 sn=10 I F ttt=ffffffff len=262144 ack=100"))
		p.expect(t, "a ping", "nop-in itt=1 len=262144")
	}
	p.take(request(p, "nop itt=1 sn=10 I F ttt=ffffffff len=4 ack=100"))
	p.expect(t, "no room")
	p.take(request(p, "nop itt=-1 sn=10 I F ttt=ffffffff ack=101"))
	p.expect(t, "room again", "nop-in itt=1 len=4")
	p.take(request(p, "nop itt=-1 sn=10 I F ttt=ffffffff ack=105"))
	if p.c.kept.text != 0 {
		t.Errorf("%d bytes are kept of what is acknowledged", p.c.kept.text)
	}
}

// What lies in the place of an acknowledged answer is only the one that is there now.
func TestRetention_ForgetsWhatIsAcknowledged(t *testing.T) {
	conform.Covers(t, "R-10.16-4", "R-3.2.2.2-2")
	p := recovering()
	p.take(request(p, "cmd itt=1 sn=10 F R edtl=512 dev=read:512 ack=100"))
	p.expect(t, "a read", "data-in stat=100")
	for i := range p.c.Retained() {
		p.take(request(p, fmt.Sprintf("nop itt=2 sn=11 I F ttt=ffffffff len=4 ack=%d", 101+i)))
		p.expect(t, "a ping", "nop-in itt=2")
	}
	p.take(request(p, fmt.Sprintf("snack itt=1 type=0 ack=%d", 100+p.c.Retained())))
	p.expect(t, "data of long ago", "reject reason=4 datasn=0")
}
