package session

import (
	"fmt"
	"testing"
	"unsafe"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
)

// What is written for every command of a session with recovery: an answer of less than a
// cache line, and a plan of less than two; an essence where it may be reassigned.
func TestRetention_Sizes(t *testing.T) {
	for name, x := range map[string]struct{ got, want uintptr }{
		"answer":  {unsafe.Sizeof(answer{}), 56},
		"plan":    {unsafe.Sizeof(plan{}), 96},
		"essence": {unsafe.Sizeof(essence{}), 52},
	} {
		if x.got != x.want {
			t.Errorf("%s is %d bytes, want %d", name, x.got, x.want)
		}
	}
}

// A plan belongs to one task or answer at any time, however often they are exchanged.
func TestRetention_EveryPlanHasOneOwner(t *testing.T) {
	p := recovering()
	for i := range 3 * p.c.Retained() {
		p.take(request(p, fmt.Sprintf("cmd itt=1 sn=%d F R edtl=512 dev=read:512 ack=%d", 10+i, 100+i)))
		p.out = nil
	}
	k := p.c.kept
	owned := make([]int, len(k.plans))
	for i := range p.c.tasks {
		owned[p.c.tasks[i].plan]++
	}
	for i := range k.answers {
		owned[k.answers[i].plan]++
	}
	for n, times := range owned {
		if times != 1 {
			t.Errorf("plan %d has %d owners", n, times)
		}
	}
}

// An answer that there was no room for is not taken for the one in its place, and one
// that was acknowledged is none.
func TestRetention_KnowsItsAnswers(t *testing.T) {
	conform.Covers(t, "R-6.1.3-1")
	p := recovering()
	first := p.c.StatSN()
	var h pdu.Header
	for range p.c.Retained() + 1 {
		p.c.EmitDropped(&h, 3)
	}
	past := first.Add(uint32(p.c.Retained()))
	if a := p.c.answerAt(first); a == nil || a.statSN() != first || p.c.answerAt(past) != nil {
		t.Error("answers are mistaken before any is acknowledged")
	}
	p.c.acknowledge(first.Next())
	if p.c.answerAt(past) != nil {
		t.Error("an answer that was not kept is there")
	}
	if p.c.answerAt(first.Next()) == nil || p.c.answerAt(first) != nil {
		t.Error("answers are mistaken after one is acknowledged")
	}
}
