package faketarget

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"strconv"
	"sync"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Conn is one connection of a Target.
type Conn struct {
	t  *Target
	nc net.Conn
	f  pdu.Framer

	// heard is what the initiator said in login, and agreed what followed.
	heard, agreed map[string]string
	full          bool
	// sent is how many Data-In went before a SCSI Response.
	sent uint32
	// medium is what a READ copied from the disk.
	medium []byte

	// mu guards what a test may touch from outside: numbers and outgoing bytes.
	mu     sync.Mutex
	statSN serial.StatSN
	cmdSN  serial.CmdSN // expected
	closed bool         // the window, by Config.Hold
	out    []byte
	writes map[pdu.ITT]*write
	tag    pdu.TTT
}

func newConn(t *Target, nc net.Conn) *Conn {
	return &Conn{
		t: t, nc: nc, heard: make(map[string]string), agreed: make(map[string]string), statSN: serial.Stat(1000),
		closed: t.cfg.Hold, writes: make(map[pdu.ITT]*write),
	}
}

// Open opens a window that Config.Hold kept shut, and says so with a NOP-In.
func (c *Conn) Open() {
	c.mu.Lock()
	c.closed = false
	c.mu.Unlock()
	var h pdu.Header
	h.SetOpcode(pdu.OpNOPIn)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(pdu.NoTag)
	pdu.AsNOPIn(&h).SetTTT(pdu.NoTag)
	c.Send(&h, nil, false)
	c.Flush()
}

// Close drops the connection.
func (c *Conn) Close() { _ = c.nc.Close() }

func (c *Conn) number(key string, fallback int) int {
	n, err := strconv.Atoi(c.agreed[key])
	if err != nil {
		return fallback
	}
	return n
}

// serve reads and answers until the connection ends.
func (c *Conn) serve() {
	defer c.Close()
	buf := make([]byte, 1<<20)
	var h pdu.Header
	var data []byte
	var crc uint32
	for {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		p := buf[:n]
		for more := true; more; {
			ev, used := c.f.Next(p)
			p = p[used:]
			ended := false
			switch ev {
			case pdu.EventMore:
				more = false
			case pdu.EventHeader:
				h, data, crc = *c.f.Header(), data[:0], 0
				if c.f.HeaderDigest && crc32.Checksum(c.f.Covered(), castagnoli) != c.f.HeaderCRC() {
					c.t.fault("header digest of %v is wrong", h.Opcode())
					return
				}
				ended = h.DataBytes() == 0
			case pdu.EventPiece:
				data = append(data, c.f.Piece()...)
				crc = crc32.Update(crc, castagnoli, c.f.Piece())
			case pdu.EventEnd:
				ended = true
				if c.f.DataDigest && crc32.Update(crc, castagnoli, c.f.Padding()) != c.f.DataCRC() {
					c.t.fault("data digest of %v is wrong", h.Opcode())
				}
			}
			if ended && !c.handle(&h, data) {
				c.Flush()
				return
			}
		}
		c.Flush()
	}
}

// Send queues a reply. It writes the lengths, the window and, with status, StatSN.
func (c *Conn) Send(h *pdu.Header, data []byte, status bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.SetDataBytes(len(data))
	r := pdu.Response{Header: h}
	last := c.cmdSN.Add(c.t.cfg.Window - 1)
	if c.closed {
		last = serial.Cmd(c.cmdSN.Uint32() - 1)
	}
	r.SetWindow(c.cmdSN, last)
	if status || h.Opcode() == pdu.OpNOPIn || h.Opcode() == pdu.OpR2T {
		r.SetStatSN(c.statSN)
	}
	if status {
		c.statSN = c.statSN.Next()
	}
	fate := Deliver
	if c.t.cfg.Reply != nil && c.full {
		fate = c.t.cfg.Reply(h, data)
	}
	if fate == Lose {
		return
	}
	c.encode(h, data, fate)
}

func (c *Conn) encode(h *pdu.Header, data []byte, fate Fate) {
	start := len(c.out)
	c.out = append(c.out, h[:]...)
	if c.f.HeaderDigest {
		c.out = binary.LittleEndian.AppendUint32(c.out, crc32.Checksum(h[:], castagnoli))
	}
	body := len(c.out)
	c.out = append(c.out, data...)
	c.out = append(c.out, make([]byte, pdu.PadBytes(len(data)))...)
	if c.f.DataDigest && len(data) > 0 {
		c.out = binary.LittleEndian.AppendUint32(c.out, crc32.Checksum(c.out[body:], castagnoli))
	}
	switch {
	case fate == SpoilHeader:
		c.out[start+47] ^= 4
	case fate == SpoilData && len(data) > 0:
		c.out[body+len(data)/2] ^= 4
	}
}

// Flush writes what Send queued.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) > 0 {
		_, _ = c.nc.Write(c.out) // the reader sees a connection that ended
		c.out = c.out[:0]
	}
}
