// Package engine is the composition root: it builds reactors, portals, units and
// the session directory, and owns their lifetime.
//
// Read engine.go first (start and stop), then core.go (one reactor's turn) and
// directory.go (which sessions exist). check.go judges a configuration, catalog.go is
// what one offers, apply.go leads from one to the next. members.go, fence.go and recovery.go
// are what one connection of a session needs of the others. limits.go adds up the memory,
// backends.go has a line for each medium. assemble.go makes the cores alone, for a simulation.
//
// Owner: Start's caller owns the Engine; every core owns what it runs; the
// directory belongs to core 0. Cores speak to each other by mailbox only.
// Sections covered: RFC 3720 §5.3.1 (session, reinstatement: table 1.11),
// §3.4 (portal groups, nexuses), §5.3.5; architecture §5, §8, §10.
package engine
