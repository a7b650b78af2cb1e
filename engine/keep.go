package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"lunar/lun"
	"lunar/scsi"
)

// keeper keeps the state of one unit, which initiators ask to outlive a loss of power, in
// the state directory.
type keeper struct {
	e    *Engine
	name string
	path string
	// writes is where a write that is intended is kept, and intended says that one is.
	writes   string
	intended bool
	// state is what is kept.
	state []byte
}

// keepers are the writes of all units that are under way, and what else waits for a disk off the
// reactors.
type keepers struct{ sync.WaitGroup }

// restore gives a device server the state that was kept of its unit, and returns who will
// keep it.
func (e *Engine) restore(u Unit, device *scsi.Device) (*keeper, error) {
	name, err := stateName(u)
	if err != nil {
		return nil, err
	}
	k := &keeper{
		e: e, name: u.Name, path: filepath.Join(e.cfg.State, "kept", name), writes: filepath.Join(e.cfg.State, "writes", name),
	}
	b, err := os.ReadFile(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k, k.first(device)
	case err != nil:
		return nil, fmt.Errorf("state: %w; make the state directory readable or give another --state", err)
	}
	if err := device.Restore(b); err != nil {
		// Starting without would give the unit to hosts that others had fenced off.
		return nil, fmt.Errorf("%s holds no state of a unit: %w; restore it, or remove it to start without reservations", k.path, err)
	}
	k.state = b
	return k, k.first(device)
}

// first keeps how a unit is formatted at first, so that it stays so whatever the
// configuration says later.
func (k *keeper) first(device *scsi.Device) error {
	state := device.First()
	if state == nil {
		return nil
	}
	if err := writeDurably(k.path, state); err != nil {
		return err
	}
	k.state = state
	return nil
}

// resume carries out the write that was under way when the target ended, before the unit
// serves.
func (k *keeper) resume(u Unit, bytes int64) error {
	b, err := os.ReadFile(k.writes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("state: %w; make the state directory readable or give another --state", err)
	}
	i, err := scsi.ParseIntent(b)
	if err == nil && (!u.Medium.hasPath() || i.Offset < 0 || i.Offset > bytes-int64(len(i.Data))) {
		err = fmt.Errorf("%d bytes at %d are not on a medium of %d", len(i.Data), i.Offset, bytes)
	}
	if err != nil {
		return fmt.Errorf("%s holds no write that was under way: %w; restore it, or remove it if that write may stay half done", k.writes, err)
	}
	if err := writeThrough(u.Path, &i); err != nil {
		return fmt.Errorf("the write that was under way (%s): %w; make the %s writable", k.writes, err, u.Medium.noun())
	}
	slog.Info("a write that was under way is done", "unit", u.Name, "offset", i.Offset, "bytes", len(i.Data))
	return removeDurably(k.writes)
}

// writeThrough carries out an intent, durably.
func writeThrough(path string, i *scsi.Intent) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(i.Data, i.Offset)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeDurably(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// store makes a state and an intent durable. A state that is kept already is not written
// again.
func (k *keeper) store(state []byte, intent *scsi.Intent) (err error) {
	switch {
	case intent != nil:
		k.intended = true
		err = writeDurably(k.writes, intent.Text())
	case k.intended:
		if err = removeDurably(k.writes); err == nil || errors.Is(err, fs.ErrNotExist) {
			k.intended, err = false, nil
		}
	}
	if err != nil || bytes.Equal(state, k.state) {
		return err
	}
	if err = writeDurably(k.path, state); err == nil {
		k.state = state
	}
	return err
}

// Keep implements lun.Keeper. The write may take as long as the disk likes, so it has a
// goroutine of its own; a unit asks for one at a time.
func (k *keeper) Keep(u *lun.Unit, state []byte, intent *scsi.Intent) {
	k.e.keepers.Add(1)
	go func() {
		defer k.e.keepers.Done()
		err := k.store(state, intent)
		if err != nil {
			slog.Error("the state of a unit cannot be kept; its command fails", "unit", k.name, "error", err)
		}
		home := k.e.cores[u.Home()]
		k.e.on(home, func() { home.local.Kept(u, err == nil) })
	}()
}
