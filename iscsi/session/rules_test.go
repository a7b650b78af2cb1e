package session

import (
	"fmt"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Every opcode that is no initiator's is refused, and the connection goes on
// (RFC 3720 §10.2.1.2).
func TestHeader_EveryOpcode(t *testing.T) {
	conform.Covers(t, "R-10.2.1.2-1", "R-10.17.4-1")
	for o := range pdu.Opcode(64) {
		switch o {
		case pdu.OpNOPOut, pdu.OpSCSICommand, pdu.OpTaskRequest, pdu.OpLoginReq, pdu.OpTextReq, pdu.OpDataOut, pdu.OpLogoutReq, pdu.OpSNACK:
			continue
		}
		p := newPlay(defaults())
		h, ahs := new(pdu.Header), []byte{0, 1, 0x3f, 0x77}
		h.SetOpcode(o)
		h.SetITT(0x1234)
		h[40] = 0x55
		if d := p.headed(h, ahs, 0); d.Verdict != Skip {
			t.Fatalf("%v: verdict %d", o, d.Verdict)
		}
		var r pdu.Header
		data, ok := p.c.EmitReject(&r)
		if !ok || pdu.AsReject(&r).Reason() != pdu.RejectNotSupported || r.ITT() != pdu.NoTag {
			t.Fatalf("%v: refused %v, reason %v", o, ok, pdu.AsReject(&r).Reason())
		}
		if string(data) != string(h[:])+string(ahs) {
			t.Errorf("%v: the Reject carries %x", o, data)
		}
		p.take(request(p, "cmd itt=1 sn=10 F dev=good"))
		if len(p.out) != 1 || !matches(p.out[0], "scsi-response itt=1 status=0") {
			t.Errorf("%v: afterwards %q", o, p.out)
		}
	}
}

// headed gives a header with the lengths of what is behind it.
func (p *play) headed(h *pdu.Header, ahs []byte, data int) Disposition {
	h.SetAHSBytes(len(ahs))
	h.SetDataBytes(data)
	return p.c.Header(h, ahs)
}

// A CDB of more than 16 bytes goes on in an additional header, whose length counts
// the reserved byte (RFC 3720 §10.2.2.3).
func TestCommand_ExtendedCDB(t *testing.T) {
	conform.Covers(t, "R-10.3.5-1", "R-10.2.2.3-1", "R-10.2.2.2-1")
	for _, n := range []int{17, 20, 31, sam.MaxCDBBytes} {
		p := newPlay(defaults())
		h, ahs, _, _ := request(p, fmt.Sprintf("cmd itt=1 sn=10 F R edtl=512 cdb=%d dev=read:512", n))
		for i := range 16 {
			h[32+i] = byte(i)
		}
		if got := int(ahs[0])<<8 | int(ahs[1]); got != n-15 {
			t.Fatalf("AHSLength %d for a CDB of %d bytes", got, n)
		}
		p.headed(h, ahs, 0)
		task, ok := p.c.Find(1)
		if !ok || int(task.CDBBytes) != n {
			t.Fatalf("%d bytes: %v, %d", n, ok, task.CDBBytes)
		}
		for i, b := range task.CDB[:n] {
			if b != byte(i) {
				t.Fatalf("CDB of %d bytes: byte %d is %#x", n, i, b)
			}
		}
	}
}

// ExpStatSN acknowledges in any request, data and SNACK included, only forward and
// only what was sent; level 0 keeps nothing that would wait for it (RFC 3720
// §3.2.2.2).
func TestAcknowledge_InEveryRequest(t *testing.T) {
	conform.Covers(t, "R-3.2.2.2-2", "R-3.2.2.2-3")
	conform.Trap(t, 27)
	p := newPlay(defaults())
	p.take(request(p, "cmd itt=1 sn=10 F W edtl=2048 dev=write:2048"))
	for i := range 5 {
		p.take(request(p, fmt.Sprintf("nop itt=%d sn=11 I F ttt=ffffffff ack=100", 2+i)))
	}
	for _, k := range []struct {
		line string
		want uint32
	}{
		{"nop itt=-1 sn=11 I F ttt=ffffffff ack=101", 101},
		{"data itt=1 ttt=1 dsn=0 off=0 len=512 ack=102", 102},
		{"data itt=1 ttt=1 dsn=1 off=512 len=512 ack=101", 102},        // never back
		{"data itt=1 ttt=1 dsn=2 off=1024 len=512 ack=106", 102},       // 105 was not sent
		{"data itt=1 ttt=1 dsn=3 off=1536 len=512 F ack=4000000", 102}, // nor this
		{"snack itt=-1 type=1 ack=104", 104},
		{"snack itt=-1 type=1 ack=2147483752", 104}, // half the circle away
	} {
		p.take(request(p, k.line))
		if got := p.c.expStatSN; got != serial.Stat(k.want) {
			t.Errorf("%s: ExpStatSN %v, want %d", k.line, got, k.want)
		}
		p.check(t)
	}
}

// An initiator that never acknowledges is served like any other; nothing is kept
// for it.
func TestAcknowledge_Never(t *testing.T) {
	conform.Covers(t, "R-3.2.2.2-2")
	p := newPlay(defaults())
	for i := range uint32(20000) {
		p.out = nil
		p.take(request(p, fmt.Sprintf("cmd itt=%d sn=%d F R edtl=512 dev=read:512", i, 10+i)))
		if len(p.out) != 1 || !matches(p.out[0], fmt.Sprintf("data-in flags=FS stat=%d", 100+i)) {
			t.Fatalf("command %d: %q", i, p.out)
		}
		delete(p.devices, pdu.ITT(i))
		delete(p.held, pdu.ITT(i))
	}
	if p.c.Live() != 0 || len(p.c.rejects) != 0 {
		t.Errorf("%d tasks and %d Rejects are kept", p.c.Live(), len(p.c.rejects))
	}
}

// A text that never ends is answered piece by piece and kept within its bound.
func TestText_EndlessContinuation(t *testing.T) {
	conform.Covers(t, "R-10.10.4-3", "R-10.11.4-1", "R-5.2-2")
	p := newPlay(defaults())
	ttt, refused := "ffffffff", 0
	for i := range 100_000 {
		p.out = nil
		p.take(request(p, "text itt=1 sn=10 I C len=1 ttt="+ttt))
		if len(p.out) != 1 {
			t.Fatalf("request %d: %q", i, p.out)
		}
		_, tag, answered := strings.Cut(p.out[0], " ttt=")
		switch {
		case answered && matches(p.out[0], "text-response itt=1 flags= len=0"):
			ttt, _, _ = strings.Cut(tag, " ")
		case matches(p.out[0], "reject reason=10 of=4"):
			refused++
			ttt = "ffffffff"
		default:
			t.Fatalf("request %d: %q", i, p.out)
		}
		if in := p.c.text.in; in != nil && len(in.Bytes()) > MaxTextBytes {
			t.Fatalf("%d bytes of text are kept", len(in.Bytes()))
		}
	}
	if want := 100_000 / (MaxTextBytes + 1); refused != want {
		t.Errorf("%d Rejects, want %d", refused, want)
	}
}

// Whoever earns Rejects and reads none is dropped.
func TestReject_AreBounded(t *testing.T) {
	p := newPlay(defaults())
	h, _, _, _ := request(p, "vendor itt=1")
	for i := range 2 * maxRejects {
		if d := p.headed(h, nil, 0); d.Verdict == Drop {
			if i != maxRejects {
				t.Errorf("dropped after %d Rejects", i)
			}
			return
		}
		p.c.End(true)
	}
	t.Error("Rejects without bound")
}

// So does a Reject of data, with the additional header that nobody asked for.
func TestReject_OfDataCarriesItsHeader(t *testing.T) {
	conform.Covers(t, "R-10.17.4-1")
	p := newPlay(defaults())
	h, _, _, _ := request(p, "data itt=1 ttt=7fff0001 off=512 dsn=3 F lun=5 ack=99")
	ahs := []byte{0, 1, 0x3f, 0x77}
	p.headed(h, ahs, 512)
	var r pdu.Header
	if got, ok := p.c.EmitReject(&r); !ok || string(got) != string(h[:])+string(ahs) {
		t.Errorf("the Reject carries %x", got)
	}
}

// A text that is refused only when its turn comes is refused with the header it
// had, to the last byte (RFC 3720 §10.17.4).
func TestReject_OfATextCarriesItsHeader(t *testing.T) {
	conform.Covers(t, "R-10.17.4-1")
	for _, line := range []string{
		"text itt=1 sn=10 I F ack=99 lun=3 text=SendTargets=All;",
		"text itt=1 sn=10 F lun=3 text=SendTargets=All;",
		"text itt=1 sn=10 C ack=100 len=17000",
	} {
		p := newPlay(defaults())
		h, _, data, _ := request(p, line)
		h[2], h[35], h[47] = 1, 2, 3 // reserved
		sent := *h
		sent.SetDataBytes(len(data))
		d := p.headed(h, nil, len(data))
		d.Task.Text = data
		p.c.End(true)
		if p.c.RunText(p.c.NextReady()) {
			t.Fatalf("%s is not refused", line)
		}
		var r pdu.Header
		if got, ok := p.c.EmitReject(&r); !ok || string(got) != string(sent[:]) {
			t.Errorf("%s: the Reject carries\n%x, want\n%x", line, got, sent)
		}
		if p.c.Live() != 0 {
			t.Errorf("%s: the task is kept", line)
		}
	}
}
