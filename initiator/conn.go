package initiator

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"time"

	"lunar/iscsi/pdu"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// receiveBytes is how much one read of the socket may return, once reads have filled
// the firstBytes that are enough for a login.
const (
	receiveBytes = 256 << 10
	firstBytes   = 16 << 10
)

// PDU is one received PDU; the slices are copies.
type PDU struct {
	Header    pdu.Header
	AHS, Data []byte
}

// Conn is a bare connection: it sends any PDU and returns the next one received.
// It keeps no rule of the protocol, which is what tests of a target need; Session
// keeps them. A Conn is used by one goroutine at a time.
type Conn struct {
	nc     net.Conn
	framer pdu.Framer
	// buf[r:w] was received and not yet framed.
	buf  []byte
	r, w int
	out  []byte
}

// Connect opens a TCP connection to a portal, without logging in.
func Connect(ctx context.Context, portal string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", withPort(portal))
	if err != nil {
		return nil, fmt.Errorf("initiator: connect to portal %s: %w", portal, err)
	}
	return NewConn(nc), nil
}

// NewConn wraps a connection that is already open.
func NewConn(nc net.Conn) *Conn { return &Conn{nc: nc, buf: make([]byte, firstBytes)} }

// SetDigests says which digests travel from now on, in both directions.
func (c *Conn) SetDigests(header, data bool) {
	c.framer.HeaderDigest, c.framer.DataDigest = header, data
}

// SetDeadline bounds Send and Receive; the zero time removes the bound.
func (c *Conn) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }

// Close closes the connection without a logout.
func (c *Conn) Close() error { return c.nc.Close() }

// Send sends one PDU. It writes the two length fields of h, pads and adds digests;
// everything else in h is the caller's. Lengths are in bytes; ahs is a multiple of
// four.
func (c *Conn) Send(h *pdu.Header, ahs, data []byte) error {
	h.SetAHSBytes(len(ahs))
	h.SetDataBytes(len(data))
	c.out = appendPDU(c.out[:0], h, ahs, data, c.framer.HeaderDigest, c.framer.DataDigest)
	return c.SendBytes(c.out)
}

// SendBytes sends bytes as they are.
func (c *Conn) SendBytes(b []byte) error {
	if _, err := c.nc.Write(b); err != nil {
		return fmt.Errorf("send to %v: %w", c.nc.RemoteAddr(), err)
	}
	return nil
}

// Receive returns the next PDU, its digests checked: a wrong one is ErrDigest, and
// the connection is of no use after it.
func (c *Conn) Receive() (PDU, error) {
	var p PDU
	var crc uint32
	for {
		ev, n := c.framer.Next(c.buf[c.r:c.w])
		c.r += n
		switch ev {
		case pdu.EventMore:
			if err := c.fill(); err != nil {
				return p, err
			}
		case pdu.EventHeader:
			if err := checkHeader(&c.framer); err != nil {
				return p, err
			}
			p.Header = *c.framer.Header()
			p.AHS = append([]byte(nil), c.framer.AHS()...)
			if p.Header.DataBytes() == 0 {
				return p, nil
			}
		case pdu.EventPiece:
			p.Data = append(p.Data, c.framer.Piece()...)
			crc = crc32.Update(crc, castagnoli, c.framer.Piece())
		case pdu.EventEnd:
			return p, checkData(&c.framer, crc)
		}
	}
}

// fill reads more bytes; what was framed before is given up. A read that filled the
// buffer makes room for more.
func (c *Conn) fill() error {
	if c.w == len(c.buf) && c.w < receiveBytes {
		c.buf = make([]byte, receiveBytes)
	}
	n, err := c.nc.Read(c.buf)
	c.r, c.w = 0, n
	if n > 0 {
		return nil
	}
	return fmt.Errorf("receive from %v: %w", c.nc.RemoteAddr(), err)
}

// checkHeader compares the header digest of the EventHeader just seen.
func checkHeader(f *pdu.Framer) error {
	if f.HeaderDigest && crc32.Checksum(f.Covered(), castagnoli) != f.HeaderCRC() {
		return fmt.Errorf("header %w", ErrDigest)
	}
	return nil
}

// checkData compares the data digest of the EventEnd just seen. RFC 3720 §12.1
// [R-12.1-3]: the padding is covered.
func checkData(f *pdu.Framer, crc uint32) error {
	if f.DataDigest && crc32.Update(crc, castagnoli, f.Padding()) != f.DataCRC() {
		return fmt.Errorf("data %w", ErrDigest)
	}
	return nil
}

// appendPDU writes one PDU behind dst; h carries its lengths already.
func appendPDU(dst []byte, h *pdu.Header, ahs, data []byte, headerDigest, dataDigest bool) []byte {
	dst = appendHead(dst, h, ahs, headerDigest)
	if len(data) == 0 {
		return dst
	}
	return appendTail(append(dst, data...), data, dataDigest)
}

// appendHead writes what stands before the data of a PDU. Digests stand lowest byte
// first (RFC 3720 §12.1).
func appendHead(dst []byte, h *pdu.Header, ahs []byte, digest bool) []byte {
	start := len(dst)
	dst = append(append(dst, h[:]...), ahs...)
	if digest {
		dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	}
	return dst
}

// appendTail writes what stands behind the data of a PDU: padding, which is zero
// (RFC 3720 §10.1 [R-10.1-1]), and the digest of both.
func appendTail(dst, data []byte, digest bool) []byte {
	var zero [3]byte
	start := len(dst)
	dst = append(dst, zero[:pdu.PadBytes(len(data))]...)
	if digest {
		crc := crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, dst[start:])
		dst = binary.LittleEndian.AppendUint32(dst, crc)
	}
	return dst
}
