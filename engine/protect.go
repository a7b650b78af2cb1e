package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/lun/file"
	"lunar/lun/protection"
	"lunar/lun/ram"
	"lunar/reactor"
	"lunar/scsi/pi"
)

// openProtected puts protection information beside a medium: that of memory in memory, that
// of a file in a file. It is the home's alone, which sees all requests.
func openProtected(m medium, l Unit) (medium, error) {
	tuples, err := openTuples(m.Info().Blocks(), l)
	if err != nil {
		return medium{}, err
	}
	memory, err := buf.Alloc(protection.MemoryBytes)
	if err != nil {
		return medium{}, errors.Join(fmt.Errorf("protection information: %w", err), tuples.Close())
	}
	b, err := protection.New(protection.Config{
		Data: m.Backend, Tuples: tuples.Backend, Memory: memory, Free: buf.Free, Lasting: l.Medium == File,
	})
	if err != nil {
		return medium{}, errors.Join(err, tuples.Close(), buf.Free(memory))
	}
	to := medium{Backend: b, store: m.store, queue: func(loop *reactor.Loop, index uint32) blk.Queue {
		return b.NewQueue(m.queue(loop, index), tuples.queue(loop, index))
	}}
	data, grows := m.Backend.(resizer)
	if beside, grow := tuples.Backend.(resizer); grows && grow {
		to.Backend = &protectedFile{Backend: b, data: data, tuples: beside}
	}
	return to, nil
}

// strayTuples refuses a file whose protection information is there and does not belong to
// what it will hold: that of one that is gone, or of one that would be written without it.
func strayTuples(l Unit) error {
	beside := file.TuplesPath(l.Path)
	if has, err := exists(beside); err != nil || !has {
		return err
	}
	has, err := exists(l.Path)
	switch {
	case err != nil:
		return err
	case !has:
		return fmt.Errorf("create %s: %s holds protection information of one that was there; bring that back, or remove %s", l.Path, beside, beside)
	case !l.Protects:
		return fmt.Errorf("open %s: %s holds protection information of it; give the unit protection, or remove that file to give it up", l.Path, beside)
	}
	return nil
}

// exists says whether there is something at path.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for %s: %w", path, err)
	}
	return true, nil
}

// openTuples opens the medium of the protection information of so many blocks.
func openTuples(blocks uint64, l Unit) (medium, error) {
	if l.Medium == File {
		b, err := file.OpenTuples(l.Path, blocks, l.Sync, lockWait)
		if err != nil {
			return medium{}, err
		}
		return medium{Backend: b, queue: func(loop *reactor.Loop, index uint32) blk.Queue {
			return b.NewQueue(besideLoop{loop}, kindDisk, index)
		}}, nil
	}
	const unit = 512 // whole blocks, as a medium in memory has them
	memory, err := buf.Alloc(int(blocks*pi.Bytes+unit-1) &^ (unit - 1))
	if err != nil {
		return medium{}, fmt.Errorf("protection information in ram: %w; give a smaller size", err)
	}
	b, err := ram.New(ram.Config{Memory: memory, BlockBytes: unit, Trim: buf.Trim, Free: buf.Free})
	if err != nil {
		return medium{}, errors.Join(err, buf.Free(memory))
	}
	return medium{Backend: b, queue: func(*reactor.Loop, uint32) blk.Queue { return b.NewQueue() }}, nil
}

// besideLoop starts operations of a second queue of a unit under tokens of its own.
type besideLoop struct{ loop *reactor.Loop }

func (l besideLoop) Submit(op reactor.Op) {
	t := op.Token
	op.Token = reactor.NewToken(t.Kind(), t.Generation(), t.Index()|protection.TuplesSlot)
	l.loop.Submit(op)
}

// protectedFile is a file with protection information, both of which change their size.
type protectedFile struct {
	*protection.Backend
	data, tuples resizer
}

// Resize gives both another size. A block is never without room for its protection
// information: what becomes larger does so after it, and smaller before it.
func (f *protectedFile) Resize(bytes int64) error {
	before := f.Info()
	beside := bytes / int64(before.BlockBytes) * pi.Bytes
	if bytes > before.Bytes {
		if err := f.tuples.Resize(beside); err != nil {
			return err
		}
		return f.data.Resize(bytes)
	}
	if err := f.data.Resize(bytes); err != nil {
		return err
	}
	return f.tuples.Resize(beside)
}
