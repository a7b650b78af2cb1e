package suite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"lunar/bench"
	"lunar/iscsi/pdu"
	"lunar/reactor/host"
)

const (
	// floodLogins are half open at once; floodHold is the time the target gives them.
	floodLogins = 3000
	floodHold   = 4 * time.Second
	floodRounds = 3
	floodFor    = 2 * time.Second
)

// floodConfig lets every login of the flood in: it is about those that stay half open,
// not those that the door turns away.
const floodConfig = `state = %q
log_level = "error"
[reactors]
cpus = [%d]
[limits]
login_time = %q
logins = 4000
logins_per_source = 4000
[[portal_group]]
portals = ["127.0.0.1:0"]
[[unit]]
name = "ram"
medium = "ram"
size = %q
[[target]]
name = %q
lun = [{ number = 0, unit = "ram" }]
`

// flood measures what half-open logins cost a session beside them: reads before and
// during, in turns.
func (r *run) flood(ctx context.Context, f *findings) {
	how := fmt.Sprintf("IOPS of 4 KiB random reads at depth 32 beside %d logins that stopped in their first header, against the same without, median of %d turns; they are closed after their %v",
		floodLogins, floodRounds, floodHold)
	s, err := r.floodServer(ctx)
	if err != nil {
		f.add("flood", 0, "×", how, err)
		return
	}
	defer s.stop()
	var ratios []float64
	for i := 0; i < floodRounds && err == nil; i++ {
		var ratio float64
		ratio, err = r.floodTurn(ctx, s, uint64(i))
		ratios = append(ratios, ratio)
	}
	m, _ := median(ratios)
	f.add("flood", m, "×", how, err)
}

func (r *run) floodServer(ctx context.Context) (*server, error) {
	if _, err := host.RaiseFDLimit(); err != nil {
		return nil, err
	}
	program, err := self()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(r.dir, "flood.toml")
	text := fmt.Sprintf(floodConfig, filepath.Join(r.dir, "state-flood"), r.cfg.TargetCPU, floodHold, strconv.Itoa(ramBytes), defaultTarget)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("suite: %w", err)
	}
	s, err := launch(ctx, "flood", onCPU(strconv.Itoa(r.cfg.TargetCPU), program, "serve", "--config", file))
	if err != nil {
		return nil, err
	}
	if err := r.fill(ctx, s); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// floodTurn is the share of the reads that is left during a flood.
func (r *run) floodTurn(ctx context.Context, s *server, seed uint64) (float64, error) {
	before, err := floodReads(ctx, s, seed)
	if err != nil {
		return 0, err
	}
	conns, err := halfOpen(ctx, s.url.Portal, floodLogins)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // the target has closed it
		}
	}()
	if err != nil {
		return 0, err
	}
	during, err := floodReads(ctx, s, seed)
	if err != nil {
		return 0, err
	}
	return during / before, closedInTime(conns)
}

func floodReads(ctx context.Context, s *server, seed uint64) (float64, error) {
	c := quickCell
	o, err := c.options(s, NoDigests)
	if err != nil {
		return 0, err
	}
	o.Time, o.Warmup, o.Seed = floodFor/2, floodFor/10, seed
	report, err := bench.Run(ctx, o)
	if err != nil {
		return 0, err
	}
	return report.IOPS, nil
}

// halfOpen opens connections that begin a Login Request and do not end it.
func halfOpen(ctx context.Context, portal string, n int) (conns []net.Conn, err error) {
	var h pdu.Header
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	var d net.Dialer
	for range n {
		c, err := d.DialContext(ctx, "tcp", portal)
		if err != nil {
			return conns, fmt.Errorf("suite: login %d of the flood: %w", len(conns), err)
		}
		conns = append(conns, c)
		if _, err := c.Write(h[:len(h)/2]); err != nil {
			return conns, fmt.Errorf("suite: login %d of the flood: %w", len(conns), err)
		}
	}
	return conns, nil
}

// closedInTime waits for the target to close every connection of a flood.
func closedInTime(conns []net.Conn) error {
	end := time.Now().Add(2 * floodHold)
	for i, c := range conns {
		_ = c.SetReadDeadline(end)
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("suite: %d of %d half-open logins are open after %v", len(conns)-i, len(conns), 2*floodHold)
		}
	}
	return nil
}
