package echo

import (
	"fmt"
	"os"
	"syscall"

	"lunar/reactor"
)

// deviceMemory is how much memory is read into: as a target does, the same again and again.
const deviceMemory = 64 << 20

// device is what reads are read from; nil for none.
type device struct{ file *os.File }

func openDevice(path string) (*device, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return nil, fmt.Errorf("echo: %w; give a device, or a file on a disk, that may be read past the page cache", err)
	}
	return &device{f}, nil
}

// descriptor is -1 without a device.
func (d *device) descriptor() int32 {
	if d == nil {
		return -1
	}
	return int32(d.file.Fd())
}

func (d *device) Close() error {
	if d == nil {
		return nil
	}
	return d.file.Close()
}

// read is one request that the device has.
type read struct {
	conn   *conn
	header Header
}

// fetch has the device read what requests of a connection ask for.
func (t *turns) fetch(c *conn) {
	for _, h := range c.asked {
		slot := len(t.reads)
		if n := len(t.freeReads); n > 0 {
			slot, t.freeReads = t.freeReads[n-1], t.freeReads[:n-1]
		} else {
			t.reads = append(t.reads, read{})
		}
		t.reads[slot] = read{c, h}
		c.reading++
		t.loop.Submit(reactor.Op{
			Token: reactor.NewToken(kindRead, 0, uint32(slot)), Code: reactor.Read, FD: t.device,
			Data: c.data(h), Offset: int64(h.Offset),
		})
	}
	c.asked = c.asked[:0]
}

// fetched takes the end of a read. A connection whose data cannot be had ends.
func (t *turns) fetched(x reactor.Completion) *conn {
	r := &t.reads[x.Token.Index()]
	c := r.conn
	c.reading--
	if x.Result == int32(r.header.Length) {
		c.owed = append(c.owed, r.header)
	} else {
		c.dead = true
	}
	*r = read{}
	t.freeReads = append(t.freeReads, int(x.Token.Index()))
	return c
}
