package engine

import (
	"log/slog"
	"time"

	"lunar/lun/blk"
	"lunar/lun/block"
)

// watchTime is how often a medium is looked at.
const watchTime = time.Second

// looker is a medium that may get another size, go and come back by itself.
type looker interface {
	Look() (block.Sight, error)
}

// watch looks after one medium beside the reactors, since a look may wait for a disk. It
// tells the unit's home what has changed.
type watch struct {
	e *Engine
	u *unit
	// looker and meter are nil for a medium that is none.
	looker looker
	meter  blk.Meter
	// told is the size that the unit knows, usage what it knows of its store.
	told  int64
	usage blk.Usage
	// complaint is the trouble that was logged last: it is logged once.
	complaint   string
	end, ending chan struct{}
}

// watch starts to look after the medium of a unit that is attached everywhere.
func (e *Engine) watch(u *unit) {
	w := &watch{e: e, u: u, told: u.medium.Info().Bytes, end: make(chan struct{}), ending: make(chan struct{})}
	w.looker, _ = u.medium.store.(looker)
	w.meter, _ = u.medium.store.(blk.Meter)
	if w.looker == nil && w.meter == nil {
		return
	}
	u.watch = w
	go w.run()
}

// stop returns when nothing looks at the medium any more.
func (w *watch) stop() {
	if w != nil {
		close(w.end)
		<-w.ending
	}
}

func (w *watch) run() {
	defer close(w.ending)
	t := time.NewTicker(watchTime)
	defer t.Stop()
	for {
		w.look()
		select {
		case <-w.end:
			return
		case <-w.e.stopping:
			return
		case <-w.e.over:
			return
		case <-t.C:
		}
	}
}

func (w *watch) look() {
	var trouble error
	if w.looker != nil {
		trouble = w.lookAt()
	}
	if w.meter != nil {
		if err := w.measure(); trouble == nil {
			trouble = err
		}
	}
	if trouble == nil {
		w.complaint = ""
	} else if s := trouble.Error(); s != w.complaint {
		w.complaint = s
		slog.Warn("a medium cannot be looked after as it should", "medium", w.u.medium.Describe(), "error", s)
	}
}

// lookAt follows a device.
func (w *watch) lookAt() error {
	sight, err := w.looker.Look()
	switch sight {
	case block.Lost:
		slog.Error("the device of a unit is gone; its commands end with NOT READY", "medium", w.u.medium.Describe())
		w.present(false)
	case block.Returned:
		slog.Warn("the device of a unit is there again; what it had only in its cache may be lost", "medium", w.u.medium.Describe())
		w.present(true)
	case block.Same, block.Resized:
	}
	return w.resized(err)
}

// resized tells the unit of the size that its medium has now. A unit that does not come to
// rest is told at another look. Behind a cache the size stays what it was.
func (w *watch) resized(err error) error {
	info := w.u.medium.Info()
	if info.Bytes == w.told || !w.e.resizeUnit(w.u, info) {
		return err
	}
	slog.Info("size of a unit", "medium", w.u.medium.Describe(), "bytes", info.Bytes, "before", w.told)
	w.told = info.Bytes
	return err
}

// present tells the unit whether its medium can be reached.
func (w *watch) present(is bool) {
	home := w.e.cores[w.u.lun.Home()]
	w.e.on(home, func() { home.local.Present(w.u.lun, is) })
}

// measure tells the unit what it takes of its store, when that has changed.
func (w *watch) measure() error {
	now, err := w.meter.Usage()
	if err != nil {
		now = blk.Usage{}
	}
	if now == w.usage {
		return err
	}
	w.usage = now
	home := w.e.cores[w.u.lun.Home()]
	w.e.on(home, func() { home.local.Used(w.u.lun, now) })
	return err
}
