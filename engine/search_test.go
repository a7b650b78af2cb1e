package engine

import (
	"fmt"
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/scsi/sam"
)

// searches writes the questions and answers among orders as text.
func searches(orders []order) (s []string) {
	for _, o := range orders {
		switch o.kind {
		case orderSeek:
			s = append(s, fmt.Sprintf("seek %d for %d", o.conn.Index, o.seek.ITT))
		case orderSought:
			s = append(s, fmt.Sprintf("sought %d %d: %d", o.conn.Index, o.owner, o.finding.Kind))
		}
	}
	return s
}

// Who asks for a command that somebody else is asking for hears when that is answered:
// meanwhile it may be on its way, and no connection has it.
func TestDirectory_SearchesForOneCommandFollowEachOther(t *testing.T) {
	d := newDirectory(8, 3)
	first := placed(conn(1), port(1, 0, 1))
	first.Params.MaxConnections, first.Params.ErrorRecoveryLevel = 4, 2
	tsih := d.admit(first)[0].admit.TSIH
	for i := 2; i <= 4; i++ {
		d.admit(placed(conn(i), port(1, tsih, pdu.CID(i))))
	}
	want := func(what string, orders []order, want ...string) {
		t.Helper()
		if got := searches(orders); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	q := transport.Seek{ITT: 5}
	want("the first", d.seek(conn(1), 11, q), "seek 2 for 5", "seek 3 for 5", "seek 4 for 5")
	token := d.lastFence
	want("the second", d.seek(conn(2), 22, q))
	want("the third", d.seek(conn(3), 33, q))
	want("another command", d.seek(conn(3), 34, transport.Seek{ITT: 6}), "seek 1 for 6", "seek 2 for 6", "seek 4 for 6")
	want("one has it", d.found(conn(4), token, transport.Finding{Kind: transport.FoundOrphan, Orphan: &transport.Orphan{}}),
		"sought 1 11: 6", "seek 1 for 5", "seek 3 for 5", "seek 4 for 5")
	want("who asked is gone", d.ended(conn(2)), "seek 1 for 5", "seek 4 for 5")
	want("so is the last", d.ended(conn(3)))
	if len(d.searches) > 0 {
		t.Errorf("%d questions are left", len(d.searches))
	}
}

// A session that ends as a whole ends at once also where a connection of it is being
// replaced, whose commands would wait.
func TestDirectory_EndsWhatIsBeingRecovered(t *testing.T) {
	d := newDirectory(8, 3)
	first := placed(conn(1), port(1, 0, 1))
	first.Params.MaxConnections, first.Params.ErrorRecoveryLevel, first.Params.DefaultTime2Retain = 4, 2, 20
	tsih := d.admit(first)[0].admit.TSIH
	wantOrders(t, "a login in its place", d.admit(placed(conn(2), port(1, tsih, 1))), "recover 1")
	wantOrders(t, "a cold reset", d.of(testTarget), "close 1")
	d.parked(conn(1), false)
	d.recovered(conn(1))
	wantOrders(t, "its end", d.ended(conn(1)), "loss 0", "answer 2: 020a tsih 0 nexus 0")
}

// A login that takes the place of the last connection waits where it is: were it on its
// way to a reactor with fewer, nobody would hold the session meanwhile.
func TestDirectory_WhoWaitsStays(t *testing.T) {
	d := newDirectory(8, 3)
	first := placed(conn(1), port(1, 0, 1))
	first.Params.MaxConnections, first.Params.ErrorRecoveryLevel, first.Params.DefaultTime2Retain = 4, 2, 20
	tsih := d.admit(first)[0].admit.TSIH
	again := placed(conn(2), port(1, tsih, 1))
	again.Placed = false
	d.load = []int{0, 0, 0}
	wantOrders(t, "a login in its place", d.admit(again), "recover 1")
	d.load = []int{0, 0, 9}
	d.parked(conn(1), false)
	wantOrders(t, "the place is free", d.recovered(conn(1)), fmt.Sprintf("answer 2: 0000 tsih %d nexus 0", tsih))
}

// A command is not lost with the connection that asks for it, however far that has come:
// another one gets it.
func TestRecovery_LostWhileReassigning(t *testing.T) {
	conform.Covers(t, "R-6.2.2-2")
	onReactors(t, func(t *testing.T, e *Engine) {
		const blocks = 8000 // more than sockets hold
		for range 10 {
			s := joined(t, e, 4, level2)
			h := s.command(sam.Simple, []byte{0x28, 0, 0, 0, 0, 0, 0, blocks >> 8, blocks & 0xff}, 0, blocks*512)
			s.conns[1].send(h, nil)
			s.lose(1)
			s.logout(s.conns[3], pdu.RemoveForRecovery, 1)
			ask := new(pdu.Header)
			ask.SetOpcode(pdu.OpTaskRequest)
			ask.SetImmediate()
			pdu.AsTaskRequest(ask).SetFunction(sam.TaskReassign)
			pdu.AsTaskRequest(ask).SetReferencedTag(h.ITT())
			s.conns[2].send(s.number(ask), nil)
			_ = s.conns[2].conn.Close()
			s.logout(s.conns[3], pdu.RemoveForRecovery, 2)
			if got := s.reassign(s.conns[0], h.ITT(), 0); got != pdu.FunctionComplete {
				t.Fatalf("reassign: %v", got)
			}
			s.conns[0].answered(h, sam.Good)
			s.logout(s.conns[3], pdu.CloseSession, 0)
		}
	})
}

// A logout that closes a connection ends the commands of one that was, or is being, logged
// out for recovery, and is answered when they have ended (RFC 3720 §10.14 [R-10.14-1]).
func TestDirectory_ClosesWhatWasRemovedForRecovery(t *testing.T) {
	conform.Covers(t, "R-10.14-1")
	for _, removed := range []bool{false, true} {
		d := newDirectory(8, 3)
		first := placed(conn(1), port(1, 0, 1))
		first.Params.MaxConnections, first.Params.ErrorRecoveryLevel, first.Params.DefaultTime2Retain = 4, 2, 20
		tsih := d.admit(first)[0].admit.TSIH
		d.admit(placed(conn(2), port(1, tsih, 2)))
		wantOrders(t, "for recovery", d.logout(conn(2), 11, 1, pdu.RemoveForRecovery), "recover 1")
		var before []string
		if removed {
			wantOrders(t, "it is removed", d.recovered(conn(1)), "logged out 2 11: 0")
		} else {
			before = []string{"logged out 2 11: 0"}
		}
		wantOrders(t, "for good", d.logout(conn(2), 12, 1, pdu.CloseConnection), "close 1")
		wantOrders(t, "too late to be removed", d.recovered(conn(1)))
		wantOrders(t, "its end", d.ended(conn(1)), append(before, "logged out 2 12: 0")...)
	}
}
