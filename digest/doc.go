// Package digest computes the CRC32C of header and data digests (RFC 3720
// §12.1, appendix B.4 [R-12.1-4]).
//
// Owner: none; the functions have no state. The digest word travels lowest byte
// first, which the callers in iscsi/pdu and iscsi/transport keep.
package digest
