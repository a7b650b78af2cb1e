// Package digest computes the CRC32C of header and data digests (RFC 3720
// §12.1, appendix B.4 [R-12.1-4]).
//
// Owner: none; the functions have no state. The digest word travels lowest byte
// first, which the callers in iscsi/pdu and iscsi/transport keep.
//
// # Implementations
//
// One is chosen when the program starts, by what the processor can do:
//
//   - amd64 with AVX-512F, AVX-512VL and VPCLMULQDQ: folding, below, which copies
//     in the same pass; inputs shorter than the set-up is worth, headers among
//     them, go through a chain of CRC32Q.
//   - amd64 with SSE4.2: the chain for short inputs, hash/crc32 with its three
//     chains side by side for longer ones, copies by blocks that stay in the first
//     level of cache.
//   - arm64 and the rest: hash/crc32, which uses the CRC32C instructions of ARMv8,
//     POWER, s390x and LoongArch, with the same copies by blocks.
//   - portable: slicing by 8, compiled everywhere. The tests hold the others to it.
//
// # Folding
//
// The bits of a message are the coefficients of a polynomial over GF(2), the first
// bit on the wire the highest power. Its CRC is the remainder of M·x³² divided by
// P; the start value is added to the first 32 bits, and the result is inverted.
//
// Let A be 128 bits of it and B the 128 bits that start d bits behind the start of A:
// next to B, A counts as A·xᵈ. Putting xᵈ mod P in the place of xᵈ changes no
// remainder but makes the product short enough to be added to B, after which A is
// done with. That is a fold over d. A lane of 128 bits is folded by its two halves
// of 64, since that is what a carry-less multiplication takes; with A = H·x⁶⁴ + L,
//
//	A·xᵈ ≡ H·(xᵈ⁺⁶⁴ mod P) + L·(xᵈ mod P)
//
// Each product has 64+32 bits and fits the lane. A vector of 512 bits has four
// lanes, and four vectors are under way at a time, so the main loop folds over
// d = 2048. At the end three of the vectors are folded onto the fourth (d = 1536,
// 1024, 512), further single vectors follow (d = 512), then three lanes are folded
// onto the last (d = 384, 256, 128). The remainder of the 128 bits left, times x³²,
// is what two CRC32Q from zero compute, and they go on with bytes that fill no
// vector.
//
// The exponents in the code differ by the order of bits. In a register the lowest
// bit belongs to the highest power:
//
//   - Bit i of a half stands for x⁶³⁻ⁱ. A constant has 32 bits, bit 31-i for xⁱ, so
//     in a register of 64 it stands for itself times x³².
//   - Bit k of a product of two halves sums the bits i + j = k, that is x¹²⁶⁻ᵏ; read
//     as a lane it is x¹²⁷⁻ᵏ. The product comes out times x.
//
// Both together are a factor x³³ too much. The constants make up for it: xᵈ⁺³¹ mod P
// for H, the low half of the register, and xᵈ⁻³³ mod P for L, the high one.
package digest
