package echo

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"lunar/internal/buf"
)

// script is a draw of requests, their bytes, and what the peer is to get for them.
type script struct {
	wire, replies []byte
}

// drawScript draws requests on memory, on which the writes have been carried out
// afterwards. Reads and writes keep to different halves: a send looks at memory when
// it is made, not when the request came.
func drawScript(t *rapid.T, memory []byte) script {
	var s script
	half := len(memory) / 2
	for tag := range rapid.IntRange(1, 40).Draw(t, "requests") {
		h := Header{Op: Read, Tag: uint32(tag)}
		n := rapid.IntRange(0, half).Draw(t, "length")
		at := rapid.IntRange(0, half-n).Draw(t, "at")
		if rapid.Bool().Draw(t, "write") {
			h.Op = Write
			at += half
		}
		h.Offset, h.Length = uint64(at), uint32(n)
		var head [HeaderBytes]byte
		h.Put(head[:])
		s.wire, s.replies = append(s.wire, head[:]...), append(s.replies, head[:]...)
		if h.Op == Read {
			s.replies = append(s.replies, memory[at:at+n]...)
			continue
		}
		data := bytes.Repeat([]byte{byte(tag + 1)}, n)
		s.wire = append(s.wire, data...)
		copy(memory[at:], data)
	}
	return s
}

// However the bytes come and however little a send takes, every request is answered
// as it asked, in order.
func TestConn_AnyDivision_AnswersWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := rapid.SliceOfN(rapid.Byte(), 400, 400).Draw(t, "memory")
		memory := bytes.Clone(after)
		s := drawScript(t, after)
		c := &conn{memory: memory, size: len(memory), headers: make([]byte, batchReplies*HeaderBytes)}
		var got []byte
		for rest := s.wire; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			if !c.feed(rest[:n]) {
				t.Fatal("a good request was refused")
			}
			rest = rest[n:]
			if c.gather() {
				took := take(c.rest, rapid.IntRange(0, 500).Draw(t, "taken"))
				got = append(got, took...)
				c.sent(len(took))
			}
		}
		for c.gather() {
			took := take(c.rest, 1<<20)
			got = append(got, took...)
			c.sent(len(took))
		}
		if !bytes.Equal(got, s.replies) {
			t.Fatalf("%d bytes of replies differ from the %d expected", len(got), len(s.replies))
		}
		if !bytes.Equal(memory, after) {
			t.Fatal("the memory does not hold what was written")
		}
	})
}

// take is what a socket takes that has room for n bytes.
func take(iov []buf.Iovec, n int) (b []byte) {
	for i := range iov {
		b = append(b, iov[i].Bytes()...)
	}
	return b[:min(n, len(b))]
}

func TestConn_WrongRequests_Refused(t *testing.T) {
	for name, h := range map[string]Header{
		"operation": {Op: 3},
		"offset":    {Op: Read, Offset: 1 << 63, Length: 1},
		"length":    {Op: Write, Offset: 1, Length: 4096},
		"too long":  {Op: Read, Length: MaxBytes + 1},
	} {
		c := &conn{memory: make([]byte, 4096), size: 4096}
		var head [HeaderBytes]byte
		h.Put(head[:])
		if c.feed(head[:]) {
			t.Errorf("%s: %+v was taken", name, h)
		}
	}
}

// A send carries no more pieces than the kernel takes, and the rest follows.
func TestConn_ManyReplies_GoInBatches(t *testing.T) {
	c := &conn{memory: make([]byte, 64), size: 64, headers: make([]byte, batchReplies*HeaderBytes)}
	for range batchReplies + 7 {
		c.owed = append(c.owed, Header{Op: Read, Length: 64})
	}
	for _, want := range []int{batchReplies, 7} {
		if !c.gather() || len(c.rest) != 2*want {
			t.Fatalf("%d pieces, want %d", len(c.rest), 2*want)
		}
		c.sent(want * (HeaderBytes + 64))
	}
	for range 5 {
		c.owed = append(c.owed, Header{Op: Write, Length: 64})
	}
	if !c.gather() || len(c.rest) != 1 || c.rest[0].Len != 5*HeaderBytes {
		t.Errorf("headers side by side make %d pieces", len(c.rest))
	}
}
