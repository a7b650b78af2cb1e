package engine

import (
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
}

// keepers are the writes of all units that are under way.
type keepers struct{ sync.WaitGroup }

// restore gives a device server the state that was kept of its unit, and returns who will
// keep it.
func (e *Engine) restore(u Unit, device *scsi.Device) (*keeper, error) {
	name, err := stateName(u)
	if err != nil {
		return nil, err
	}
	k := &keeper{e: e, name: u.Name, path: filepath.Join(e.cfg.State, "kept", name)}
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
	return k, k.first(device)
}

// first keeps how a unit is formatted at first, so that it stays so whatever the
// configuration says later.
func (k *keeper) first(device *scsi.Device) error {
	state := device.First()
	if state == nil {
		return nil
	}
	return writeDurably(k.path, state)
}

// Keep implements lun.Keeper. The write may take as long as the disk likes, so it has a
// goroutine of its own; a unit asks for one at a time.
func (k *keeper) Keep(u *lun.Unit, state []byte) {
	k.e.keepers.Add(1)
	go func() {
		defer k.e.keepers.Done()
		err := writeDurably(k.path, state)
		if err != nil {
			slog.Error("the state of a unit cannot be kept; its command fails", "unit", k.name, "error", err)
		}
		home := k.e.cores[u.Home()]
		k.e.on(home, func() { home.local.Kept(u, err == nil) })
	}()
}
