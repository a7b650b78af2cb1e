// Package file is a medium in a regular file: sparse, locked against a second
// user, past the page cache where the file system allows it.
//
// Owner: a Backend is opened and closed on the control path and does not change
// between; its one moving part, the mark of a failed flush, is an atomic. A Queue
// belongs to one reactor and starts its operations on that reactor's loop.
//
// A newcomer reads open.go (what is checked before a file is served) and then
// queue.go (how one request becomes one or more ring operations); map.go finds
// the holes.
//
// Durability (package blk, SBC-3 §4.15): a Write with FUA is written with
// RWF_DSYNC, a Sync is fdatasync, started only after the writes it covers were
// reported. A flush that failed stays failed until the file is opened again: the
// kernel drops the pages it could not write and would report the next flush good.
package file
