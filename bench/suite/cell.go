package suite

import (
	"slices"
	"strconv"
	"time"

	"lunar/bench"
	"lunar/initiator"
	"lunar/reactor"
)

// Unit is the kind of a logical unit, and how much of it is used.
type Unit string

// Units.
const (
	// Cold is a RAM unit of 256 MiB, all of it in use: more than any cache holds.
	Cold Unit = "ram"
	// Hot is the first 4 MiB of the same.
	Hot Unit = "hot"
	// File is a unit in a file on a disk.
	File Unit = "file"
	// Device is a block device on that disk.
	Device Unit = "device"
)

const (
	ramBytes = 256 << 20
	hotBytes = 4 << 20
)

// Digests are what a session protects with CRC32C.
type Digests string

// Digests.
const (
	NoDigests     Digests = ""
	HeaderDigests Digests = "header"
	BothDigests   Digests = "both"
)

// Load is what the generator does. R2T has writes wait to be asked for their data;
// Rate is in operations per second, 0 for as fast as the depth allows. Times, when
// not 0, is how many times as long as others its turns are; whatever the run says,
// they last LeastTime, and there are LeastRounds of them.
type Load struct {
	Name     string  `json:"name"`
	Mix      string  `json:"mix"`
	Block    int     `json:"block_bytes"`
	Depth    int     `json:"depth"`
	Sessions int     `json:"sessions"`
	R2T      bool    `json:"r2t,omitempty"`
	Rate     float64 `json:"rate,omitempty"`
	Times    int     `json:"times,omitempty"`

	LeastTime   time.Duration `json:"least_time_ns,omitempty"`
	LeastRounds int           `json:"least_rounds,omitempty"`
}

// Cell is one load that several contestants run in turn.
type Cell struct {
	Name    string  `json:"name"`
	Group   string  `json:"group"`
	Unit    Unit    `json:"unit"`
	Load    Load    `json:"load"`
	Digests Digests `json:"digests,omitempty"`
	// Polling says that the generator spins instead of sleeping.
	Polling bool `json:"polling,omitempty"`
	// Against are the names of contestants.
	Against []string `json:"against"`
}

// Title says the load in words.
func (c *Cell) Title() string {
	l := c.Load
	words := map[string]string{
		"randread": "random read", "randwrite": "random write", "mix=70": "random, 70 % reads",
		"read": "sequential read", "write": "sequential write",
	}[l.Mix]
	s := sizeText(l.Block) + " " + words
	if l.Sessions > 1 {
		s += ", " + strconv.Itoa(l.Sessions) + " sessions of queue depth " + strconv.Itoa(l.Depth)
	} else {
		s += ", queue depth " + strconv.Itoa(l.Depth)
	}
	switch {
	case l.R2T:
		s += ", by R2T"
	case l.Mix == "write" || l.Mix == "randwrite":
		s += ", immediate data"
	}
	if l.Rate > 0 {
		s += ", " + number(l.Rate) + " operations a second"
	}
	if l.Times > 1 {
		s += ", turns " + strconv.Itoa(l.Times) + " times as long"
	}
	if c.Digests != NoDigests {
		s += ", " + string(c.Digests) + " digests"
	}
	if c.Group == groupAlone && c.Polling { // no other name of a group leaves it open
		s += ", polling generator"
	}
	return s
}

func sizeText(n int) string {
	if n >= 1<<20 {
		return strconv.Itoa(n>>20) + " MiB"
	}
	return strconv.Itoa(n>>10) + " KiB"
}

// time is how long a turn of the cell is measured when others are for d.
func (c *Cell) time(d time.Duration) time.Duration {
	return max(d*time.Duration(max(c.Load.Times, 1)), c.Load.LeastTime)
}

// rounds is how many of them who takes part in, when a run has n.
func (c *Cell) rounds(n int, who Contestant) int {
	n = max(n, c.Load.LeastRounds)
	if who.Rounds > 0 {
		n = min(n, who.Rounds)
	}
	return n
}

// options is the run of the cell against a server, without its time.
func (c *Cell) options(s *server, d Digests) (bench.Options, error) {
	mix, err := bench.ParseMix(c.Load.Mix)
	o := bench.Options{
		URL: s.unit(c.Unit, d), Echo: s.echo, Mix: mix, BlockBytes: c.Load.Block, Depth: c.Load.Depth,
		Sessions: c.Load.Sessions, HeaderDigest: d != NoDigests, DataDigest: d == BothDigests,
		TargetPID: s.pid, Poll: reactor.Sleep, Rate: c.Load.Rate, SizeBytes: ramBytes,
	}
	if c.Polling {
		o.Poll = reactor.Spin
	}
	switch c.Unit {
	case Hot:
		o.SizeBytes = hotBytes
	case File, Device:
		o.SizeBytes = s.size // all of it
	case Cold:
	}
	if c.Load.R2T {
		no, yes := false, true
		o.ImmediateData, o.InitialR2T = &no, &yes
	}
	return o, err
}

// unit is the address of one of the server's units for sessions with digests d.
func (s *server) unit(u Unit, d Digests) initiator.URL {
	url := s.url
	if u == File {
		url.LUN++
	}
	if s.perDigest && d != NoDigests {
		url.Target += "-" + string(d)
	}
	return url
}

// runs says whether a contestant takes part in the cell.
func (c *Cell) runs(name string) bool { return slices.Contains(c.Against, name) }
