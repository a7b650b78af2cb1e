package initiator

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"lunar/scsi/sam"
)

// Opcodes that a Disk uses (SBC-3 §5, SPC-4 §6).
const (
	opTestUnitReady     = 0x00
	opReadCapacity10    = 0x25
	opUnmap             = 0x42
	opRead16            = 0x88
	opWrite16           = 0x8a
	opSynchronizeCache  = 0x91
	opServiceActionIn16 = 0x9e
	serviceCapacity16   = 0x10
)

// attentions is how many unit attentions in a row OpenDisk takes from a unit.
const attentions = 8

// transferBytes is the most one command of a Disk moves; a longer transfer is cut.
const transferBytes = 1 << 20

// Disk is one logical unit seen as bytes. Offsets and lengths are in bytes and must
// be multiples of BlockBytes. Its methods may be called by any goroutine.
type Disk struct {
	s   *Session
	lun sam.LUN
	// blockBytes and blocks are what the unit said when it was opened.
	blockBytes int
	blocks     uint64
}

var (
	_ io.ReaderAt = (*Disk)(nil)
	_ io.WriterAt = (*Disk)(nil)
)

// OpenDisk makes unit number lun ready for use: it takes the unit attentions that
// wait for a new nexus and asks for the capacity.
func OpenDisk(ctx context.Context, s *Session, lun uint16) (*Disk, error) {
	d := &Disk{s: s, lun: sam.LUNOf(lun)}
	if err := d.settle(ctx); err != nil {
		return nil, fmt.Errorf("initiator: open unit %d of %s: %w", lun, s.cfg.Target, err)
	}
	if err := d.readCapacity(ctx); err != nil {
		return nil, fmt.Errorf("initiator: capacity of unit %d of %s: %w", lun, s.cfg.Target, err)
	}
	return d, nil
}

// settle repeats TEST UNIT READY while the unit has attentions to report (SAM-5
// §5.14).
func (d *Disk) settle(ctx context.Context) error {
	var err error
	for range attentions {
		err = d.run(ctx, Command{CDB: []byte{opTestUnitReady, 0, 0, 0, 0, 0}})
		if !hasKey(err, sam.UnitAttention) {
			return err
		}
	}
	return err
}

// readCapacity asks with READ CAPACITY(16), and with (10) where that is unknown.
func (d *Disk) readCapacity(ctx context.Context) error {
	blocks, size, err := d.ReadCapacity16(ctx)
	if hasKey(err, sam.IllegalRequest) {
		var data [8]byte
		cdb := [10]byte{opReadCapacity10}
		err = d.run(ctx, Command{CDB: cdb[:], In: data[:]})
		blocks = uint64(binary.BigEndian.Uint32(data[:])) + 1
		size = int(binary.BigEndian.Uint32(data[4:]))
	}
	if err != nil {
		return err
	}
	if size < 512 || size > 1<<16 || size&(size-1) != 0 {
		return fmt.Errorf("block length %d is not a power of two from 512 to 65536", size)
	}
	d.blocks, d.blockBytes = blocks, size
	return nil
}

// hasKey says whether err is a command's sense with this key.
func hasKey(err error, key sam.SenseKey) bool {
	var e *SCSIError
	return errors.As(err, &e) && e.Key == key
}

// ReadCapacity16 asks the unit for its number of blocks and their length in bytes
// (SBC-3 §5.16).
func (d *Disk) ReadCapacity16(ctx context.Context) (blocks uint64, blockBytes int, err error) {
	var data [32]byte
	cdb := [16]byte{opServiceActionIn16, serviceCapacity16, 13: byte(len(data))}
	if err := d.run(ctx, Command{CDB: cdb[:], In: data[:]}); err != nil {
		return 0, 0, err
	}
	return binary.BigEndian.Uint64(data[:]) + 1, int(binary.BigEndian.Uint32(data[8:])), nil
}

// Bytes is the capacity, and BlockBytes the logical block length.
func (d *Disk) Bytes() int64 { return int64(d.blocks) * int64(d.blockBytes) }

// BlockBytes is the logical block length in bytes.
func (d *Disk) BlockBytes() int { return d.blockBytes }

// LUN is the unit's address.
func (d *Disk) LUN() sam.LUN { return d.lun }

// Session is the session the disk uses.
func (d *Disk) Session() *Session { return d.s }

// run runs a command and makes a *SCSIError of a status other than GOOD.
func (d *Disk) run(ctx context.Context, c Command) error {
	c.LUN = d.lun
	c.Attribute = sam.Simple
	r, err := d.s.Do(ctx, c)
	if err != nil {
		return err
	}
	return r.Error(c.CDB[0])
}

// Error is nil for GOOD and a *SCSIError otherwise.
func (r Result) Error(opcode byte) error {
	if r.Status == sam.Good {
		return nil
	}
	e := &SCSIError{Opcode: opcode, Status: r.Status, Sense: r.Sense}
	e.Key, e.Code = parseSense(r.Sense)
	return e
}

// ReadAt implements io.ReaderAt with READ(16).
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	return d.ReadAtContext(context.Background(), p, off)
}

// WriteAt implements io.WriterAt with WRITE(16).
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	return d.WriteAtContext(context.Background(), p, off)
}

// ReadAtContext is ReadAt that ends with ctx.
func (d *Disk) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	return d.transfer(opRead16, p, off, func(c *Command, part []byte) error {
		c.In = part
		return d.run(ctx, *c)
	})
}

// WriteAtContext is WriteAt that ends with ctx.
func (d *Disk) WriteAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	return d.transfer(opWrite16, p, off, func(c *Command, part []byte) error {
		c.Out = part
		return d.run(ctx, *c)
	})
}

// transfer cuts p into commands and runs them one after the other.
func (d *Disk) transfer(opcode byte, p []byte, off int64, do func(*Command, []byte) error) (int, error) {
	if err := d.checkRange(off, int64(len(p))); err != nil {
		return 0, err
	}
	for n := 0; n < len(p); {
		part := p[n:min(n+transferBytes, len(p))]
		cdb := d.BlockCDB(opcode, off+int64(n), len(part))
		if err := do(&Command{CDB: cdb[:]}, part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return len(p), nil
}

func (d *Disk) checkRange(off, n int64) error {
	if mask := int64(d.blockBytes) - 1; off&mask != 0 || n&mask != 0 {
		return fmt.Errorf("initiator: %d bytes at %d are not whole blocks of %d", n, off, d.blockBytes)
	}
	if off < 0 || n > d.Bytes() || off > d.Bytes()-n {
		return fmt.Errorf("initiator: %d bytes at %d of a unit of %d: %w", n, off, d.Bytes(), io.EOF)
	}
	return nil
}

// BlockCDB is a CDB of the READ(16) shape: a transfer of n bytes at byte off.
func (d *Disk) BlockCDB(opcode byte, off int64, n int) [16]byte {
	cdb := [16]byte{opcode}
	binary.BigEndian.PutUint64(cdb[2:], uint64(off)/uint64(d.blockBytes))
	binary.BigEndian.PutUint32(cdb[10:], uint32(n/d.blockBytes))
	return cdb
}

// Sync flushes the unit's volatile cache (SYNCHRONIZE CACHE(16), SBC-3 §5.27).
func (d *Disk) Sync(ctx context.Context) error {
	cdb := [16]byte{opSynchronizeCache}
	return d.run(ctx, Command{CDB: cdb[:]})
}

// Unmap gives up n bytes at off (UNMAP with one descriptor, SBC-3 §5.28).
func (d *Disk) Unmap(ctx context.Context, off, n int64) error {
	if err := d.checkRange(off, n); err != nil {
		return err
	}
	blocks := n / int64(d.blockBytes)
	if blocks > 1<<32-1 {
		return fmt.Errorf("initiator: unmap of %d blocks; one descriptor holds 2^32-1", blocks)
	}
	var list [24]byte
	binary.BigEndian.PutUint16(list[0:], uint16(len(list)-2))
	binary.BigEndian.PutUint16(list[2:], 16)
	binary.BigEndian.PutUint64(list[8:], uint64(off)/uint64(d.blockBytes))
	binary.BigEndian.PutUint32(list[16:], uint32(blocks))
	cdb := [10]byte{opUnmap, 8: byte(len(list))}
	return d.run(ctx, Command{CDB: cdb[:], Out: list[:]})
}
