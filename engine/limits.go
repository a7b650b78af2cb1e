package engine

import (
	"fmt"

	"lunar/internal/buf"
	"lunar/iscsi/transport"
	"lunar/lun/blk"
	"lunar/lun/cache"
)

// Limits of an engine that no configuration changes.
const (
	maxReactors = 64
	maxLUNs     = 16384
	// maxTargets is how many targets there may be, maxPortals how many addresses a
	// portal group or redirect has, maxRules how many access rules a target.
	maxTargets = 16384
	maxPortals = 64
	maxRules   = 16384
	// maxOutstandingR2T is the most R2Ts of one task that we agree to.
	maxOutstandingR2T = 64
	// mailboxMessages is how many messages wait for a reactor before others spill: then
	// its senders take a lock.
	mailboxMessages = 1 << 14
	// maxTimers is how many timers a reactor may have armed: one for each connection,
	// and for those that ended within the last tick.
	maxTimers = 1 << 18
	// maxNexuses is how many I_T nexuses are remembered; beyond it the one unused
	// for longest makes place.
	maxNexuses = 4096

	// unaskedBuffer holds what comes with one command: the most FirstBurstLength we
	// agree to.
	unaskedBuffer = 64 << 10
	// recvBytes and recvCount are the receive buffers of a reactor: large ones bring
	// more commands with data at a time, and a whole segment (adr/0001).
	recvBytes = 128 << 10
	recvCount = 64

	// maxCacheBytes is the largest read cache of one unit. Its bookkeeping is on the
	// Go heap and about a tenth of it.
	maxCacheBytes = 256 << 30
)

// parseCache reads the size of a read cache.
func parseCache(s string) (int64, error) {
	n, err := ParseBytes(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("cache: %w", err)
	case n < cache.MinBytes || n > maxCacheBytes || n%cache.PageBytes != 0:
		return 0, fmt.Errorf("cache=%s: use a multiple of 4KiB from 1MiB to %dGiB, for instance cache=256MiB",
			s, int64(maxCacheBytes)>>30)
	}
	return n, nil
}

// memory is what one reactor holds, in buffers. It is reserved address space:
// pages are taken as they are used.
type memory struct {
	unasked, staged, programs []buf.Class
	recvBytes                 int
	recvCount                 int
}

// plan adds up the memory of one reactor for the sessions it may have.
//
//   - unasked: for each command that may come, one buffer of the first burst. A
//     session takes its share at login, with a smaller window when little is left.
//   - staged: reads, bursts and parameter lists under way. Who finds none waits.
//   - programs: what units read or write for commands like WRITE SAME and VERIFY. Apart
//     from staged, whose buffers such commands hold while they run, so that they
//     cannot wait for each other.
//   - receive buffers: one for each connection that has data in this turn.
//
// A unit with a read cache (cache=S) adds S to its home, reserved address space like
// the rest and the only part that is not for sessions, and a tenth of S of
// bookkeeping on the Go heap. The data of a read that fills the cache is the staged
// buffer it came in: filling takes no memory of its own.
func plan(l transport.Limits) (memory, error) {
	commands := int(l.Session.Window + l.Session.Immediate)
	if commands <= 0 || l.Connections <= 0 {
		return memory{}, fmt.Errorf("limits: %d connections with %d commands", l.Connections, commands)
	}
	shares := min(l.Connections, fullShares)
	m := memory{
		unasked: []buf.Class{
			{Bytes: 4096, Count: shares * commands},
			{Bytes: unaskedBuffer, Count: shares * commands},
		},
		staged: []buf.Class{
			{Bytes: 4096, Count: 8192},
			{Bytes: 16 << 10, Count: 1024},
			{Bytes: 64 << 10, Count: 512},
			{Bytes: blk.MaxRequestBytes, Count: 512},
			{Bytes: transport.MaxListBytes, Count: 16},
		},
		programs:  []buf.Class{{Bytes: blk.MaxRequestBytes, Count: 64}},
		recvBytes: recvBytes, recvCount: recvCount,
	}
	return m, nil
}

// fullShares is how many sessions of a reactor have the whole command window at
// the same time.
const fullShares = 512

// sharesLeft makes windows smaller when fewer than this many whole ones are left.
const sharesLeft = 16
