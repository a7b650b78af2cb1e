package echo

import "encoding/binary"

// Sizes of the wire: a header is as long as that of an iSCSI PDU, and MaxBytes is
// the most data of one request.
const (
	HeaderBytes = 48
	MaxBytes    = 4 << 20
)

// Op is what a request asks for.
type Op byte

// Operations. A Read of no bytes is answered by a header.
const (
	Read Op = iota + 1
	Write
)

// Header is what travels before the data, in both directions.
type Header struct {
	Op Op
	// Tag is the client's; the reply carries the same.
	Tag uint32
	// Length is how many bytes are read or written at Offset of the memory.
	Length uint32
	Offset uint64
}

// Put writes h into the first HeaderBytes of b.
func (h Header) Put(b []byte) {
	clear(b[:HeaderBytes])
	b[0] = byte(h.Op)
	binary.BigEndian.PutUint32(b[4:], h.Length)
	binary.BigEndian.PutUint64(b[8:], h.Offset)
	binary.BigEndian.PutUint32(b[16:], h.Tag)
}

// ParseHeader reads what Put wrote.
func ParseHeader(b []byte) Header {
	_ = b[HeaderBytes-1]
	return Header{
		Op: Op(b[0]), Length: binary.BigEndian.Uint32(b[4:]),
		Offset: binary.BigEndian.Uint64(b[8:]), Tag: binary.BigEndian.Uint32(b[16:]),
	}
}

// fits says whether the request stays within a memory of size bytes.
func (h Header) fits(size int) bool {
	return (h.Op == Read || h.Op == Write) && h.Length <= MaxBytes &&
		h.Offset <= uint64(size) && uint64(h.Length) <= uint64(size)-h.Offset
}

// Carried is how many bytes of data stand behind the header in a request and in
// its reply.
func (h Header) Carried() (request, reply int) {
	if h.Op == Write {
		return int(h.Length), 0
	}
	return 0, int(h.Length)
}
