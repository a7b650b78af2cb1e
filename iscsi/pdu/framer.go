package pdu

import "encoding/binary"

// Event is what Framer.Next found.
type Event uint8

// Events. A PDU is one EventHeader; when it has a data segment, then its pieces
// and one EventEnd.
const (
	// EventMore: everything given was consumed and more is needed.
	EventMore Event = iota
	// EventHeader: a header with its AHS (and digest) is complete.
	EventHeader
	// EventPiece: some bytes of the data segment, where they lie.
	EventPiece
	// EventEnd: the data segment with padding (and digest) is complete.
	EventEnd
)

type framerStage uint8

const (
	inHeader framerStage = iota
	inData
	inTail
)

// Framer cuts a byte stream into PDUs (RFC 3720 §10.2 [R-10.2-1]). Any division
// of the stream gives the same events, except that a data segment comes in the
// pieces it arrived in. It holds at most one header and copies no payload.
//
// Digests are framed here and checked by the owner, who set HeaderDigest and
// DataDigest when login ended.
type Framer struct {
	HeaderDigest, DataDigest bool

	stage framerStage
	// head stages a header that did not arrive in one piece, and tail the padding
	// and digest of a data segment.
	head [HeaderBytes + MaxAHSBytes + DigestBytes]byte
	have int
	// whole is the complete header: head, or where it lay in the input.
	whole    []byte
	dataLeft int
	tail     [3 + DigestBytes]byte
	tailWant int
	tailHave int
	piece    []byte
}

// Next consumes bytes from the front of p and says what they completed. What it
// returns stays valid until the next call, as p does.
func (f *Framer) Next(p []byte) (ev Event, used int) {
	switch f.stage {
	case inData:
		return f.nextPiece(p)
	case inTail:
		return f.nextTail(p)
	case inHeader:
	}
	return f.nextHeader(p)
}

func (f *Framer) nextHeader(p []byte) (Event, int) {
	if f.have == 0 && len(p) >= HeaderBytes {
		// The common case: the whole header lies in the input and is used there.
		if want := f.headerWant(p); len(p) >= want {
			f.whole = p[:want]
			return f.headerDone(), want
		}
	}
	used := f.stageHeader(p)
	if f.have < HeaderBytes || f.have < f.headerWant(f.head[:]) {
		return EventMore, used
	}
	f.whole = f.head[:f.have]
	return f.headerDone(), used
}

// stageHeader copies what the header still needs. TotalAHSLength is known once
// byte 4 is there, so the first step stops at the basic header.
func (f *Framer) stageHeader(p []byte) (used int) {
	if f.have < HeaderBytes {
		used = copy(f.head[f.have:HeaderBytes], p)
		f.have += used
		if f.have < HeaderBytes {
			return used
		}
	}
	n := copy(f.head[f.have:f.headerWant(f.head[:])], p[used:])
	f.have += n
	return used + n
}

func (f *Framer) headerWant(h []byte) int {
	n := HeaderBytes + int(h[offTotalAHS])*4
	if f.HeaderDigest {
		n += DigestBytes
	}
	return n
}

func (f *Framer) headerDone() Event {
	f.have = 0
	f.dataLeft = f.Header().DataBytes()
	if f.dataLeft > 0 {
		f.stage = inData
		f.tailHave = 0
		f.tailWant = PadBytes(f.dataLeft)
		if f.DataDigest {
			f.tailWant += DigestBytes
		}
	}
	return EventHeader
}

func (f *Framer) nextPiece(p []byte) (Event, int) {
	if len(p) == 0 {
		return EventMore, 0
	}
	n := min(len(p), f.dataLeft)
	f.piece = p[:n]
	f.Placed(n)
	return EventPiece, n
}

func (f *Framer) nextTail(p []byte) (Event, int) {
	n := copy(f.tail[f.tailHave:f.tailWant], p)
	f.tailHave += n
	if f.tailHave < f.tailWant {
		return EventMore, n
	}
	f.stage = inHeader
	return EventEnd, n
}

// Placed says that n bytes of the data segment were received elsewhere, straight
// into their place; n is at most DataLeft.
func (f *Framer) Placed(n int) {
	f.dataLeft -= n
	if f.dataLeft == 0 {
		f.stage = inTail
	}
}

// DataLeft is how many bytes of the data segment are still to come.
func (f *Framer) DataLeft() int {
	if f.stage != inData {
		return 0
	}
	return f.dataLeft
}

// Header is the header of the EventHeader just returned.
func (f *Framer) Header() *Header { return (*Header)(f.whole) }

// AHS is the additional header segments of the EventHeader just returned.
func (f *Framer) AHS() []byte { return f.Covered()[HeaderBytes:] }

// Covered is what the header digest covers: header and AHS (§10.2.3).
func (f *Framer) Covered() []byte {
	if f.HeaderDigest {
		return f.whole[:len(f.whole)-DigestBytes]
	}
	return f.whole
}

// HeaderCRC is the digest word behind the header. The word travels lowest byte
// first (RFC 3720 §12.1, vectors of appendix B.4).
func (f *Framer) HeaderCRC() uint32 {
	return binary.LittleEndian.Uint32(f.whole[len(f.whole)-DigestBytes:])
}

// Piece is the data of the EventPiece just returned.
func (f *Framer) Piece() []byte { return f.piece }

// Padding is the pad bytes of the EventEnd just returned; the data digest covers
// them (RFC 3720 §12.1 [R-12.1-3]).
func (f *Framer) Padding() []byte {
	if f.DataDigest {
		return f.tail[:f.tailWant-DigestBytes]
	}
	return f.tail[:f.tailWant]
}

// DataCRC is the digest word behind the data segment.
func (f *Framer) DataCRC() uint32 {
	return binary.LittleEndian.Uint32(f.tail[f.tailWant-DigestBytes:])
}
