#include "textflag.h"

// Registers of all functions:
//
//	AX      remainder          SI, DI  source, destination
//	CX      bytes that remain  DX      constants, in the order of their Go type
//	Z0-Z3   what was folded so far; Z3 stands for the highest addresses
//	Z4-Z7   products           Z8      remainder on entry
//	Z9-Z11  multipliers        Z12-Z15 bytes on their way in foldCopy
//
// VPCLMULQDQ $0x00 multiplies the low halves of all lanes, $0x11 the high ones.
// VPTERNLOGQ $0x96 is the exclusive or of its three operands.

#define BY2048 0(DX)
#define BY1536 16(DX)
#define BY1024 32(DX)
#define BY512  48(DX)
#define LANES  64(DX)

// JOIN folds Z0, Z1 and Z2 onto Z3, each over its own distance.
#define JOIN \
	VBROADCASTI32X4 BY1536, Z9         \
	VBROADCASTI32X4 BY1024, Z10        \
	VBROADCASTI32X4 BY512, Z11         \
	VPCLMULQDQ      $0x00, Z9, Z0, Z4  \
	VPCLMULQDQ      $0x11, Z9, Z0, Z0  \
	VPCLMULQDQ      $0x00, Z10, Z1, Z5 \
	VPCLMULQDQ      $0x11, Z10, Z1, Z1 \
	VPCLMULQDQ      $0x00, Z11, Z2, Z6 \
	VPCLMULQDQ      $0x11, Z11, Z2, Z2 \
	VPTERNLOGQ      $0x96, Z4, Z5, Z0  \
	VPTERNLOGQ      $0x96, Z6, Z1, Z2  \
	VPTERNLOGQ      $0x96, Z0, Z2, Z3

// REDUCE folds the first three lanes of Z3 onto the last one and leaves the
// remainder of those 16 bytes in AX: CRC32Q is that division.
#define REDUCE \
	VMOVDQU64     LANES, Z9         \
	VPCLMULQDQ    $0x00, Z9, Z3, Z4 \
	VPCLMULQDQ    $0x11, Z9, Z3, Z5 \
	VEXTRACTI32X4 $3, Z3, X6        \
	VPXORQ        Z5, Z4, Z4        \
	VEXTRACTI64X4 $1, Z4, Y5        \
	VPXOR         Y5, Y4, Y4        \
	VEXTRACTI128  $1, Y4, X5        \
	VPTERNLOGQ    $0x96, X5, X6, X4 \
	VMOVQ         X4, R8            \
	VPEXTRQ       $1, X4, R9        \
	XORL          AX, AX            \
	CRC32Q        R8, AX            \
	CRC32Q        R9, AX            \
	VZEROUPPER

// func fold(remainder uint32, p []byte) uint32
TEXT ·fold(SB), NOSPLIT, $0-36
	MOVL  remainder+0(FP), AX
	MOVQ  p_base+8(FP), SI
	MOVQ  p_len+16(FP), CX
	LEAQ  ·foldConstants(SB), DX
	VMOVD AX, X8
	CMPQ  CX, $256
	JLT   one

	// The remainder of what came before adds to the first four bytes.
	VPXORQ          (SI), Z8, Z0
	VMOVDQU64       64(SI), Z1
	VMOVDQU64       128(SI), Z2
	VMOVDQU64       192(SI), Z3
	VBROADCASTI32X4 BY2048, Z9
	ADDQ            $256, SI
	SUBQ            $256, CX
	CMPQ            CX, $256
	JLT             join

	// Four vectors, because a product takes several cycles and others can start in
	// them: one vector alone would wait for itself.
four:
	VPCLMULQDQ $0x00, Z9, Z0, Z4
	VPCLMULQDQ $0x11, Z9, Z0, Z0
	VPCLMULQDQ $0x00, Z9, Z1, Z5
	VPCLMULQDQ $0x11, Z9, Z1, Z1
	VPCLMULQDQ $0x00, Z9, Z2, Z6
	VPCLMULQDQ $0x11, Z9, Z2, Z2
	VPCLMULQDQ $0x00, Z9, Z3, Z7
	VPCLMULQDQ $0x11, Z9, Z3, Z3
	VPTERNLOGQ $0x96, (SI), Z4, Z0
	VPTERNLOGQ $0x96, 64(SI), Z5, Z1
	VPTERNLOGQ $0x96, 128(SI), Z6, Z2
	VPTERNLOGQ $0x96, 192(SI), Z7, Z3
	ADDQ       $256, SI
	SUBQ       $256, CX
	CMPQ       CX, $256
	JGE        four

join:
	JOIN
	JMP vectors

one:
	VPXORQ (SI), Z8, Z3
	ADDQ   $64, SI
	SUBQ   $64, CX

vectors:
	VBROADCASTI32X4 BY512, Z11
	CMPQ            CX, $64
	JLT             reduce

next:
	VPCLMULQDQ $0x00, Z11, Z3, Z4
	VPCLMULQDQ $0x11, Z11, Z3, Z3
	VPTERNLOGQ $0x96, (SI), Z4, Z3
	ADDQ       $64, SI
	SUBQ       $64, CX
	CMPQ       CX, $64
	JGE        next

reduce:
	REDUCE
	JMP rest<>(SB)

// func run(remainder uint32, p []byte) uint32
TEXT ·run(SB), NOSPLIT, $0-36
	MOVL remainder+0(FP), AX
	MOVQ p_base+8(FP), SI
	MOVQ p_len+16(FP), CX
	JMP  rest<>(SB)

// rest ends fold and run, with their arguments and result: CRC32 over the CX bytes
// at SI, each instruction waiting three cycles for the one before it.
TEXT rest<>(SB), NOSPLIT, $0-36
	SUBQ $8, CX
	JLT  small

eight:
	CRC32Q (SI), AX
	ADDQ   $8, SI
	SUBQ   $8, CX
	JGE    eight

	// CX is eight too low here, which its lower three bits do not show.
small:
	TESTQ  $4, CX
	JZ     two
	CRC32L (SI), AX
	ADDQ   $4, SI

two:
	TESTQ  $2, CX
	JZ     byte
	CRC32W (SI), AX
	ADDQ   $2, SI

byte:
	TESTQ  $1, CX
	JZ     end
	CRC32B (SI), AX

end:
	MOVL AX, ret+32(FP)
	RET

// func foldCopy(remainder uint32, dst, src []byte) uint32
TEXT ·foldCopy(SB), NOSPLIT, $0-60
	MOVL  remainder+0(FP), AX
	MOVQ  dst_base+8(FP), DI
	MOVQ  src_base+32(FP), SI
	MOVQ  src_len+40(FP), CX
	LEAQ  ·foldConstants(SB), DX
	VMOVD AX, X8
	CMPQ  CX, $256
	JLT   one

	VMOVDQU64       (SI), Z0
	VMOVDQU64       64(SI), Z1
	VMOVDQU64       128(SI), Z2
	VMOVDQU64       192(SI), Z3
	VMOVDQU64       Z0, (DI)
	VMOVDQU64       Z1, 64(DI)
	VMOVDQU64       Z2, 128(DI)
	VMOVDQU64       Z3, 192(DI)
	VPXORQ          Z8, Z0, Z0
	VBROADCASTI32X4 BY2048, Z9
	ADDQ            $256, SI
	ADDQ            $256, DI
	SUBQ            $256, CX
	CMPQ            CX, $256
	JLT             join

four:
	VMOVDQU64  (SI), Z12
	VMOVDQU64  64(SI), Z13
	VMOVDQU64  128(SI), Z14
	VMOVDQU64  192(SI), Z15
	VPCLMULQDQ $0x00, Z9, Z0, Z4
	VPCLMULQDQ $0x11, Z9, Z0, Z0
	VPCLMULQDQ $0x00, Z9, Z1, Z5
	VPCLMULQDQ $0x11, Z9, Z1, Z1
	VPCLMULQDQ $0x00, Z9, Z2, Z6
	VPCLMULQDQ $0x11, Z9, Z2, Z2
	VPCLMULQDQ $0x00, Z9, Z3, Z7
	VPCLMULQDQ $0x11, Z9, Z3, Z3
	VMOVDQU64  Z12, (DI)
	VMOVDQU64  Z13, 64(DI)
	VMOVDQU64  Z14, 128(DI)
	VMOVDQU64  Z15, 192(DI)
	VPTERNLOGQ $0x96, Z12, Z4, Z0
	VPTERNLOGQ $0x96, Z13, Z5, Z1
	VPTERNLOGQ $0x96, Z14, Z6, Z2
	VPTERNLOGQ $0x96, Z15, Z7, Z3
	ADDQ       $256, SI
	ADDQ       $256, DI
	SUBQ       $256, CX
	CMPQ       CX, $256
	JGE        four

join:
	JOIN
	JMP vectors

one:
	VMOVDQU64 (SI), Z3
	VMOVDQU64 Z3, (DI)
	VPXORQ    Z8, Z3, Z3
	ADDQ      $64, SI
	ADDQ      $64, DI
	SUBQ      $64, CX

vectors:
	VBROADCASTI32X4 BY512, Z11
	CMPQ            CX, $64
	JLT             reduce

next:
	VMOVDQU64  (SI), Z12
	VPCLMULQDQ $0x00, Z11, Z3, Z4
	VPCLMULQDQ $0x11, Z11, Z3, Z3
	VMOVDQU64  Z12, (DI)
	VPTERNLOGQ $0x96, Z12, Z4, Z3
	ADDQ       $64, SI
	ADDQ       $64, DI
	SUBQ       $64, CX
	CMPQ       CX, $64
	JGE        next

reduce:
	REDUCE
	JMP restCopy<>(SB)

// func runCopy(remainder uint32, dst, src []byte) uint32
TEXT ·runCopy(SB), NOSPLIT, $0-60
	MOVL remainder+0(FP), AX
	MOVQ dst_base+8(FP), DI
	MOVQ src_base+32(FP), SI
	MOVQ src_len+40(FP), CX
	JMP  restCopy<>(SB)

// restCopy is rest for foldCopy and runCopy.
TEXT restCopy<>(SB), NOSPLIT, $0-60
	SUBQ $8, CX
	JLT  small

eight:
	MOVQ   (SI), R8
	MOVQ   R8, (DI)
	CRC32Q R8, AX
	ADDQ   $8, SI
	ADDQ   $8, DI
	SUBQ   $8, CX
	JGE    eight

small:
	TESTQ  $4, CX
	JZ     two
	MOVL   (SI), R8
	MOVL   R8, (DI)
	CRC32L R8, AX
	ADDQ   $4, SI
	ADDQ   $4, DI

two:
	TESTQ  $2, CX
	JZ     byte
	MOVW   (SI), R8
	MOVW   R8, (DI)
	CRC32W R8, AX
	ADDQ   $2, SI
	ADDQ   $2, DI

byte:
	TESTQ  $1, CX
	JZ     end
	MOVB   (SI), R8
	MOVB   R8, (DI)
	CRC32B R8, AX

end:
	MOVL AX, ret+56(FP)
	RET
