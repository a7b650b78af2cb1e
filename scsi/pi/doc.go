// Package pi is protection information: the eight bytes that follow the user data of a
// logical block where a unit is formatted with them, what they are made of and how they are
// checked.
//
// Owner: whoever calls. The functions look at their arguments only, and allocate nothing.
//
// Sections covered: SBC-4 §4.21 (protection types, format, CRC). The protection information
// interval is always the whole block (PROTECTION INTERVAL EXPONENT zero).
package pi
