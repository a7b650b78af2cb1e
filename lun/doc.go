// Package lun binds a device server, a backend and a home reactor into a logical
// unit, and gives every reactor a way to reach every unit.
//
// Read unit.go first, then local.go; steps.go runs the requests a unit makes by
// itself. A Unit is touched by its home reactor only: its task set, its device
// server, its queue to the medium. A Local is one reactor's side: it calls units
// at home here directly and sends a Message for the others, so a caller cannot
// tell them apart: an operation either is done on return or its end comes later
// as an Event.
//
// Owner: Unit by its home reactor; Local by its reactor; a sam.Command and a
// blk.Request by whoever submitted them, lent to the home from the call until
// their Event. Sections covered: SAM-5 §5 (task set), §7 (task management);
// architecture §8.
package lun
