package engine

import (
	"testing"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// acaWorld is two sessions on two targets that share a unit, held up by an ACA of the
// first.
type acaWorld struct {
	t              *testing.T
	e              *Engine
	one, both      Config
	faulted, other *initiator.Session
}

func newACAWorld(t *testing.T) *acaWorld {
	e, c := twoUnits(t, 2)
	w := &acaWorld{t: t, e: e, one: c, both: again(c)}
	w.both.Targets = append(w.both.Targets, Target{Name: "iqn.2026-11.lunar:two", LUNs: c.Targets[0].LUNs})
	apply(t, e, w.both)
	w.faulted, w.other = enter(t, e, "", "iqn.2026-11.lunar:two"), enter(t, e, "", DefaultTarget)
	for range 4 {
		testReady(t, w.faulted, 0)
		testReady(t, w.other, 0)
	}
	r, err := w.faulted.Do(t.Context(), initiator.Command{CDB: []byte{0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 4}, In: make([]byte, 512)})
	if err != nil || senseCode(r) != 0x2100 {
		t.Fatalf("the fault: %v %04x", err, senseCode(r))
	}
	if s := w.ask(); s != sam.Busy {
		t.Fatalf("another nexus: %02x", s)
	}
	return w
}

// ask is the status that the other session gets.
func (w *acaWorld) ask() sam.Status {
	w.t.Helper()
	r, err := w.other.Do(w.t.Context(), initiator.Command{CDB: make([]byte, 6)})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Status
}

// loseUnit takes the unit out of the map of the faulted session, which goes on.
func (w *acaWorld) loseUnit() {
	less := again(w.both)
	less.Targets[1].LUNs = less.Targets[1].LUNs[1:]
	apply(w.t, w.e, less)
}

// Whatever becomes of the nexus that has an ACA, its unit does not stay blocked for the
// others.
func TestACA_FaultedNexusGoes(t *testing.T) {
	for name, happens := range map[string]func(*acaWorld){
		"the initiator logs out": func(w *acaWorld) {
			if err := w.faulted.Logout(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		},
		"its connection ends": func(w *acaWorld) { _ = w.faulted.Close() },
		"its target goes":     func(w *acaWorld) { apply(w.t, w.e, w.one) },
		"the unit leaves it":  (*acaWorld).loseUnit,
		"the unit leaves it, and it ends": func(w *acaWorld) {
			w.loseUnit()
			_ = w.faulted.Close()
		},
		"it ends, and the unit leaves it": func(w *acaWorld) {
			_ = w.faulted.Close()
			w.loseUnit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newACAWorld(t)
			happens(w)
			if !w.e.eventually(func() bool { return w.ask() == sam.Good }) {
				t.Error("the unit stays blocked")
			}
		})
	}
}
