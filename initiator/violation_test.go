package initiator

import (
	"errors"
	"strings"
	"testing"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// What a target must not send ends the session, and says why.
func TestSession_TargetBreaksRules_IsNoticed(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for name, c := range map[string]struct {
			change func(h *pdu.Header) faketarget.Fate
			want   string
		}{
			"DataSN":   {onDataIn(func(d pdu.DataIn) { d.SetDataSN(d.DataSN().Next()) }), "DataSN"},
			"offset":   {onDataIn(func(d pdu.DataIn) { d.SetBufferOffset(d.BufferOffset() + 4) }), "offset"},
			"ITT":      {onDataIn(func(d pdu.DataIn) { d.SetITT(d.ITT() + generationStep) }), "ITT"},
			"StatSN":   {onDataIn(func(d pdu.DataIn) { d.SetStatSN(d.StatSN().Add(1)) }), "StatSN"},
			"residual": {onDataIn(func(d pdu.DataIn) { d.SetFlags(d.Flags() | pdu.ResidualUnderflow); d.SetResidual(9) }), "GOOD after"},
			"no F":     {onDataIn(func(d pdu.DataIn) { d.SetFlags(d.Flags() &^ pdu.FlagFinal) }), "without F"},
			"opcode":   {onDataIn(func(d pdu.DataIn) { d.SetOpcode(pdu.OpLoginResp) }), "Login Response"},
			"both":     {onDataIn(func(d pdu.DataIn) { d.SetFlags(d.Flags() | 6) }), "both"},
			"lost data": {func(h *pdu.Header) faketarget.Fate {
				if h.Opcode() == pdu.OpDataIn && h.Flags()&pdu.DataStatus == 0 {
					return faketarget.Lose
				}
				return faketarget.Deliver
			}, "DataSN"},
			"R2TSN":     {onR2T(func(r pdu.R2T) { r.SetR2TSN(r.R2TSN().Add(1)) }), "R2TSN"},
			"R2T end":   {onR2T(func(r pdu.R2T) { r.SetDesiredBytes(r.DesiredBytes() + 1) }), "writes"},
			"R2T empty": {onR2T(func(r pdu.R2T) { r.SetDesiredBytes(0) }), "MaxBurstLength"},
			"R2T tag":   {onR2T(func(r pdu.R2T) { r.SetTTT(pdu.NoTag) }), "Transfer Tag"},
			"R2T gap":   {onR2T(func(r pdu.R2T) { r.SetBufferOffset(r.BufferOffset() + 512) }), "offset"},
		} {
			t.Run(name, func(t *testing.T) {
				target := serveFake(t, faketarget.Config{DataInBytes: 4096, Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
					return c.change(h)
				}})
				s := dialOn(t, loop, target, Config{InitialR2T: new(true)})
				d := &Disk{s: s, blockBytes: 512, blocks: 2048}
				_, err := d.WriteAt(make([]byte, 16384), 0)
				if err == nil {
					_, err = d.ReadAt(make([]byte, 8192), 0)
				}
				var proto *ProtocolError
				if !errors.As(err, &proto) || !strings.Contains(proto.What, c.want) {
					t.Errorf("want an error about %q, got %v", c.want, err)
				}
			})
		}
	})
}

func onDataIn(f func(pdu.DataIn)) func(h *pdu.Header) faketarget.Fate {
	return func(h *pdu.Header) faketarget.Fate {
		if h.Opcode() == pdu.OpDataIn && h.Flags()&pdu.DataStatus != 0 {
			f(pdu.AsDataIn(h))
		}
		return faketarget.Deliver
	}
}

func onR2T(f func(pdu.R2T)) func(h *pdu.Header) faketarget.Fate {
	return func(h *pdu.Header) faketarget.Fate {
		if h.Opcode() == pdu.OpR2T {
			f(pdu.AsR2T(h))
		}
		return faketarget.Deliver
	}
}

// A GOOD whose last Data-In was lost shows in ExpDataSN and, where that is not
// believed, in the count of bytes.
func TestSession_LostLastDataIn_IsNoticed(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{
			SeparateStatus: true, DataInBytes: 4096,
			Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
				if h.Opcode() == pdu.OpDataIn && h.Final() {
					return faketarget.Lose
				}
				return faketarget.Deliver
			},
		})
		for lenient, want := range map[bool]string{false: "ExpDataSN 2 after 1", true: "4096 of 8192"} {
			d := &Disk{s: dialOn(t, loop, target, Config{Lenient: lenient}), blockBytes: 512, blocks: 2048}
			if _, err := d.ReadAt(make([]byte, 8192), 0); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("lenient=%v: got %v", lenient, err)
			}
		}
	})
}

func TestSession_SpoiledDigest_IsNoticed(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for _, fate := range []faketarget.Fate{faketarget.SpoilHeader, faketarget.SpoilData} {
			target := serveFake(t, faketarget.Config{Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
				if h.Opcode() == pdu.OpDataIn {
					return fate
				}
				return faketarget.Deliver
			}})
			d := &Disk{s: dialOn(t, loop, target, Config{HeaderDigest: true, DataDigest: true}), blockBytes: 512, blocks: 2048}
			if _, err := d.ReadAt(make([]byte, 4096), 0); !errors.Is(err, ErrDigest) {
				t.Errorf("fate %d: got %v", fate, err)
			}
		}
	})
}

// A CDB that no PDU can carry is the caller's mistake, found before it is sent.
func TestSubmit_BadCDB_IsRefused(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{})
		s := dialOn(t, loop, target, Config{})
		for _, n := range []int{0, 5, 261} {
			if err := s.Submit(&Request{Command: Command{CDB: make([]byte, n)}}); err == nil {
				t.Errorf("a CDB of %d bytes was sent", n)
			}
		}
		if n := target.Seen(pdu.OpSCSICommand); n != 0 || s.Err() != nil {
			t.Errorf("%d commands were sent; the session: %v", n, s.Err())
		}
	})
}

// RFC 3720 §3.2.2.1: numbers only move forward, and an impossible pair is ignored.
func TestSession_Window_IgnoresNonsense(t *testing.T) {
	cfg, err := Config{Portal: "h", Target: testTarget}.filled()
	if err != nil {
		t.Fatal(err)
	}
	p := defaults()
	p.CmdSN, p.ExpCmdSN, p.MaxCmdSN = serial.Cmd(10), serial.Cmd(10), serial.Cmd(20)
	s := newSession(cfg, p)
	for _, c := range []struct{ exp, top, wantExp, wantTop uint32 }{
		{12, 30, 12, 30}, {11, 25, 12, 30}, {40, 30, 12, 30}, {31, 30, 31, 30},
	} {
		s.moveWindow(serial.Cmd(c.exp), serial.Cmd(c.top))
		if s.exp.Uint32() != c.wantExp || s.top.Uint32() != c.wantTop {
			t.Errorf("%+v leaves %v..%v", c, s.exp, s.top)
		}
	}
}
