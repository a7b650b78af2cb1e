// Package pdu is the wire layout of every iSCSI PDU: views over a header's 48
// bytes, the additional header segments behind it, and the framer that cuts a
// byte stream into PDUs.
//
// Read header.go first: a Header is the 48-byte basic header segment (BHS), and
// a view such as SCSICommand wraps a pointer to one and names each field once,
// with its offset. Views read and write in place; they hold no state, check no
// rule and allocate nothing. What a field means is decided in iscsi/login and
// iscsi/session.
//
// Owner: whoever owns the bytes. Sections covered: RFC 3720 §10 (all PDU
// formats), with the fields RFC 7144 adds where its protocol level is agreed.
package pdu
