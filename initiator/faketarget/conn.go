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
	// h and data are the request being received.
	h    pdu.Header
	data []byte

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
	kept   []reply // of levels above 0: all of them
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
	for {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		goesOn := c.consume(buf[:n])
		c.Flush()
		if !goesOn {
			return
		}
	}
}

// consume frames received bytes and answers what is complete; false ends the
// connection.
func (c *Conn) consume(p []byte) bool {
	for {
		ev, used := c.f.Next(p)
		p = p[used:]
		ended := ev == pdu.EventEnd
		switch ev {
		case pdu.EventMore:
			return true
		case pdu.EventHeader:
			c.h, c.data = *c.f.Header(), c.data[:0]
			if c.f.HeaderDigest && crc32.Checksum(c.f.Covered(), castagnoli) != c.f.HeaderCRC() {
				c.t.fault("header digest of %v is wrong", c.h.Opcode())
				return false
			}
			ended = c.h.DataBytes() == 0
		case pdu.EventPiece:
			c.data = append(c.data, c.f.Piece()...)
		case pdu.EventEnd:
			if c.f.DataDigest && c.crc() != c.f.DataCRC() {
				c.t.fault("data digest of %v is wrong", c.h.Opcode())
			}
		}
		if ended && !c.handle(&c.h, c.data) {
			return false
		}
	}
}

func (c *Conn) crc() uint32 {
	return crc32.Update(crc32.Checksum(c.data, castagnoli), castagnoli, c.f.Padding())
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
	if c.full && c.number("ErrorRecoveryLevel", 0) > 0 {
		c.kept = append(c.kept, reply{*h, append([]byte(nil), data...), status})
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
