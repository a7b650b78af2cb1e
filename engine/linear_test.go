package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// swap is one COMPARE AND WRITE of a block, or a read of it where it is not one.
type swap struct {
	compares  bool
	old, next uint64
}

// register is a block as a value that is read, or replaced where it is as expected: what
// the medium has to look like to everybody at once.
var register = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, output any) (bool, any) {
		value, in := state.(uint64), input.(swap)
		if !in.compares {
			return output.(uint64) == value, value
		}
		if swapped := output.(uint64) == 1; swapped != (value == in.old) {
			return false, value
		} else if swapped {
			return true, in.next
		}
		return true, value
	},
}

const (
	swappers = 64
	swaps    = 12
)

// COMPARE AND WRITE by 64 sessions on one block, over three reactors, is linearizable, and
// so are the reads beside it (SBC-3 §5.2).
func TestCompareWrite_Linearizable(t *testing.T) {
	e := start(t, testConfig(t, 3, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512}))
	var mu sync.Mutex
	var history []porcupine.Operation
	began := time.Now()
	var all sync.WaitGroup
	for id := range swappers {
		d := diskOf(t, dialWith(t, e, initiator.Config{}))
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(id), 11))
			seen := uint64(0)
			for i := range swaps {
				in := swap{compares: r.IntN(4) > 0, old: seen, next: uint64(id+1)<<32 | uint64(i+1)}
				call := time.Since(began).Nanoseconds()
				out, err := in.do(t, d)
				if err != nil {
					t.Error(err)
					return
				}
				switch {
				case !in.compares:
					seen = out
				case out == 1:
					seen = in.next
				default:
					seen, _ = swap{}.do(t, d)
				}
				mu.Lock()
				history = append(history, porcupine.Operation{
					ClientId: id, Input: in, Call: call, Output: out, Return: time.Since(began).Nanoseconds(),
				})
				mu.Unlock()
			}
		})
	}
	all.Wait()
	swapped := 0
	for _, o := range history {
		if o.Input.(swap).compares && o.Output.(uint64) == 1 {
			swapped++
		}
	}
	if r := porcupine.CheckOperationsTimeout(register, history, time.Minute); r != porcupine.Ok {
		t.Errorf("%d operations are not linearizable: %v", len(history), r)
	}
	t.Logf("%d operations, %d of them swapped", len(history), swapped)
	if swapped < swappers {
		t.Errorf("only %d swapped", swapped)
	}
}

// do returns what is read, or 1 when the block was replaced.
func (s swap) do(t *testing.T, d *initiator.Disk) (uint64, error) {
	b := make([]byte, 512)
	if !s.compares {
		_, err := d.ReadAtContext(t.Context(), b, 0)
		return binary.BigEndian.Uint64(b), err
	}
	binary.BigEndian.PutUint64(b, s.old)
	b = append(b, make([]byte, 512)...)
	binary.BigEndian.PutUint64(b[512:], s.next)
	cdb := []byte{0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}
	result, err := d.Session().Do(t.Context(), initiator.Command{LUN: d.LUN(), CDB: cdb, Out: b})
	switch {
	case err != nil:
		return 0, err
	case result.Status == sam.Good:
		return 1, nil
	case result.Status == sam.CheckCondition && sam.SenseKey(result.Sense[2]&0x0f) == sam.Miscompare:
		return 0, nil
	}
	return 0, result.Error(cdb[0])
}
