// Package lun binds a device server, a backend and a home reactor into a logical
// unit, and gives every reactor a way to reach every unit.
//
// Read unit.go first, then local.go (how a reactor reaches units), order.go and
// gate.go (what may run where and beside what), aca.go (what a command with NACA
// holds up when it fails), manage.go (task management); steps.go runs the requests a
// unit makes by itself, background.go those that outlive their command, copy.go the commands
// it sends to others for a third-party copy, share.go how those are spared their data, token.go
// what those with a ROD token ask, and keep.go what has to be durable, or to fence others off,
// before a command ends. A Local is one reactor's view of all units: it begins plain reads and
// writes on its own side of a unit, calls units at home here directly and sends a Message for
// the rest, so a caller cannot tell them apart: an operation either is done on return or its
// end comes later as an Event.
//
// Owner: a Unit's device server and queue of waiting commands by its home reactor,
// each of its sides by the reactor of that number; what both sides of a Gate touch is
// atomic. Local by its reactor; a sam.Command and a blk.Request by whoever submitted
// them, lent from the call until their Event.
//
// Sections covered: SAM-5 §5 (task set, ACA), §7 (task management), §8 (attributes);
// architecture §8.
package lun
