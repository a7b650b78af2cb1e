package engine

import (
	"container/list"

	"lunar/scsi/sam"
)

// nexuses gives I_T nexuses small numbers and remembers them when their session
// is gone, because state bound to a nexus survives it (RFC 3720 §3.4.3.1
// [R-3.4.3.1-1]).
type nexuses struct {
	limit int
	known map[sessionKey]*nexusEntry
	// unused are the keys of those without a session, the one unused for longest
	// first: a login must not cost a look at all of them.
	unused *list.List
}

type nexusEntry struct {
	n sam.Nexus
	// place is its element of unused, nil while it has a session.
	place *list.Element
}

func newNexuses(limit int) nexuses {
	return nexuses{limit: limit, known: map[sessionKey]*nexusEntry{}, unused: list.New()}
}

// open returns the number of a nexus. When too many are known, the one unused for
// longest gives its number up; units see its next user as after a nexus loss.
func (x *nexuses) open(k sessionKey) sam.Nexus {
	e := x.known[k]
	switch {
	case e != nil && e.place != nil:
		x.unused.Remove(e.place)
		e.place = nil
	case e == nil:
		e = &nexusEntry{n: x.number()}
		x.known[k] = e
	}
	return e.n
}

// number is one that no nexus has any more.
func (x *nexuses) number() sam.Nexus {
	oldest := x.unused.Front()
	if len(x.known) < x.limit || oldest == nil {
		return sam.Nexus(len(x.known))
	}
	k := x.unused.Remove(oldest).(sessionKey)
	n := x.known[k].n
	delete(x.known, k)
	return n
}

// close says that a nexus has no session any more.
func (x *nexuses) close(k sessionKey) {
	if e := x.known[k]; e != nil && e.place == nil {
		e.place = x.unused.PushBack(k)
	}
}
