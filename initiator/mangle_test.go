package initiator

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
)

// mangleFirst gives the verdict for the first PDU with the opcode.
func mangleFirst(op pdu.Opcode, v Verdict) func(*Outgoing) Verdict {
	var once sync.Once
	return func(o *Outgoing) Verdict {
		out := Send
		if o.Header.Opcode() == op {
			once.Do(func() { out = v })
		}
		return out
	}
}

// What the hook does is what the target sees: its judgement names each misdeed.
func TestMangle_EachVerdict_IsSeenByTheTarget(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for _, c := range []struct {
			name   string
			op     pdu.Opcode
			v      Verdict
			digest bool
			fault  string
		}{
			{"drop", pdu.OpDataOut, Drop, false, "Data-Out"},
			{"repeat", pdu.OpDataOut, Repeat, false, "DataSN 0 instead of 1"},
			{"corrupt data", pdu.OpDataOut, CorruptData, true, "data digest of Data-Out is wrong"},
			{"corrupt header", pdu.OpDataOut, CorruptHeader, true, "header digest of Data-Out is wrong"},
			{"hold", pdu.OpDataOut, Hold, false, "DataSN 1 instead of 0"},
			{"drop command", pdu.OpSCSICommand, Drop, false, "CmdSN"},
		} {
			t.Run(c.name, func(t *testing.T) {
				target, err := faketarget.Start(faketarget.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer target.Stop()
				s := dialOn(t, loop, target, Config{
					HeaderDigest: c.digest, DataDigest: c.digest, ImmediateData: new(false),
					Mangle: mangleFirst(c.op, c.v),
				})
				d := &Disk{s: s, blockBytes: 512, blocks: 2048}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, _ = d.WriteAtContext(ctx, make([]byte, 32768), 0) // may end either way
				_, _ = s.Ping(ctx, nil)
				if f := strings.Join(target.Faults(), "; "); !strings.Contains(f, c.fault) {
					t.Errorf("want %q, the target saw: %s", c.fault, f)
				}
			})
		}
	})
}

func TestMangle_ChangesInPlace_ReachTheTargetOnly(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{})
		s := dialOn(t, loop, target, Config{Mangle: func(o *Outgoing) Verdict {
			for i := range o.Data {
				o.Data[i] = 'x'
			}
			return Send
		}})
		mine := []byte("abc")
		got, err := s.Ping(t.Context(), mine)
		if err != nil || string(got) != "xxx" || string(mine) != "abc" {
			t.Errorf("sent %q, echoed %q, %v", mine, got, err)
		}
	})
}

// A bare connection logs in properly and then sends what no Session would.
func TestConn_SendsAnything(t *testing.T) {
	target, err := faketarget.Start(faketarget.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Stop()
	c, err := Connect(t.Context(), target.Portal())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p, err := c.Login(t.Context(), Config{Target: testTarget, HeaderDigest: true, DataDigest: true, FirstCmdSN: 5})
	if err != nil || !p.DataDigest {
		t.Fatal(p, err)
	}
	var h pdu.Header
	h.SetOpcode(pdu.OpNOPOut)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(77)
	pdu.AsNOPOut(&h).SetTTT(pdu.NoTag)
	h[27] = 9 // CmdSN 9 instead of 5
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(&h, nil, []byte("odd")); err != nil {
		t.Fatal(err)
	}
	r, err := c.Receive()
	if err != nil || r.Header.Opcode() != pdu.OpNOPIn || r.Header.ITT() != 77 || string(r.Data) != "odd" {
		t.Fatalf("%v %q %v", r.Header.Opcode(), r.Data, err)
	}
	if f := target.Faults(); len(f) == 0 || !strings.Contains(f[0], "CmdSN 9 instead of 5") {
		t.Errorf("%q", f)
	}
}

func TestConn_Receive_ChecksDigests(t *testing.T) {
	target, err := faketarget.Start(faketarget.Config{Reply: func(*pdu.Header, []byte) faketarget.Fate {
		return faketarget.SpoilData
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Stop()
	c, err := Connect(t.Context(), target.Portal())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Login(t.Context(), Config{Target: testTarget, DataDigest: true}); err != nil {
		t.Fatal(err)
	}
	var h pdu.Header
	h.SetOpcode(pdu.OpNOPOut)
	h.SetITT(1)
	if err := c.Send(&h, nil, []byte("data")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(); !errors.Is(err, ErrDigest) {
		t.Errorf("got %v", err)
	}
}
