package session

import (
	"testing"

	"lunar/internal/conform"
)

// The table is what docs/architecture.md and RFC 3720 §6 say, row by row.
func TestRecovery_Table(t *testing.T) {
	conform.Covers(t, "R-6.1.5-1", "R-6.1.5-2", "R-6.7-2", "R-6.7-5")
	want := map[fault][MaxRecoveryLevel + 1]remedy{
		badHeader:      {closeConnection, closeConnection, closeConnection},
		badRequest:     {dropRequest, dropRequest, dropRequest},
		lostConnection: {endSession, endSession, park},
		badData:        {failTask, askAgain, askAgain},
		missingData:    {failTask, askAgain, askAgain},
		lateData:       {await, askAgain, askAgain},
		lostAnswer:     {refuseSNACK, sendAgain, sendAgain},
	}
	if len(remedies) != len(want) {
		t.Fatalf("%d faults, want %d", len(remedies), len(want))
	}
	for level := range uint32(MaxRecoveryLevel + 1) {
		s := defaults()
		s.params.ErrorRecoveryLevel = level
		c := newPlay(s).c
		for f, row := range want {
			if got := c.remedy(f); got != row[level] {
				t.Errorf("fault %d at level %d: remedy %d, want %d", f, level, got, row[level])
			}
		}
		if (c.Retained() > 0) != (level > 0) {
			t.Errorf("level %d retains %d answers", level, c.Retained())
		}
	}
}
