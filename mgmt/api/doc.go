// Package api is how a running daemon is looked at and told: HTTP and JSON on a local
// socket, and metrics for Prometheus.
//
// Read verbs.go first: one table has everything that can be asked. Routes of the server,
// commands of the client and the list of verbs at / come from it, so a new verb is one
// row there. service.go is what the rows call, on a Node, which an engine is; tables.go
// says how answers look to people; server.go and client.go are the two ends of the
// socket; metrics.go makes a scrape of a status.
//
// Owner: none of it belongs to a reactor. A Server has goroutines of its own, and what
// they ask of the node it answers by messages to its cores.
package api
