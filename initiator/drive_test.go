package initiator

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/reactor"
	"lunar/reactor/rings"
)

// eachDrive runs do with everything that can move a session's bytes: goroutines of
// its own, for which loop is nil, and a loop on each ring that this machine has.
func eachDrive(t *testing.T, do func(t *testing.T, loop *drive.Loop)) {
	t.Run("goroutines", func(t *testing.T) { do(t, nil) })
	for _, ring := range rings.Available() {
		t.Run(ring, func(t *testing.T) { do(t, startLoop(t, drive.Config{Ring: ring, Poll: reactor.Sleep})) })
	}
}

func startLoop(t *testing.T, cfg drive.Config) *drive.Loop {
	t.Helper()
	loop, err := drive.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Stop(); err != nil {
			t.Error(err)
		}
	})
	return loop
}

func dialOn(t *testing.T, loop *drive.Loop, target *faketarget.Target, cfg Config) *Session {
	t.Helper()
	cfg.Loop = loop
	return dial(t, target, cfg)
}

// Many sessions share a loop, polling or not; each keeps its data.
func TestLoop_ManySessions_ShareIt(t *testing.T) {
	for _, poll := range []reactor.PollMode{reactor.Sleep, reactor.Auto, reactor.Spin} {
		t.Run(poll.String(), func(t *testing.T) {
			loop := startLoop(t, drive.Config{Poll: poll, Links: 8})
			var wg sync.WaitGroup
			for i := range 8 {
				target := serveFake(t, faketarget.Config{R2Ts: 2, R2TBytes: 7000})
				d := openDisk(t, dialOn(t, loop, target, Config{DataDigest: i%2 == 0}))
				wg.Go(func() {
					for _, n := range []int{512, 65536, 300 << 10} {
						p, q := randomBytes(n+512*i), make([]byte, n+512*i)
						if _, err := d.WriteAt(p, 512); err != nil {
							t.Error(err)
						}
						if _, err := d.ReadAt(q, 512); err != nil || !bytes.Equal(p, q) {
							t.Errorf("session %d read something else: %v", i, err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// A session that is closed while data of all sizes moves ends every command, once.
func TestSession_CloseWhileBusy_EndsEverything(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for round := range 10 {
			target := serveFake(t, faketarget.Config{DataInBytes: 200 << 10})
			s := dialOn(t, loop, target, Config{QueueDepth: 16})
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Add(1)
				r := &Request{}
				ends := 0
				cdb := (&Disk{blockBytes: 512}).BlockCDB(opRead16, 0, 200<<10)
				r.CDB, r.In = cdb[:], make([]byte, 200<<10)
				if i%2 == 0 {
					cdb[0] = opWrite16
					r.Out, r.In = r.In, nil
				}
				r.Done = func(r *Request) {
					if r.Err == nil && s.Submit(r) == nil {
						return
					}
					if ends++; ends > 1 {
						t.Error("a request ended twice")
					}
					wg.Done()
				}
				if err := s.Submit(r); err != nil {
					t.Fatal(err)
				}
			}
			s.Flush()
			time.Sleep(time.Duration(round) * time.Millisecond)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			if !errors.Is(s.Err(), ErrClosed) {
				t.Errorf("the session ended with %v", s.Err())
			}
		}
	})
}

// A loop that stops ends its sessions, and one that has stopped takes none.
func TestLoop_Stop_EndsSessions(t *testing.T) {
	loop := startLoop(t, drive.Config{})
	target := serveFake(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		return h.Opcode() == pdu.OpSCSICommand // never answered
	}})
	s := dialOn(t, loop, target, Config{})
	ended := make(chan error, 1)
	go func() {
		_, err := s.Do(context.Background(), Command{CDB: make([]byte, 6)})
		ended <- err
	}()
	for target.Seen(pdu.OpSCSICommand) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := loop.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, drive.ErrStopped) {
		t.Errorf("the command ended with %v", err)
	}
	late := dialOn(t, loop, target, Config{})
	if _, err := late.Do(t.Context(), Command{CDB: make([]byte, 6)}); !errors.Is(err, drive.ErrStopped) {
		t.Errorf("a session on a stopped loop: %v", err)
	}
}

// What the target sends right behind its last Login Response came with it and is not
// lost when the descriptor changes hands.
func TestLoop_BytesBehindLogin_AreTaken(t *testing.T) {
	loop := startLoop(t, drive.Config{})
	near, far := tcpPair(t)
	cfg, err := Config{Portal: "h", Target: testTarget, Loop: loop}.filled()
	if err != nil {
		t.Fatal(err)
	}
	p := defaults()
	p.StatSN = serial.Stat(1)
	var h pdu.Header
	h.SetOpcode(pdu.OpNOPIn)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(pdu.NoTag)
	pdu.AsNOPIn(&h).SetTTT(7)
	pdu.AsNOPIn(&h).SetStatSN(serial.Stat(1))
	c := NewConn(near)
	c.w = copy(c.buf, h[:])
	s := newSession(cfg, p)
	if err := s.attach(0, p, c); err != nil {
		t.Fatal(err)
	}
	got, err := NewConn(far).Receive()
	if err != nil || pdu.AsNOPOut(&got.Header).TTT() != 7 {
		t.Errorf("the ping was answered by %v, %v", got.Header.Opcode(), err)
	}
	_ = s.Close()
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	if err := far.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return near, far
}
