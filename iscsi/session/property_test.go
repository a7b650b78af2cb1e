package session

import (
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"

	"pgregory.net/rapid"
)

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
