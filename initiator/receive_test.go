package initiator

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// bareLink is the connection of a session with a read and a write in progress and
// nothing behind it.
func bareLink(tb testing.TB, digests bool) (*link, *[2]int) {
	tb.Helper()
	near, far := net.Pipe()
	tb.Cleanup(func() { _, _ = near.Close(), far.Close() })
	cfg, err := Config{Portal: "h", Target: testTarget, QueueDepth: 4}.filled()
	if err != nil {
		tb.Fatal(err)
	}
	p := defaults()
	p.HeaderDigest, p.DataDigest = digests, digests
	p.MaxCmdSN, p.StatSN = serial.Cmd(10), serial.Stat(1)
	s := newSession(cfg, p)
	l := s.newLink(0, p)
	newPump(l, &Conn{nc: near}) // not started: consume gets its bytes from the test
	s.links.Store(&[]*link{l})
	var ended [2]int
	for i, cmd := range []Command{
		{CDB: make([]byte, 16), In: make([]byte, 4096)},
		{CDB: make([]byte, 16), Out: make([]byte, 100000)},
	} {
		r := &Request{Command: cmd, Done: func(r *Request) {
			ended[i]++
			if r.Err == nil && (r.Result.Read < 0 || r.Result.Read > len(r.In)) {
				tb.Errorf("read %d of %d bytes", r.Result.Read, len(r.In))
			}
		}}
		if err := s.Submit(r); err != nil {
			tb.Fatal(err)
		}
	}
	return l, &ended
}

// FuzzReceive feeds a session any bytes, cut in two anywhere: it never panics,
// never ends a request twice, and the cut changes nothing.
func FuzzReceive(f *testing.F) {
	for _, seed := range receiveSeeds() {
		f.Add(seed, 50, false)
		f.Add(seed, 7, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int, digests bool) {
		cut = min(max(cut, 0), len(b))
		whole, ended := bareLink(t, digests)
		errWhole := whole.consume(b)
		parts, endedParts := bareLink(t, digests)
		errParts := parts.consume(b[:cut])
		if errParts == nil {
			errParts = parts.consume(b[cut:])
		}
		if (errWhole == nil) != (errParts == nil) || *ended != *endedParts || whole.nextStatSN != parts.nextStatSN {
			t.Fatalf("cut at %d: %v and %v, %v and %v", cut, errWhole, errParts, *ended, *endedParts)
		}
		whole.s.err = ErrClosed
		whole.s.finish()
		if *ended != [2]int{1, 1} {
			t.Fatalf("requests ended %v times", *ended)
		}
	})
}

// receiveSeeds are PDUs a target may send to a bareSession.
func receiveSeeds() [][]byte {
	wire := func(h pdu.Header, data []byte) []byte {
		h.SetDataBytes(len(data))
		return appendPDU(nil, &h, nil, data, false, false)
	}
	var h pdu.Header
	d := pdu.AsDataIn(&h)
	h.SetOpcode(pdu.OpDataIn)
	d.SetStatSN(serial.Stat(1))
	h.SetFlags(pdu.FlagFinal | pdu.DataStatus)
	read := wire(h, make([]byte, 4096))

	h = pdu.Header{}
	r := pdu.AsR2T(&h)
	h.SetOpcode(pdu.OpR2T)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(1)
	r.SetTTT(5)
	r.SetBufferOffset(8192)
	r.SetDesiredBytes(100000 - 8192)
	ready := wire(h, nil)

	h = pdu.Header{}
	p := pdu.AsSCSIResponse(&h)
	h.SetOpcode(pdu.OpSCSIResponse)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(1)
	p.SetStatSN(serial.Stat(1))
	p.SetStatus(sam.CheckCondition)
	sense := binary.BigEndian.AppendUint16(nil, 18)
	failed := wire(h, append(sense, make([]byte, 18)...))

	h = pdu.Header{}
	h.SetOpcode(pdu.OpNOPIn)
	h.SetITT(pdu.NoTag)
	pdu.AsNOPIn(&h).SetStatSN(serial.Stat(1))
	ping := wire(h, []byte("abc"))

	h = pdu.Header{}
	h.SetOpcode(pdu.OpReject)
	h.SetITT(pdu.NoTag)
	pdu.AsReject(&h).SetStatSN(serial.Stat(1))
	reject := wire(h, make([]byte, 48))
	return [][]byte{read, ready, failed, ping, reject, append(append([]byte(nil), ready...), failed...), nil}
}

// The committed corpus is not empty: without it FuzzReceive would test little when
// it runs as a plain test.
func TestFuzzReceive_HasACorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/fuzz/FuzzReceive/*")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || len(b) == 0 {
			t.Errorf("%s: %d bytes, %v", f, len(b), err)
		}
	}
}

// One I/O, submit to callback, allocates nothing in steady state.
func TestSubmit_SteadyState_AllocatesNothing(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for _, write := range []bool{false, true} {
			s := allocPair(t, loop, write)
			ended := make(chan struct{}, 1)
			cdb := (&Disk{blockBytes: 512}).BlockCDB(opRead16, 0, 4096)
			r := &Request{Command: Command{CDB: cdb[:], In: make([]byte, 4096)}, Done: func(*Request) { ended <- struct{}{} }}
			if write {
				cdb[0] = opWrite16
				r.In, r.Out = nil, make([]byte, 4096)
			}
			op := func() {
				if err := s.Submit(r); err != nil {
					t.Fatal(err)
				}
				s.Flush()
				<-ended
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			for range 100 {
				op()
			}
			if n := testing.AllocsPerRun(2000, op); n != 0 {
				t.Errorf("write=%v: %v allocations per I/O", write, n)
			}
		}
	})
}

// echoTarget answers each command at once, without allocating.
type echoTarget struct {
	write  bool
	nc     net.Conn
	in     [1 << 16]byte
	reply  [48 + 4096]byte
	statSN uint32
}

func allocPair(t *testing.T, loop *drive.Loop, write bool) *Session {
	t.Helper()
	near, far := tcpPair(t)
	_ = far.SetDeadline(time.Time{}) // reading needs none
	e := &echoTarget{nc: far, write: write}
	go e.serve()
	cfg, err := Config{Portal: "h", Target: testTarget, QueueDepth: 4, Loop: loop}.filled()
	if err != nil {
		t.Fatal(err)
	}
	p := defaults()
	p.MaxCmdSN = serial.Cmd(10)
	s := newSession(cfg, p)
	if err := s.attach(0, p, NewConn(near)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (e *echoTarget) serve() {
	have := 0
	for {
		n, err := e.nc.Read(e.in[have:])
		if err != nil {
			return
		}
		have += n
		h := (*pdu.Header)(e.in[:])
		if have < 48 || have < 48+h.DataBytes() {
			continue
		}
		have = 0
		e.answer(h)
	}
}

func (e *echoTarget) answer(h *pdu.Header) {
	out := (*pdu.Header)(e.reply[:])
	*out = pdu.Header{}
	out.SetITT(h.ITT())
	p := pdu.AsDataIn(out)
	p.SetStatSN(serial.Stat(e.statSN))
	e.statSN++
	sn := pdu.Request{Header: h}.CmdSN()
	p.SetWindow(sn.Next(), sn.Add(10))
	end := 48
	if e.write {
		out.SetOpcode(pdu.OpSCSIResponse)
		out.SetFlags(pdu.FlagFinal)
	} else {
		out.SetOpcode(pdu.OpDataIn)
		out.SetFlags(pdu.FlagFinal | pdu.DataStatus)
		out.SetDataBytes(4096)
		end += 4096
	}
	_, _ = e.nc.Write(e.reply[:end]) // the session notices a broken connection
}

// BenchmarkSubmit keeps 32 reads of 4 KiB in progress against the fake target.
func BenchmarkSubmit(b *testing.B) {
	target, err := faketarget.Start(faketarget.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer target.Stop()
	s, err := Dial(b.Context(), Config{Portal: target.Portal(), Target: testTarget})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	const depth = 32
	left, busy, idle := b.N, depth, make(chan struct{})
	cdb := (&Disk{blockBytes: 512}).BlockCDB(opRead16, 0, 4096)
	var mix [depth]Request
	done := func(r *Request) {
		if left--; left >= depth && r.Err == nil {
			r.Err = s.Submit(r)
			return
		}
		if busy--; busy == 0 {
			close(idle)
		}
	}
	b.SetBytes(4096)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range mix {
		mix[i] = Request{Command: Command{CDB: cdb[:], In: make([]byte, 4096)}, Done: done}
		if err := s.Submit(&mix[i]); err != nil {
			b.Fatal(err)
		}
	}
	s.Flush()
	<-idle
}
