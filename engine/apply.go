package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"lunar/lun"
	"lunar/reactor/host"
	"lunar/scsi"
)

// unit is a logical unit with its medium.
type unit struct {
	cfg    Unit
	medium medium
	lun    *lun.Unit
	// watch looks after the medium, nil when there is nothing to look at.
	watch *watch
}

// Apply changes a running engine to another configuration: it adds, removes and
// resizes units, targets, access rules and portals, and leaves sessions alone that
// none of it concerns. A configuration that is wrong, or whose files or addresses
// cannot be had, changes nothing.
func (e *Engine) Apply(cfg Config) error {
	if err := cfg.Check(); err != nil {
		return err
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	select {
	case <-e.stopping:
		return errStopped
	case <-e.over:
		return errStopped
	default:
	}
	if err := e.fixed(&cfg); err != nil {
		return err
	}
	return e.change(cfg)
}

// errStopped is for who comes too late.
var errStopped = errors.New("the target stops; start it again")

// fixed refuses a change of what stays for the life of an engine.
func (e *Engine) fixed(cfg *Config) error {
	const remedy = "restart the daemon to change it, or put it back"
	switch {
	case !slices.Equal(cfg.CPUs, e.cfg.CPUs):
		return wrong("reactors", "the reactors are fixed while the target runs; %s", remedy)
	case cfg.Ring != e.cfg.Ring || cfg.Poll != e.cfg.Poll:
		return wrong("reactors", "ring and poll are fixed while the target runs; %s", remedy)
	case cfg.State != e.cfg.State:
		return wrong("state", "the state directory is fixed while the target runs; %s", remedy)
	case cfg.Limits != e.cfg.Limits:
		return wrong("limits", "limits are fixed while the target runs; %s", remedy)
	}
	return nil
}

// change is what leads from one configuration to another.
type change struct {
	e   *Engine
	cfg Config
	// units and portals are those of the new configuration.
	units   map[string]*unit
	portals []*portal
	// The rest is of one kind each.
	opened  []*unit
	resized []resize
	bound   []*portal
}

// resize is a unit whose medium has another size now.
type resize struct {
	u      *unit
	before int64
}

func (e *Engine) change(cfg Config) error {
	cfg.Units = slices.Clone(cfg.Units) // what comes of it may differ
	c := &change{e: e, cfg: cfg, units: map[string]*unit{}}
	// What may fail comes first, and nothing that serves is touched by it.
	err := c.openUnits()
	if err == nil {
		err = c.bindPortals()
	}
	if err == nil {
		err = c.growFiles()
	}
	if err != nil {
		return errors.Join(err, c.undo())
	}
	return c.commit()
}

// openUnits finds every unit among those that serve, or opens it.
func (c *change) openUnits() error {
	serving := map[string]*unit{}
	for _, u := range c.e.units {
		serving[u.cfg.key()] = u
	}
	for i, cfg := range c.cfg.Units {
		u := serving[cfg.key()]
		if u == nil {
			var err error
			if u, err = c.openUnit(cfg); err != nil {
				return wrong(fmt.Sprintf("unit[%d]", i), "unit %q: %s", cfg.Name, err)
			}
		} else if err := u.mayBecome(cfg); err != nil {
			return wrong(fmt.Sprintf("unit[%d]", i), "unit %q: %s", cfg.Name, err)
		}
		c.units[cfg.Name] = u
	}
	return nil
}

func (c *change) openUnit(cfg Unit) (*unit, error) {
	m, err := openMedium(cfg)
	if err != nil {
		return nil, err
	}
	u := &unit{cfg: cfg, medium: m}
	c.opened = append(c.opened, u)
	id, err := c.e.unitIdentity(cfg)
	if err != nil {
		return nil, err
	}
	id.Status = c.e.cfg.Status
	// Units are spread over the reactors; commands from elsewhere come by message.
	home := (len(c.e.units) + len(c.opened) - 1) % len(c.e.cores)
	info := m.Info()
	device := scsi.New(scsi.Config{
		Info: info, Identity: id, Keeps: true, Intends: cfg.Medium.hasPath() && !cfg.Protects, Removable: cfg.Removable,
		OptimalTransferBytes: int64(info.OptimalBytes), Protection: cfg.Protection, TokenSeed: tokenSeed(),
	})
	keeper, err := c.e.restore(cfg, device)
	if err != nil {
		return nil, err
	}
	if err := keeper.resume(cfg, info.Bytes); err != nil {
		return nil, err
	}
	u.lun = lun.NewUnit(home, device, m.Backend)
	u.lun.KeepBy(keeper)
	return u, nil
}

// tokenSeed is another one for each unit and start.
func tokenSeed() (seed [32]byte) {
	chance(seed[:])
	return seed
}

// key is what makes two units of two configurations the same one: the file or device, or
// the name of a unit without one.
func (u *Unit) key() string {
	if !u.Medium.hasPath() {
		return string(u.Medium) + ":" + u.Name
	}
	p, err := filepath.Abs(u.Path)
	if err != nil {
		p = u.Path
	}
	return string(u.Medium) + ":" + p
}

// mayBecome says whether a unit that serves can be as another configuration has it.
func (u *unit) mayBecome(cfg Unit) error {
	now := u.cfg
	now.Name, now.Path, now.Bytes = cfg.Name, cfg.Path, cfg.Bytes
	if now != cfg {
		return errors.New("only name and size of a unit change while it serves; remove it, reload, and add it as it is to be")
	}
	if !u.resizes(cfg) {
		return nil
	}
	if _, can := u.medium.Backend.(resizer); !can {
		return fmt.Errorf("%s keeps its size while it serves; only a file without cache changes it", u.medium.Describe())
	}
	return nil
}

// resizer is a medium whose size may change while it serves.
type resizer interface{ Resize(bytes int64) error }

func (u *unit) resizes(cfg Unit) bool { return cfg.Bytes != 0 && cfg.Bytes != u.medium.Info().Bytes }

// growFiles makes files larger; smaller ones are cut when nobody reads behind the
// new end any more.
func (c *change) growFiles() error {
	for i, cfg := range c.cfg.Units {
		u := c.units[cfg.Name]
		if !u.resizes(cfg) {
			continue
		}
		before := u.medium.Info().Bytes
		if cfg.Bytes > before {
			if err := u.medium.Backend.(resizer).Resize(cfg.Bytes); err != nil {
				return wrong(fmt.Sprintf("unit[%d].size", i), "unit %q: %s", cfg.Name, err)
			}
		}
		c.resized = append(c.resized, resize{u, before})
	}
	return nil
}

// undo takes back what was prepared.
func (c *change) undo() (err error) {
	for _, r := range c.resized {
		if r.u.medium.Info().Bytes != r.before {
			err = errors.Join(err, r.u.medium.Backend.(resizer).Resize(r.before))
		}
	}
	for _, u := range c.opened {
		err = errors.Join(err, u.medium.Close())
	}
	for _, p := range c.bound {
		for _, fd := range p.fds {
			err = errors.Join(err, host.CloseFD(fd))
		}
	}
	return err
}

// commit carries the change out. New units can be reached before anyone finds them,
// and old ones are found by nobody before they go; portals open last.
func (c *change) commit() error {
	e := c.e
	for _, u := range c.opened {
		for _, k := range e.cores {
			e.on(k, func() { k.attach(u) })
		}
		home := e.cores[u.lun.Home()]
		e.on(home, func() {
			home.local.SetAccess(u.lun, e.access)
			home.local.Resume(u.lun)
		})
		e.watch(u)
	}
	addresses := map[uint16][]string{}
	for _, p := range c.portals {
		addresses[p.tag] = append(addresses[p.tag], p.bound)
	}
	next := newCatalog(&c.cfg, c.units, addresses, e.absent, e.catalog)
	for _, k := range e.cores {
		e.on(k, func() { k.adoptCatalog(next) })
	}
	c.setAccess()
	err := c.resizeUnits()
	before := e.units
	e.cfg, e.catalog, e.units = c.cfg, next, c.units
	for i := range c.cfg.Units {
		c.units[c.cfg.Units[i].Name].cfg = c.cfg.Units[i]
	}
	err = errors.Join(err, e.retire(before))
	e.movePortals(c.portals)
	e.show()
	return err
}

// setAccess tells every unit the states of the portal groups.
func (c *change) setAccess() {
	var states []scsi.GroupAccess
	for _, g := range c.cfg.Groups {
		if g.Access != scsi.Optimized || g.Preferred {
			states = append(states, scsi.GroupAccess{Group: g.Tag, State: g.Access, Preferred: g.Preferred})
		}
	}
	if slices.Equal(states, c.e.access) {
		return // what initiators have set stays
	}
	c.e.access = states
	for _, u := range c.units {
		home := c.e.cores[u.lun.Home()]
		c.e.on(home, func() { home.local.SetAccess(u.lun, states) })
	}
}

// on runs f on a core, between two pieces of its work, and waits for its end. On a
// core that has ended it does not run.
func (e *Engine) on(k *core, f func()) {
	done := make(chan struct{})
	// Whatever f meets, somebody waits for its end and keeps others waiting.
	e.tell(k, &control{run: func() { defer close(done); f() }})
	select {
	case <-done:
	case <-k.gone:
	}
}
