// Package arch holds the import rules of docs/architecture.md as a test, so that
// go test alone protects the structure.
package arch
