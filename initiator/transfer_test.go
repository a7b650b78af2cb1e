package initiator

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
)

func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func openDisk(t *testing.T, s *Session) *Disk {
	t.Helper()
	d, err := OpenDisk(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// roundTrip writes, reads back and compares with the medium.
func roundTrip(t *testing.T, target *faketarget.Target, d *Disk, n int) {
	t.Helper()
	want := randomBytes(n)
	if k, err := d.WriteAt(want, 1024); k != n || err != nil {
		t.Fatalf("write: %d, %v", k, err)
	}
	target.Disk(func(disk []byte) {
		if !bytes.Equal(disk[1024:1024+n], want) {
			t.Error("the medium holds something else than was written")
		}
	})
	got := make([]byte, n)
	if k, err := d.ReadAt(got, 1024); k != n || err != nil {
		t.Fatalf("read: %d, %v", k, err)
	}
	if !bytes.Equal(got, want) {
		t.Error("read something else than was written")
	}
}

// Every way data may travel, against a target that judges each PDU.
func TestDisk_RoundTrip_AllTransferModes(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for bits := range 32 {
			immediate, initial := bits&1 != 0, bits&2 != 0
			digest, separate := bits&4 != 0, bits&8 != 0
			r2ts := 1 + bits>>4*2
			name := fmt.Sprintf("immediate=%v,initialR2T=%v,digest=%v,separate=%v,r2ts=%d", immediate, initial, digest, separate, r2ts)
			t.Run(name, func(t *testing.T) {
				target := serveFake(t, faketarget.Config{
					SeparateStatus: separate, R2Ts: r2ts, R2TBytes: 7000, DataInBytes: 5000,
				})
				s := dialOn(t, loop, target, Config{
					ImmediateData: &immediate, InitialR2T: &initial, MaxOutstandingR2T: uint16(r2ts),
					HeaderDigest: digest, DataDigest: digest, FirstBurst: 12000, MaxBurst: 20000,
				})
				d := openDisk(t, s)
				for _, n := range []int{512, 4096, 8192, 12288, 65536, 300 << 10} {
					roundTrip(t, target, d, n)
				}
				if err := d.Sync(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Logout(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func TestSession_CmdSNWraps(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{Window: 3})
		d := openDisk(t, dialOn(t, loop, target, Config{FirstCmdSN: 0xfffffff0}))
		for range 40 {
			roundTrip(t, target, d, 512)
		}
	})
}

func TestSession_ManyCallers_ShareTheWindow(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{Window: 5})
		d := openDisk(t, dialOn(t, loop, target, Config{QueueDepth: 8}))
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				p, q := bytes.Repeat([]byte{byte(i)}, 4096), make([]byte, 4096)
				for range 20 {
					if _, err := d.WriteAt(p, int64(i)*4096); err != nil {
						t.Error(err)
						return
					}
					if _, err := d.ReadAt(q, int64(i)*4096); err != nil || !bytes.Equal(p, q) {
						t.Errorf("caller %d read something else: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
