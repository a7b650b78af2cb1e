package order

import (
	"testing"

	"lunar/iscsi/serial"
)

func BenchmarkSequencer(b *testing.B) {
	b.Run("cores", func(b *testing.B) { benchmarkSequencer(b, false, 1) })
	b.Run("core", func(b *testing.B) { benchmarkSequencer(b, true, 1) })
}

// Runs of eight are offered before one knock, as a connection does with what one
// receive brought.
func BenchmarkSequencer_Runs(b *testing.B) {
	b.Run("cores", func(b *testing.B) { benchmarkSequencer(b, false, 8) })
	b.Run("core", func(b *testing.B) { benchmarkSequencer(b, true, 8) })
}

// end is the end of a command, and of its answer.
func (s *Sequencer) end() {
	s.Credit()
	s.Tell(s.Expected(), s.Last())
}

// BenchmarkSequencer_Next is how commands come in order where there is one core.
func BenchmarkSequencer_Next(b *testing.B) {
	s := New(serial.Cmd(1), 128, true)
	for n := serial.Cmd(1); b.Loop(); n = n.Next() {
		if !s.Accepts(n) || !s.Next(n) || s.Due() {
			b.Fatal("refused")
		}
		s.end()
	}
}

// benchmarkSequencer offers, takes and ends commands, so many for each knock, and tells
// the window for each.
func benchmarkSequencer(b *testing.B, oneCore bool, run int) {
	b.Helper()
	s := New(serial.Cmd(1), 128, oneCore)
	b.ReportAllocs()
	n := serial.Cmd(1)
	for i := 1; b.Loop(); i++ {
		if !s.Accepts(n) || !s.Offer(n, 1, true) {
			b.Fatal("refused")
		}
		n = n.Next()
		if i%run != 0 {
			continue
		}
		for r := s.Knock(); r != 0; r = s.Leave(r) {
			for {
				if _, ok := s.Take(); !ok {
					break
				}
				s.end()
			}
		}
	}
}
