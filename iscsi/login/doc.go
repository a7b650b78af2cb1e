// Package login is the login phase of one connection: stages, keys and
// negotiation, up to the final Login Response.
//
// Read keys.go first: one row per text key says in which stage it may come, who
// may send it, how a result is found and where it is stored; machine.go walks
// the stages and asks the table. A Machine is pure: requests go in, a response
// and an Outcome come out. Two things it does not know it asks for: what an
// initiator may have and what it must prove (Directory), and whether the session
// may be created (the Admit outcome, answered by Admitted). security.go holds the
// step from a demanded proof to an authenticated initiator.
//
// Owner: the reactor of the connection. States: expectFirst, then the stages of
// RFC 3720 §5.3 (security, operational), then done. Sections covered: RFC 3720
// §5 (login and negotiation), §10.12, §10.13, §11 as far as None and CHAP (package auth), §12
// (all keys), and what RFC 7143 changed in them.
package login
