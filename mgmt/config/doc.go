// Package config reads the configuration file of the daemon: one TOML document,
// strict, whose errors say file:line:column, the object and the remedy.
//
// Read document.go first: it is the document as Go types, key by key; example.toml
// is the same with comments. build.go turns a document into an engine.Config;
// position.go knows where each key stands; secret.go fetches secrets, which a
// document only refers to.
//
// Owner: whoever calls Load. Nothing here is kept between two calls, so a reload
// reads everything anew, secrets too.
package config
