package transport

import (
	"encoding/binary"

	"lunar/digest"
	"lunar/internal/buf"
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
)

const (
	// batchPDUs is the most PDUs of one send.
	batchPDUs = 256
	// batchIovecs stays below the kernel's limit of 1024 (IOV_MAX).
	batchIovecs = 3 * batchPDUs
	// batchBytes is how much one send may carry before the next turn, so that no
	// connection fills a turn alone.
	batchBytes = 4 << 20

	// A PDU's own bytes in a batch: header and digest, padding and digest, and a
	// sense that it may carry.
	slotTail   = 56
	slotInline = 64
	slotBytes  = 128
)

// batch is what one send carries: PDUs laid out as iovecs, and what they keep
// alive.
type batch struct {
	slots []byte
	iov   []buf.Iovec
	n     int // PDUs
	v     int // iovecs in use
	sent  int // iovecs done
	bytes int
	bufs  []held
	keep  [][]byte
}

// held is a buffer of a batch, and how much data-in it counts for.
type held struct {
	buf  *buf.Buf
	read int
}

// batch returns the batch being filled, or nil when memory is out.
func (c *Conn) batch() *batch {
	if c.build == nil {
		c.build = c.stack.getBatch()
	}
	return c.build
}

func (s *Stack) getBatch() *batch {
	if n := len(s.batches); n > 0 {
		b := s.batches[n-1]
		s.batches = s.batches[:n-1]
		return b
	}
	slots, err := buf.Alloc(batchPDUs * slotBytes)
	if err != nil {
		return nil
	}
	iov, err := buf.AllocSlice[buf.Iovec](batchIovecs)
	if err != nil {
		return nil
	}
	return &batch{slots: slots, iov: iov}
}

func (s *Stack) putBatch(b *batch) {
	clear(b.keep)
	b.n, b.v, b.sent, b.bytes, b.bufs, b.keep = 0, 0, 0, 0, b.bufs[:0], b.keep[:0]
	s.batches = append(s.batches, b)
}

func (b *batch) full() bool { return b.n == batchPDUs || b.bytes >= batchBytes }

// scratch is where a response may build what it carries inline.
func (b *batch) scratch() []byte {
	s := b.slots[b.n*slotBytes:][slotInline:slotBytes]
	return s[:session.MaxInlineBytes:session.MaxInlineBytes]
}

func (b *batch) vector(p []byte) {
	b.iov[b.v] = buf.IovecOf(p)
	b.v++
	b.bytes += len(p)
}

// add lays out one PDU: header, digest, data, padding, digest (RFC 3720 §10.2
// [R-10.2-1]). Data lies in memory that the batch holds or in its own slot; keep
// is data of the Go heap, kept alive until it was sent.
func (b *batch) add(h *pdu.Header, data, keep []byte, headerDigest, dataDigest bool) {
	s := b.slots[b.n*slotBytes:][:slotBytes]
	b.n++
	n := copy(s, h[:])
	if keep != nil {
		data = keep
		b.keep = append(b.keep, keep)
		h.SetDataBytes(len(data))
		copy(s, h[:])
	}
	if headerDigest {
		binary.LittleEndian.PutUint32(s[n:], digest.Update(0, s[:n]))
		n += pdu.DigestBytes
	}
	b.vector(s[:n])
	if len(data) == 0 {
		return
	}
	b.vector(data)
	tail := s[slotTail:slotInline]
	n = pdu.PadBytes(len(data))
	clear(tail[:n])
	if dataDigest {
		crc := digest.Update(digest.Update(0, data), tail[:n])
		binary.LittleEndian.PutUint32(tail[n:], crc)
		n += pdu.DigestBytes
	}
	if n > 0 {
		b.vector(tail[:n])
	}
}

// hold keeps a buffer until the batch was sent.
func (b *batch) hold(x *buf.Buf, read int) { b.bufs = append(b.bufs, held{x, read}) }

// drop gives back what a batch held.
func (b *batch) drop(c *Conn) {
	for _, h := range b.bufs {
		h.buf.Release()
		c.readBytes -= h.read
	}
	b.bufs = b.bufs[:0]
}
