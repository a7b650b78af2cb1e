// Package text is the key=value text format of login and text PDUs: splitting
// received segments into pairs, the value forms, and a bounded writer for
// replies.
//
// It knows syntax only. Which key means what stands in iscsi/login.
//
// Owner: whoever owns the bytes; nothing here holds state but Collector and
// Writer. Sections covered: RFC 3720 §5.1 (text format), §3.2.6 (names).
package text
