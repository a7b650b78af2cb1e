package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"lunar/lun/blk"
)

// What is here is the part of a change that waits for commands to end: units that get
// another size, and units that go.

// resizeUnits tells units of their new size, and cuts files that became smaller. A
// unit that does not come to rest keeps its size, in the configuration too.
func (c *change) resizeUnits() (err error) {
	for n := range c.cfg.Units {
		cfg := &c.cfg.Units[n]
		u := c.units[cfg.Name]
		i := slices.IndexFunc(c.resized, func(r resize) bool { return r.u == u })
		if i < 0 {
			continue
		}
		before := c.resized[i].before
		info := u.medium.Info()
		info.Bytes = cfg.Bytes
		changed := c.e.resizeUnit(u, info)
		if !changed {
			err = errors.Join(err, fmt.Errorf("unit %q keeps its %d bytes: commands on it do not end; reload again when they have", cfg.Name, before))
			cfg.Bytes = before
		}
		if u.medium.Info().Bytes > cfg.Bytes {
			err = errors.Join(err, u.medium.Backend.(resizer).Resize(cfg.Bytes))
		}
		slog.Info("size of a unit", "unit", cfg.Name, "bytes", cfg.Bytes, "changed", changed)
	}
	return err
}

// resizeUnit is false when the unit does not come to rest within the bound; then it
// stays as it was, for meanwhile nobody's commands begin.
func (e *Engine) resizeUnit(u *unit, info blk.Info) (done bool) {
	home := e.cores[u.lun.Home()]
	e.on(home, func() { home.local.Resize(u.lun, info) })
	look := func() bool {
		e.on(home, func() { done = u.lun.Info().Bytes == info.Bytes })
		return done
	}
	if e.eventually(look) {
		return true
	}
	e.on(home, func() {
		if done = u.lun.Info().Bytes == info.Bytes; !done {
			home.local.KeepSize(u.lun)
		}
	})
	return done
}

// retire closes the units that the new configuration has no more.
func (e *Engine) retire(before map[string]*unit) (err error) {
	kept := map[*unit]bool{}
	for _, u := range e.units {
		kept[u] = true
	}
	for name, u := range before {
		if kept[u] {
			continue
		}
		u.lun.Retire()
		if !e.eventually(func() bool { return e.idleEverywhere(u) }) {
			// Closing it would pull a medium from under a command.
			slog.Error("a unit that was removed has commands that do not end; it stays open until the target stops", "unit", name)
			e.units["removed "+name] = u
			continue
		}
		u.watch.stop()
		for _, k := range e.cores {
			e.on(k, func() { k.local.Detach(u.lun) })
		}
		if cerr := u.medium.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("unit %q: %w", name, cerr))
		}
		slog.Info("unit removed", "unit", name)
	}
	return err
}

func (e *Engine) idleEverywhere(u *unit) bool {
	idle := true
	for _, k := range e.cores {
		e.on(k, func() { idle = idle && k.local.Idle(u.lun) })
	}
	return idle
}

// restTime is how long a change waits for commands to end.
const restTime = 10 * time.Second

// eventually asks until the answer is yes, time is up, or the target stops.
func (e *Engine) eventually(f func() bool) bool {
	for end := time.Now().Add(e.rest); ; {
		if f() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		select {
		case <-time.After(time.Millisecond):
		case <-e.stopping:
			return false
		case <-e.over:
			return false
		}
	}
}
