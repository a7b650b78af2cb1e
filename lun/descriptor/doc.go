// Package descriptor is the part of a medium that files and block devices share: requests
// on an open descriptor become operations of a reactor's loop.
//
// Owner: a Medium is made and released on the control path. What of it changes between is
// atomic: its size, the mark of a failed flush, and that its device is gone. A Queue
// belongs to one reactor and starts its operations on that reactor's loop.
//
// A newcomer reads medium.go and then queue.go (how one request becomes one or more
// operations); map.go finds the holes.
//
// Durability (package blk, SBC-3 §4.15): a Write with FUA is written with RWF_DSYNC, a
// Sync is fdatasync, started only after the writes it covers were reported. A flush that
// failed stays failed until the medium is opened again: the kernel drops the pages it
// could not write and would report the next flush good.
package descriptor
