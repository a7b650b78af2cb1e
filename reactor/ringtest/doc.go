// Package ringtest is the suite that every ring passes, and the echo benchmark
// that compares them. A ring's own tests build a World and call Run.
//
// Owner: each case owns its world, its loop and the thread it runs on. Start
// with world.go; the cases are grouped by what they move.
package ringtest
