package queue

import (
	"runtime"
	"sync"
	"testing"
)

func TestMPSC_FillAndDrain_KeepsOrderOverManyLaps(t *testing.T) {
	q := New[int](8)
	next, want := 0, 0
	for lap := range 100 {
		for range 1 + lap%8 {
			if !q.Push(next) {
				t.Fatalf("refused %d with room left", next)
			}
			next++
		}
		for want < next {
			if q.Empty() {
				t.Fatalf("empty before %d", want)
			}
			if v, ok := q.Pop(); !ok || v != want {
				t.Fatalf("popped %d, %v; want %d", v, ok, want)
			}
			want++
		}
	}
	if _, ok := q.Pop(); ok || !q.Empty() {
		t.Error("a drained queue gave a value")
	}
}

func TestMPSC_Full_Refuses(t *testing.T) {
	q := New[string](4)
	for range q.Cap() {
		q.Push("in")
	}
	if q.Push("out") {
		t.Error("a full queue accepted a value")
	}
	q.Pop()
	if !q.Push("in") {
		t.Error("a queue with room refused a value")
	}
}

func TestMPSC_Pop_ForgetsTheValue(t *testing.T) {
	q := New[*int](2)
	q.Push(new(int))
	q.Pop()
	if q.slots[0].value != nil {
		t.Error("the slot still refers to what was taken from it")
	}
}

func TestNew_RefusesOddCapacity(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 3, 12} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("capacity %d was accepted", n)
				}
			}()
			New[int](n)
		}()
	}
}

// TestMPSC_Stress checks that each producer's values arrive in its own order
// and that nothing is lost or repeated.
func TestMPSC_Stress(t *testing.T) {
	const producers, each = 4, 50000
	type message struct{ from, number int }
	q := New[message](256)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				for !q.Push(message{p, i}) {
					runtime.Gosched()
				}
			}
		})
	}
	var next [producers]int
	for got := 0; got < producers*each; {
		m, ok := q.Pop()
		if !ok {
			runtime.Gosched()
			continue
		}
		if m.number != next[m.from] {
			t.Fatalf("producer %d: got %d, want %d", m.from, m.number, next[m.from])
		}
		next[m.from]++
		got++
	}
	wg.Wait()
	if !q.Empty() {
		t.Error("more values came out than went in")
	}
}

func TestMPSC_NoAllocation(t *testing.T) {
	q := New[[64]byte](16)
	if n := testing.AllocsPerRun(100, func() { q.Push([64]byte{}); q.Pop() }); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}

func BenchmarkMPSC_PushPop(b *testing.B) {
	q := New[[64]byte](1024)
	b.ReportAllocs()
	for b.Loop() {
		q.Push([64]byte{})
		q.Pop()
	}
}
