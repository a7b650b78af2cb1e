//go:build system

package system

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// TestHostilePeers_HurtNobodyElse lets peers send garbage before login, and
// arbitrary PDUs after it, while a good one writes and verifies. Nothing breaks,
// nothing the good one wrote changes, and the daemon does not grow.
func TestHostilePeers_HurtNobodyElse(t *testing.T) {
	for _, reactors := range []string{"1", "2"} {
		t.Run(reactors+" reactors", func(t *testing.T) { hostile(t, reactors) })
	}
}

// hostileFor is how long the peers go on; LUNAR_HOSTILE overrides it.
func hostileFor(t *testing.T) time.Duration {
	s := os.Getenv("LUNAR_HOSTILE")
	if s == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("LUNAR_HOSTILE: %v", err)
	}
	return d
}

func hostile(t *testing.T, reactors string) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--log-level", "error", "--reactors", reactors, "--lun", "ram:size=64MiB", "--lun", "file:size=16MiB,path="+dir+"/f")
	before := resident(t, d)
	length := hostileFor(t)
	end := time.Now().Add(length)
	var all sync.WaitGroup
	all.Go(func() {
		out := run(t, binary, "bench", d.url(0), "--verify", "--rw", "mix=50", "--qd", "16", "--size", "16m", "--time", length.String())
		if !strings.Contains(out, " 0 wrong") {
			t.Errorf("the good initiator: %s", out)
		}
	})
	counts := make([]int, 4)
	for i := range counts {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
			for time.Now().Before(end) {
				if i%2 == 0 {
					counts[i] += garbage(d, r)
				} else {
					counts[i] += arbitrary(t, d, r)
				}
			}
		})
	}
	all.Wait()
	run(t, "iscsi-inq", d.url(0))
	after := resident(t, d)
	t.Logf("%v PDUs; resident %d KiB before, %d KiB after", counts, before, after)
	// The units have 80 MiB, the buffers for what was asked for 192 MiB, and what
	// comes unasked its share per session; all of it stays once it was used.
	if n, _ := strconv.Atoi(reactors); os.Getenv("LUNAR_RACE") == "" && after > before+n*(352<<10) {
		t.Errorf("the daemon grew from %d to %d KiB", before, after)
	}
}

// garbage sends bytes that are no login, or one cut or broken anywhere.
func garbage(d *daemon, r *rand.Rand) int {
	c, err := net.Dial("tcp", d.portal)
	if err != nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	var h pdu.Header
	text := fmt.Sprintf("InitiatorName=iqn.2026-11.test:bad%d\x00TargetName=%s\x00X%d=%s\x00", r.IntN(9), target, r.IntN(9), strings.Repeat("a", r.IntN(300)))
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	pdu.AsLoginRequest(&h).SetStages(pdu.Stage(r.IntN(4)), pdu.Stage(r.IntN(4)), r.IntN(2) == 0, r.IntN(4) == 0)
	h.SetDataBytes(len(text))
	b := append(append([]byte{}, h[:]...), text...)
	b = append(b, make([]byte, pdu.PadBytes(len(text)))...)
	for range r.IntN(4) {
		b[r.IntN(len(b))] = byte(r.Uint32())
	}
	_, _ = c.Write(b[:r.IntN(len(b)+1)])
	_, _ = c.Read(make([]byte, 1024))
	return 1
}

// arbitrary logs in and sends PDUs whose fields are drawn, mostly near what is
// right.
func arbitrary(t *testing.T, d *daemon, r *rand.Rand) (sent int) {
	ctx := t.Context()
	c, err := initiator.Connect(ctx, d.portal)
	if err != nil {
		return 0
	}
	defer func() { _ = c.Close() }()
	p, err := c.Login(ctx, initiator.Config{
		Portal: d.portal, Target: target, Initiator: fmt.Sprintf("iqn.2026-11.test:hostile%d", r.IntN(4)),
		HeaderDigest: r.IntN(2) == 0, DataDigest: r.IntN(2) == 0,
	})
	if err != nil {
		return 0
	}
	_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
	go func() {
		for {
			if _, err := c.Receive(); err != nil {
				return
			}
		}
	}()
	opcodes := []pdu.Opcode{0, 1, 1, 1, 1, 2, 2, 4, 5, 5, 5, 5, 6, 0x10, 0x1c, 3}
	cmdSN := p.CmdSN
	for range 200 {
		var h pdu.Header
		for i := range h {
			if r.IntN(6) == 0 {
				h[i] = byte(r.Uint32())
			}
		}
		h.SetOpcode(opcodes[r.IntN(len(opcodes)-r.IntN(2))])
		if r.IntN(3) == 0 {
			h.SetImmediate()
		}
		h.SetITT(pdu.ITT(r.IntN(20)))
		h[1] |= byte(r.IntN(2)) << 7
		h[8], h[9] = 0, byte(r.IntN(3)) // LUN 0 is spared by the CDB below
		if h.Opcode() != pdu.OpDataOut && h.Opcode() != pdu.OpSNACK {
			pdu.Request{Header: &h}.SetCmdSN(cmdSN)
		}
		switch h.Opcode() {
		case pdu.OpSCSICommand:
			harmless(&h, r)
		case pdu.OpTaskRequest:
			// Resets of the target or of unit 0 would be told to the good initiator too.
			pdu.AsTaskRequest(&h).SetFunction(sam.Function(r.IntN(6)))
			h[9] = max(h[9], 1)
		}
		if !h.Immediate() && r.IntN(5) > 0 {
			cmdSN = cmdSN.Next()
		}
		var data []byte
		if r.IntN(2) == 0 {
			data = make([]byte, r.IntN(9000))
		}
		if c.Send(&h, make([]byte, 4*r.IntN(2)*r.IntN(20)), data) != nil {
			return sent
		}
		sent++
	}
	return sent
}

// harmless keeps a drawn command from changing unit 0, which the good initiator
// verifies: commands that write go to unit 1 or to one that does not exist.
func harmless(h *pdu.Header, r *rand.Rand) {
	cdb := pdu.AsSCSICommand(h).CDB()
	cdb[0] = []byte{0, 3, 8, 0x12, 0x1a, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x88, 0x8a, 0x93, 0x9e, 0xa0, 0xa3}[r.IntN(18)]
	if h[9] == 0 {
		h[9] = 1
	}
	pdu.AsSCSICommand(h).SetEDTL(uint32(r.IntN(200000)))
	if r.IntN(4) > 0 {
		clear(cdb[1:6])
	}
}

// resident is the daemon's resident memory in KiB.
func resident(t *testing.T, d *daemon) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
