// Package protection keeps protection information beside the blocks of any medium: data that
// comes without gets it, and what is read is checked against it.
//
// Owner: a Backend and its Queue belong to the home reactor of the unit, which alone has a
// queue: only where all requests meet can it be told which of them touch the same blocks.
//
// The protection information of a unit is a second medium, pi.Bytes for each block, stored
// with every bit turned over, so that what was never written there, and what was deallocated,
// says FFFF_FFFF_FFFF_FFFFh: not to be checked. A request becomes requests to both media. One
// that changes blocks waits for those under way that touch any of them, and holds up those
// behind it, so that nobody sees the data of one write with the protection information of
// another. What lasts is changed in an order in which no end of the process leaves blocks that
// do not fit (adr/0025).
//
// Read Backend, then Queue, then flight.
//
// Sections covered: SBC-4 §4.21 (protection information model), as far as it is about what is
// stored.
package protection
