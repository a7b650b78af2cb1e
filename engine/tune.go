package engine

import (
	"runtime"
	"runtime/debug"
)

// Tune sets the Go runtime of a process for so many spinning reactors: a free
// processor for a GC worker, so that none takes a reactor's, and rare collections
// (datapath §5).
func Tune(reactors int) {
	runtime.GOMAXPROCS(reactors + 3)
	debug.SetGCPercent(800)
}
