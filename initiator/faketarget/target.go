package faketarget

import (
	"fmt"
	"net"
	"sync"

	"lunar/iscsi/pdu"
)

// BlockBytes is the logical block length.
const BlockBytes = 512

// Config says how a Target behaves; the zero value behaves well.
type Config struct {
	// Blocks is the capacity, 2048 unless told.
	Blocks int
	// Answers replaces the answer to an offered login key; "-" gives none.
	Answers map[string]string
	// Raise is said, as "Key=Value", at the first chance in the operational stage,
	// which is then not left before the initiator has answered.
	Raise []string
	// Refuse ends login with this status, and Redirect goes with it.
	Refuse   pdu.LoginStatus
	Redirect string
	// Admit, when set, sees every Login Request and ends the login with the status that
	// it returns; pdu.LoginSuccess lets it go on.
	Admit func(q pdu.LoginRequest) pdu.LoginStatus
	// NoTSIH has the last Login Response carry TSIH 0.
	NoTSIH bool
	// LoginPart cuts login answers into PDUs of this many bytes, joined by C.
	LoginPart int
	// Window is how many commands may be unanswered, 64 unless told; Hold keeps the
	// window shut until Open is called.
	Window uint32
	Hold   bool
	// R2TBytes is the most one R2T asks for and DataInBytes the most one Data-In
	// carries; the agreed limits bound both.
	R2TBytes, DataInBytes int
	// R2Ts is how many R2Ts of a command are out at once, as far as agreed.
	R2Ts int
	// SeparateStatus sends a SCSI Response after read data instead of S.
	SeparateStatus bool
	// Lost says that a request does not arrive: the target never sees it.
	Lost func(h *pdu.Header) bool
	// Request sees every request of the full feature phase first; true means that
	// it was dealt with.
	Request func(c *Conn, h *pdu.Header, data []byte) bool
	// Reply sees every reply before it is sent and may change it in place.
	Reply func(h *pdu.Header, data []byte) Fate
	// Targets is what SendTargets answers, as "Key=Value" lines, cut into
	// TextPart bytes.
	Targets  []string
	TextPart int
}

// Fate is what becomes of a reply.
type Fate uint8

// Fates.
const (
	Deliver Fate = iota
	// Lose does not send it.
	Lose
	// SpoilHeader and SpoilData flip a bit behind the digest's back.
	SpoilHeader
	SpoilData
)

// Target is a listening fake target.
type Target struct {
	cfg Config
	l   net.Listener
	wg  sync.WaitGroup

	mu     sync.Mutex
	disk   []byte
	faults []string
	conns  []*Conn
	seen   map[pdu.Opcode]int
	snacks []pdu.Header
}

// Start listens on a free loopback port and serves until Stop.
func Start(cfg Config) (*Target, error) {
	if cfg.Blocks == 0 {
		cfg.Blocks = 2048
	}
	if cfg.Window == 0 {
		cfg.Window = 64
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faketarget: %w", err)
	}
	t := &Target{cfg: cfg, l: l, disk: make([]byte, cfg.Blocks*BlockBytes), seen: make(map[pdu.Opcode]int)}
	t.wg.Go(t.accept)
	return t, nil
}

// Portal is host:port.
func (t *Target) Portal() string { return t.l.Addr().String() }

// Disk lends the medium to f.
func (t *Target) Disk(f func([]byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.disk)
}

// Faults is what initiators did wrong, in order.
func (t *Target) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.faults...)
}

// Seen is how many requests with this opcode came in the full feature phase.
func (t *Target) Seen(op pdu.Opcode) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[op]
}

// SNACKs are the SNACK Requests that came.
func (t *Target) SNACKs() []pdu.Header {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]pdu.Header(nil), t.snacks...)
}

// Conns are the connections so far.
func (t *Target) Conns() []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*Conn(nil), t.conns...)
}

// Stop ends all connections and waits for their goroutines.
func (t *Target) Stop() {
	_ = t.l.Close() // a loopback listener: nothing is lost
	for _, c := range t.Conns() {
		_ = c.nc.Close()
	}
	t.wg.Wait()
}

func (t *Target) accept() {
	for {
		nc, err := t.l.Accept()
		if err != nil {
			return
		}
		c := newConn(t, nc)
		t.mu.Lock()
		t.conns = append(t.conns, c)
		t.mu.Unlock()
		t.wg.Go(c.serve)
	}
}

func (t *Target) fault(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) < 100 {
		t.faults = append(t.faults, fmt.Sprintf(format, args...))
	}
}
