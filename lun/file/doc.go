// Package file is a medium in a regular file: sparse, locked against a second
// user, past the page cache where the file system allows it.
//
// Owner: a Backend is opened, resized and closed on the control path. What serves it is a
// descriptor.Medium.
//
// A newcomer reads open.go: what is checked before a file is served; inspect.go finds out
// what its file system can do.
package file
