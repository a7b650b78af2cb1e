package session

import (
	"fmt"
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

// TestState_EveryTransition walks every state and transition of RFC 3720 §7.1.4,
// the forbidden ones included.
func TestState_EveryTransition(t *testing.T) {
	want := map[State]map[Transition]State{
		Free:            {T3: TransportUp},
		TransportUp:     {T4: InLogin, T6: Free},
		InLogin:         {T5: LoggedIn, T7: Free},
		LoggedIn:        {T8: Free, T9: InLogout, T11: LogoutRequested, T15: CleanupWait},
		InLogout:        {T13: Free, T17: CleanupWait},
		LogoutRequested: {T10: InLogout, T12: LogoutRequested, T16: CleanupWait, T18: Free},
	}
	for s := range State(12) {
		for by := range Transition(22) {
			to, legal := want[s][by]
			if !legal {
				to = s
			}
			if got, ok := s.Next(by); ok != legal || got != to {
				t.Errorf("state %d by T%d: %d %v, want %d %v", s, by, got, ok, to, legal)
			}
		}
	}
}

// TestUnsolicited_Matrix is InitialR2T × ImmediateData with data that is exact,
// short, long or late (RFC 3720 §12.10, §12.11, §10.4.7.2).
func TestUnsolicited_Matrix(t *testing.T) {
	const first, total = 4096, 8192
	for _, initial := range []bool{true, false} {
		for _, immediate := range []bool{true, false} {
			for _, k := range []struct {
				name            string
				immediate, data uint32
				final           bool // F of the command
				late            bool
			}{
				{"none", 0, 0, true, false},
				{"immediate", 1024, 0, true, false},
				{"immediate, all of the first burst", first, 0, true, false},
				{"immediate, too long", first + 512, 0, true, false},
				{"data", 0, first, false, false},
				{"data, short", 0, first - 512, false, false},
				{"data, long", 0, first + 512, false, false},
				{"data, late", 0, first, true, true},
				{"both", 1024, first - 1024, false, false},
				{"both, short", 1024, 512, false, false},
				{"both, long", 1024, first, false, false},
			} {
				name := fmt.Sprintf("InitialR2T=%v ImmediateData=%v %s", initial, immediate, k.name)
				want := ""
				switch {
				case k.immediate > 0 && (!immediate || k.immediate > first):
					want = "sense=b/0c0c"
				case k.data > 0 && (initial || k.late || k.immediate+k.data > first):
					want = "sense=b/0c0c"
				case k.data > 0 && k.immediate+k.data < first:
					want = "sense=b/0c0d"
				}
				playUnsolicited(t, name, initial, immediate, k.immediate, k.data, k.final, want)
			}
		}
	}
}

func playUnsolicited(t *testing.T, name string, initial, immediate bool, now, later uint32, final bool, want string) {
	t.Helper()
	s := defaults()
	s.params.InitialR2T, s.params.ImmediateData, s.params.FirstBurstLength = initial, immediate, 4096
	p := newPlay(s)
	f := ""
	if final {
		f = " F"
	}
	p.take(request(p, fmt.Sprintf("cmd itt=1 sn=10 W edtl=8192 dev=write:8192 len=%d%s", now, f)))
	if later > 0 && (want == "" || !final || now == 0) {
		p.take(request(p, fmt.Sprintf("data itt=1 dsn=0 off=%d len=%d F", now, later)))
	}
	// Whatever was asked for is answered in full.
	for range 4 {
		for _, said := range p.out {
			var itt, stat, low, high, r2tsn, off, n, ttt uint32
			if k, _ := fmt.Sscanf(said, "r2t itt=%d stat=%d win=%d..%d flags=F len=0 r2tsn=%d off=%d want=%d ttt=%x",
				&itt, &stat, &low, &high, &r2tsn, &off, &n, &ttt); k == 8 {
				p.out = nil
				p.take(request(p, fmt.Sprintf("data itt=1 ttt=%x off=%d len=%d F", ttt, off, n)))
			}
		}
	}
	p.check(t)
	if len(p.out) != 1 {
		t.Errorf("%s: said %q", name, p.out)
		return
	}
	if want == "" {
		want = "status=0"
	}
	if !matches(p.out[0], "scsi-response "+want) {
		t.Errorf("%s: said %s, want %s", name, p.out[0], want)
	}
}

// TestDataIn_Plan covers a transfer exactly and in order, within every limit.
func TestDataIn_Plan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Uint32Range(1, 1<<20).Draw(t, "total")
		segment := rapid.Uint32Range(512, 1<<18).Draw(t, "segment")
		burst := rapid.Uint32Range(512, 1<<18).Draw(t, "burst")
		d := DataIn{Total: total}
		var ready, at, inBurst uint32
		for at < total {
			ready = rapid.Uint32Range(ready, total).Draw(t, "ready")
			s, ok := d.next(ready, segment, burst)
			if !ok {
				if at < ready {
					t.Fatal("nothing is cut though data is ready")
				}
				ready = min(total, ready+segment)
				continue
			}
			inBurst += s.Bytes
			last := at+s.Bytes == total
			if s.Offset != at || s.Bytes == 0 || s.Bytes > segment || inBurst > burst || s.Offset+s.Bytes > ready {
				t.Fatalf("segment %+v at %d, burst %d", s, at, inBurst)
			}
			if s.Last != last || s.Final != (last || inBurst == burst) {
				t.Fatalf("segment %+v, burst %d of %d", s, inBurst, burst)
			}
			if s.Final {
				inBurst = 0
			}
			at += s.Bytes
		}
		if _, ok := d.next(total, segment, burst); ok {
			t.Fatal("something follows the last")
		}
	})
}

// TestDataOut_Plan asks for what did not come unasked, in order, without overlap,
// within MaxBurstLength and MaxOutstandingR2T.
func TestDataOut_Plan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Uint32Range(1, 1<<20).Draw(t, "total")
		unasked := rapid.Uint32Range(0, total).Draw(t, "unasked")
		most := rapid.Uint32Range(512, 1<<18).Draw(t, "burst")
		outstanding := rapid.Uint32Range(1, 20).Draw(t, "outstanding")
		d := DataOut{Total: total, Received: unasked}
		at, flying := unasked, uint32(0)
		for sn := uint32(0); !d.Complete(); {
			for d.MayAsk(outstanding) {
				n := min(total-d.Asked(), most)
				offset, r2tSN := d.ask(pdu.TTT(sn), n)
				flying++
				if offset != at || r2tSN != sn || n == 0 || flying > min(outstanding, MaxBursts) {
					t.Fatalf("R2T %d asks for %d at %d, want %d; %d in flight", r2tSN, n, offset, at, flying)
				}
				at += n
				sn++
			}
			if flying == 0 {
				t.Fatal("data is missing and nothing is asked for")
			}
			b := d.current()
			if b.offset != d.Received {
				t.Fatalf("burst at %d served at %d", b.offset, d.Received)
			}
			d.Received += b.bytes
			d.endBurst()
			flying--
		}
		if at != total || d.Received != total {
			t.Fatalf("asked for %d of %d", at, total)
		}
	})
}

// TestWindow_Model compares the window with a set of numbers.
func TestWindow_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint32Range(1, 20).Draw(t, "size")
		first := rapid.SampledFrom([]uint32{0, 7, 0xfffffff0, 0xffffffff, 0x7ffffffa}).Draw(t, "first")
		w := newWindow(serial.Cmd(first), size)
		exp, last, live := first, first+size-1, uint32(0) // live: delivered and not ended
		early := map[uint32]uint32{}                      // number → task, or plugged
		drain := func() {
			for {
				v, waits := early[exp]
				if !waits {
					if task, ok := w.pop(); ok {
						t.Fatalf("task %d comes too early", task)
					}
					return
				}
				delete(early, exp)
				exp++
				if v == plugged {
					last++
					continue
				}
				if task, ok := w.pop(); !ok || task != v {
					t.Fatalf("popped %d %v, want %d", task, ok, v)
				}
				live++
			}
		}
		for range 60 {
			n := first + rapid.Uint32Range(0, 60).Draw(t, "n") - 4 + (exp - first)
			_, held := early[n]
			inside := n-exp < last-exp+1 && !held
			if got := w.accepts(serial.Cmd(n)); got != inside {
				t.Fatalf("accepts(%d) = %v in %d..%d", n, got, exp, last)
			}
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				if !inside {
					continue
				}
				if now := w.offer(serial.Cmd(n), n&0xff); now != (n == exp) {
					t.Fatalf("offer(%d) = %v at %d", n, now, exp)
				}
				if n == exp {
					exp++
					live++
				} else {
					early[n] = n & 0xff
				}
				drain()
			case 2:
				if w.plug(serial.Cmd(n)) != inside {
					t.Fatalf("plug(%d) in %d..%d", n, exp, last)
				}
				if inside && n == exp {
					exp++
					last++
				} else if inside {
					early[n] = plugged
				}
				drain()
			case 3:
				if live > 0 {
					live--
					last++
					w.credit()
				}
			}
			if w.exp != serial.Cmd(exp) || w.last != serial.Cmd(last) {
				t.Fatalf("window %v..%v, want %d..%d", w.exp, w.last, exp, last)
			}
		}
	})
}

// TestDirectory_Model compares the directory with a map.
func TestDirectory_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDirectory(24)
		model := map[pdu.ITT]uint32{}
		// Few tags, and some with the same home, so that runs form and break.
		tag := rapid.OneOf(rapid.Map(rapid.Uint32Range(0, 40), func(n uint32) pdu.ITT { return pdu.ITT(n * 0x9e3779b1) }),
			rapid.Map(rapid.Uint32Range(0, 40), func(n uint32) pdu.ITT { return pdu.ITT(n) }))
		for range 200 {
			k := tag.Draw(t, "tag")
			task, live := model[k]
			if got, ok := d.find(k); ok != live || ok && got != task {
				t.Fatalf("find(%x) = %d %v, want %d %v", k, got, ok, task, live)
			}
			switch {
			case live || len(model) == 24:
				d.remove(k)
				delete(model, k)
			default:
				model[k] = uint32(len(model))
				d.add(k, model[k])
			}
		}
		for k, task := range model {
			if got, ok := d.find(k); !ok || got != task {
				t.Fatalf("find(%x) = %d %v at the end", k, got, ok)
			}
		}
	})
}

// FuzzConn plays any PDUs: no panic, no limit exceeded, and every place of the
// slab is free or live.
func FuzzConn(f *testing.F) {
	f.Add([]byte("\x01\x11\x01\x02"), byte(0))
	f.Add([]byte("\x01\x30\x01\x02\x05\x01\x01\x00\x05\x11\x01\x00"), byte(1))
	f.Add([]byte("\x04\x04\x02\x00\x04\x05\x02\x00\x04\x14\x03\x00"), byte(2))
	f.Add([]byte("\x02\x00\x01\x02\x06\x00\x03\x00\x01\x08\x05\x01"), byte(3))
	f.Add([]byte("\x41\x28\x01\x01\x41\x28\x02\x01\x42\x01\x03\x01\x00\x02\x04\x00"), byte(4))
	f.Fuzz(func(t *testing.T, script []byte, config byte) {
		s := defaults()
		s.window, s.immediate = 4, 3
		s.params.InitialR2T, s.params.ImmediateData = config&1 != 0, config&2 != 0
		s.params.FirstBurstLength, s.params.MaxBurstLength, s.params.MaxSend = 1024, 2048, 512
		s.params.MaxOutstandingR2T = uint32(config>>2&3) + 1
		s.discovery = config&16 != 0
		s.records = 6
		if config&32 != 0 {
			s.cmdSN = 0xfffffffe
		}
		p := newPlay(s)
		for n := 0; len(script) >= 4 && n < 200; n++ {
			p.fuzzed(script[:4], s.cmdSN)
			script = script[4:]
			p.check(t)
			p.out = nil
		}
	})
}

var fuzzTexts = []string{"", "SendTargets=All\x00", "SendTargets=\x00", "MaxRecvDataSegmentLength=512\x00", "Send", "x", "A=b\x00"}

// fuzzed plays one PDU drawn from four bytes, near enough to the right ones that
// it gets somewhere.
func (p *play) fuzzed(b []byte, first uint32) {
	h := new(pdu.Header)
	h.SetOpcode(pdu.Opcode(b[0] & 0x1f))
	if b[0]&0x40 != 0 {
		h.SetImmediate()
	}
	h.SetFlags(b[1] & 0xe3)
	if b[1]&0x10 == 0 {
		h.SetFlags(h.Flags() | pdu.FlagFinal)
	}
	h.SetITT(pdu.ITT(b[2] & 7))
	size := int(b[1]>>2&3) * 512
	data := make([]byte, size)
	if h.Opcode() == pdu.OpTextReq {
		data = []byte(fuzzTexts[int(b[3])%len(fuzzTexts)])
	}
	r := pdu.Request{Header: h}
	if h.Opcode() != pdu.OpDataOut {
		// Around the expected number, with gaps and repetitions.
		r.SetCmdSN(serial.Cmd(p.c.S.window.exp.Uint32() + uint32(b[2]>>3&3) - uint32(b[3]>>7)))
	}
	switch h.Opcode() {
	case pdu.OpSCSICommand:
		pdu.AsSCSICommand(h).SetEDTL(uint32(b[3]) * 64)
		bytes := int64(b[3]&0x3f) * 128
		p.devices[h.ITT()] = []device{
			{action: sam.Complete}, {action: sam.ReadMedium, bytes: bytes}, {action: sam.WriteMedium, bytes: bytes},
			{action: sam.Execute, bytes: bytes}, {action: sam.Execute, in: bytes}, {action: sam.Complete, sense: 0x2400},
		}[int(b[2]>>5)%6]
		p.held[h.ITT()] = b[3]&0x40 != 0
	case pdu.OpTaskRequest:
		q := pdu.AsTaskRequest(h)
		q.SetFunction(sam.Function(b[1] & 15))
		q.SetReferencedTag(pdu.ITT(b[3] & 7))
		q.SetRefCmdSN(serial.Cmd(p.c.S.window.exp.Uint32() + uint32(b[3]>>3&7) - 2))
	case pdu.OpDataOut:
		q := pdu.AsDataOut(h)
		q.SetTTT(pdu.NoTag)
		if t, ok := p.c.S.Find(h.ITT()); ok {
			q.SetBufferOffset(t.Out.Received + uint32(b[3]>>6)*512)
			if t.Out.count > 0 && b[3]&1 == 0 {
				q.SetTTT(t.Out.current().ttt)
				q.SetDataSN(serial.Data(t.Out.current().sn))
			}
		}
	case pdu.OpNOPOut, pdu.OpTextReq:
		pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
		if h.Opcode() == pdu.OpTextReq && b[3]&0x40 != 0 {
			pdu.AsTextRequest(h).SetTTT(p.c.text.ttt)
		}
	default:
	}
	p.take(h, nil, data, b[3]&0x38 != 0x38)
	if b[3]&0x20 != 0 && !p.dropped {
		p.release(pdu.ITT(b[2] >> 2 & 7))
	}
}
