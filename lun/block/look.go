package block

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Sight is what a look at the device found.
type Sight uint8

// Sights.
const (
	// Same: as it was.
	Same Sight = iota
	// Resized: it has another size, which Info says.
	Resized
	// Lost: it has gone. Requests end as NotReady.
	Lost
	// Returned: it is there again, and served. What was in its volatile cache may be lost.
	Returned
)

// Look finds out whether the device has another size, has gone, or is there again. A
// device that is there again but cannot be had is an error, each time it is looked at.
func (b *Backend) Look() (Sight, error) {
	bytes, err := b.whole()
	here := err == nil && bytes > 0 && b.node.there()
	switch {
	case !here && !b.Lost():
		b.Lose()
		return Lost, nil
	case !here:
		return b.recover()
	case b.Lost():
		// It had no size, as drives do without a medium, and has one again.
		b.SetBytes(bytes)
		b.Regain()
		return Returned, nil
	case bytes != b.Info().Bytes:
		b.SetBytes(bytes)
		return Resized, nil
	}
	return Same, nil
}

// whole is the size of the device in whole blocks, in bytes.
func (b *Backend) whole() (int64, error) {
	size, err := b.Size()
	return size - size%int64(b.Info().BlockBytes), err
}

// errStranger says that a path leads to another device than it did.
var errStranger = errors.New("another device is there now; bring the right one back, or restart the target to serve this one")

// recover looks for the device under its path. Only one that says it is the same is taken:
// to serve another disk under the identity of a unit would destroy the data of both.
func (b *Backend) recover() (Sight, error) {
	n, err := find(b.path)
	if err != nil {
		return Same, nil // still gone
	}
	if b.named == "" {
		return Same, fmt.Errorf("open %s: a device is there again but does not say which one it is; restart the target to serve it", b.path)
	}
	if n.identity() != b.named {
		return Same, fmt.Errorf("open %s: %w", b.path, errStranger)
	}
	fd, err := acquire(b.path, n, 0)
	if errors.Is(err, unix.EBUSY) && n.number == b.node.number {
		return Same, nil // the one we hold, still without a size
	}
	if err != nil {
		return Same, err
	}
	return b.replace(fd, n)
}

// replace has a new descriptor of the device take the place of the old one. Operations
// under way keep the old device; those that begin find the new one.
func (b *Backend) replace(fd int, n node) (sight Sight, err error) {
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	was := b.Info()
	i, err := inspect(fd, n, &Config{BlockBytes: was.BlockBytes})
	if err == nil && i.ReadOnly && !was.ReadOnly {
		err = errors.New("the device is there again, but read-only; make it writable, or restart the target to serve it")
	}
	if err == nil {
		err = unix.Dup3(fd, b.fd, unix.O_CLOEXEC)
	}
	if err != nil {
		return Same, fmt.Errorf("open %s: %w", b.path, err)
	}
	b.node = n
	b.SetBytes(i.Bytes)
	b.Regain()
	return Returned, nil
}
