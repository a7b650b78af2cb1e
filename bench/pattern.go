package bench

import (
	"encoding/binary"
	"fmt"
)

// stamp is what a block says of itself: which run wrote it, where, and which time.
type stamp struct {
	seed, lba  uint64
	generation uint32
}

// stampBytes is its place at the start of a block; the rest follows from it.
const stampBytes = 24

// fill writes the content that belongs to the stamp into one logical block.
func (s stamp) fill(block []byte) {
	binary.LittleEndian.PutUint64(block[0:], s.seed)
	binary.LittleEndian.PutUint64(block[8:], s.lba)
	binary.LittleEndian.PutUint64(block[16:], uint64(s.generation))
	x := s.start()
	for i := stampBytes; i < len(block); i += 8 {
		x = step(x)
		binary.LittleEndian.PutUint64(block[i:], x)
	}
}

// start mixes the stamp so that neighbouring blocks share no words.
func (s stamp) start() uint64 {
	x := s.seed ^ s.lba*0x9e3779b97f4a7c15 ^ uint64(s.generation)*0xbf58476d1ce4e5b9
	x ^= x >> 31
	return x*0x94d049bb133111eb | 1
}

// step is xorshift64, which never reaches 0 from another value.
func step(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x ^ x<<17
}

// differs is the first byte of block that is not what the stamp asks for, or -1.
func (s stamp) differs(block []byte) int {
	head := [3]uint64{s.seed, s.lba, uint64(s.generation)}
	for i, want := range head {
		if binary.LittleEndian.Uint64(block[8*i:]) != want {
			return firstByte(block, 8*i, want)
		}
	}
	x := s.start()
	for i := stampBytes; i < len(block); i += 8 {
		x = step(x)
		if binary.LittleEndian.Uint64(block[i:]) != x {
			return firstByte(block, i, x)
		}
	}
	return -1
}

func firstByte(block []byte, at int, want uint64) int {
	for block[at] == byte(want) {
		at++
		want >>= 8
	}
	return at
}

// Mismatch is one block that did not read back as it was written.
type Mismatch struct {
	LBA uint64 `json:"lba"`
	// Byte is the first wrong one in the block.
	Byte int `json:"byte"`
	// Generation is the expected one; FoundLBA and FoundGeneration are what the block
	// says of itself, which tells a stale or misplaced block from a damaged one.
	Generation      uint32 `json:"generation"`
	FoundLBA        uint64 `json:"found_lba"`
	FoundGeneration uint64 `json:"found_generation"`
}

// String says what is wrong in one line.
func (m Mismatch) String() string {
	return fmt.Sprintf("LBA %d: byte %d differs; expected generation %d, block says LBA %d generation %d",
		m.LBA, m.Byte, m.Generation, m.FoundLBA, m.FoundGeneration)
}

func (s stamp) mismatch(block []byte, at int) Mismatch {
	return Mismatch{
		LBA: s.lba, Byte: at, Generation: s.generation,
		FoundLBA:        binary.LittleEndian.Uint64(block[8:]),
		FoundGeneration: binary.LittleEndian.Uint64(block[16:]),
	}
}
