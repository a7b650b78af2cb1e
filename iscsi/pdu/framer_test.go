package pdu

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// recorded is what a framer said of one PDU, pieces joined.
type recorded struct {
	head, data, pad []byte
	headCRC, crc    uint32
}

// frame feeds stream in the given chunk sizes and joins what comes out.
func frame(f *Framer, stream []byte, chunk func() int) []recorded {
	var out []recorded
	for len(stream) > 0 {
		n := min(chunk(), len(stream))
		p := stream[:n:n]
		stream = stream[n:]
		for {
			ev, used := f.Next(p)
			p = p[used:]
			if ev == EventMore {
				if len(p) != 0 {
					panic("EventMore left input behind")
				}
				break
			}
			switch ev {
			case EventMore:
			case EventHeader:
				r := recorded{head: bytes.Clone(f.Covered())}
				if f.HeaderDigest {
					r.headCRC = f.HeaderCRC()
				}
				out = append(out, r)
			case EventPiece:
				out[len(out)-1].data = append(out[len(out)-1].data, f.Piece()...)
			case EventEnd:
				r := &out[len(out)-1]
				r.pad = bytes.Clone(f.Padding())
				if f.DataDigest {
					r.crc = f.DataCRC()
				}
			}
		}
	}
	return out
}

// stream builds PDUs with the given data lengths and AHS words.
func stream(data, ahs []int, headerDigest, dataDigest bool) []byte {
	var s []byte
	for i, n := range data {
		var h Header
		h.SetOpcode(OpDataOut)
		h.SetITT(ITT(i))
		h.SetDataBytes(n)
		h.SetAHSBytes(ahs[i] * 4)
		s = append(s, h[:]...)
		s = append(s, bytes.Repeat([]byte{byte(0xa0 + i)}, ahs[i]*4)...)
		if headerDigest {
			s = binary.LittleEndian.AppendUint32(s, uint32(0x1000+i))
		}
		if n > 0 {
			for k := range n {
				s = append(s, byte(k*7+i))
			}
			s = append(s, make([]byte, PadBytes(n))...)
			if dataDigest {
				s = binary.LittleEndian.AppendUint32(s, uint32(0x2000+i))
			}
		}
	}
	return s
}

// TestFramer_ChunkingChangesNothing is the framer's contract: the same PDUs for
// any division of the stream.
func TestFramer_ChunkingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "pdus")
		data := rapid.SliceOfN(rapid.IntRange(0, 70), n, n).Draw(t, "data")
		ahs := rapid.SliceOfN(rapid.IntRange(0, 5), n, n).Draw(t, "ahs")
		hd, dd := rapid.Bool().Draw(t, "header digest"), rapid.Bool().Draw(t, "data digest")
		s := stream(data, ahs, hd, dd)
		whole := frame(&Framer{HeaderDigest: hd, DataDigest: dd}, s, func() int { return len(s) })
		cut := frame(&Framer{HeaderDigest: hd, DataDigest: dd}, s, func() int {
			return rapid.IntRange(1, 60).Draw(t, "chunk")
		})
		if len(whole) != n || len(cut) != n {
			t.Fatalf("%d PDUs sent, %d found whole, %d found cut", n, len(whole), len(cut))
		}
		for i := range whole {
			a, b := whole[i], cut[i]
			if !bytes.Equal(a.head, b.head) || !bytes.Equal(a.data, b.data) || !bytes.Equal(a.pad, b.pad) ||
				a.headCRC != b.headCRC || a.crc != b.crc {
				t.Fatalf("PDU %d differs:\n%+v\n%+v", i, a, b)
			}
			if len(a.data) != data[i] || len(a.head) != HeaderBytes+4*ahs[i] {
				t.Fatalf("PDU %d: %d data, %d header bytes", i, len(a.data), len(a.head))
			}
			if hd && a.headCRC != uint32(0x1000+i) || dd && data[i] > 0 && a.crc != uint32(0x2000+i) {
				t.Fatalf("PDU %d: digests %#x %#x", i, a.headCRC, a.crc)
			}
		}
	})
}

// TestFramer_Placed_SkipsDataReceivedElsewhere receives the rest of a data
// segment outside the framer, as large payloads are.
func TestFramer_Placed_SkipsDataReceivedElsewhere(t *testing.T) {
	s := stream([]int{10, 6}, []int{0, 0}, false, true)
	var f Framer
	f.DataDigest = true
	ev, used := f.Next(s)
	if ev != EventHeader || used != HeaderBytes || f.DataLeft() != 10 {
		t.Fatalf("header: %v %d, %d left", ev, used, f.DataLeft())
	}
	ev, n := f.Next(s[used : used+4])
	if ev != EventPiece || n != 4 || f.DataLeft() != 6 {
		t.Fatalf("piece: %v %d, %d left", ev, n, f.DataLeft())
	}
	f.Placed(6)
	used += 10
	ev, n = f.Next(s[used:])
	if ev != EventEnd || n != 2+DigestBytes || f.DataCRC() != 0x2000 {
		t.Fatalf("end: %v %d crc %#x", ev, n, f.DataCRC())
	}
	if ev, _ = f.Next(s[used+n:]); ev != EventHeader || f.Header().ITT() != 1 {
		t.Fatalf("next PDU: %v ITT %d", ev, f.Header().ITT())
	}
}

func TestFramer_AllocatesNothing(t *testing.T) {
	s := stream([]int{0, 512, 0, 4096}, []int{0, 0, 0, 0}, true, true)
	f := &Framer{HeaderDigest: true, DataDigest: true}
	if n := testing.AllocsPerRun(100, func() {
		for p := s; len(p) > 0; {
			_, used := f.Next(p)
			p = p[used:]
		}
		f.Next(nil)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// FuzzFramer checks that no stream panics, that every byte is consumed, and that
// cutting it elsewhere gives the same PDUs.
func FuzzFramer(f *testing.F) {
	f.Add(stream([]int{0, 5, 512}, []int{0, 1, 2}, true, true), uint8(7), true, true)
	f.Add(stream([]int{3}, []int{255}, false, false), uint8(1), false, false)
	f.Add(bytes.Repeat([]byte{0xff}, 200), uint8(13), true, false)
	f.Fuzz(func(t *testing.T, s []byte, size uint8, hd, dd bool) {
		a := frame(&Framer{HeaderDigest: hd, DataDigest: dd}, s, func() int { return len(s) })
		b := frame(&Framer{HeaderDigest: hd, DataDigest: dd}, s, func() int { return int(size) + 1 })
		if len(a) != len(b) {
			t.Fatalf("%d PDUs whole, %d cut", len(a), len(b))
		}
		for i := range a {
			if !bytes.Equal(a[i].head, b[i].head) || !bytes.Equal(a[i].data, b[i].data) || a[i].crc != b[i].crc {
				t.Fatalf("PDU %d differs", i)
			}
		}
	})
}
