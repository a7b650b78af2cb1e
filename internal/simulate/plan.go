package simulate

// Plan is what a run does: its settings and the operations of its initiators. When each
// of them happens the dice of the seed decide.
type Plan struct {
	Seed     uint64
	Settings Settings
	Ops      []Op
}

// Settings are the sizes of a run, the keys its initiators offer, and its faults. Every
// field is a number, so that a plan can be written down; flags are 0 and 1.
type Settings struct {
	// Cores, Hosts (initiators), Conns (connections of each session), Units; Window is
	// the command window, Depth how many commands an initiator has under way.
	Cores, Hosts, Conns, Units, Window, Depth int
	// The keys (RFC 3720 §12), as an initiator offers them; TargetRecv is what the target
	// declares.
	HeaderDigest, DataDigest, InitialR2T, Immediate  int
	First, Burst, Recv, TargetRecv, R2T, FirstNumber int
	// Scarce gives little memory; Messages is the room of a mailbox, ReadBytes what a
	// connection may hold of data-in.
	Scarce, Messages, ReadBytes int
	// Chunks divides what the target receives, Short what it sends. Stall is how long a
	// connection or a core may stand still, in steps. Slow media end requests later and in
	// any order, Torn ones move a part of a request first.
	Chunks, Short, Stall, Slow, Torn int
	// Level is the ErrorRecoveryLevel. Above 0 one PDU in Lossy is lost, in either
	// direction; Keep is how many bytes of data-in a connection keeps, 0 enough.
	Level, Lossy, Keep int
	// Retain is for how many seconds the commands of a lost connection wait at level 2.
	Retain int
}

// Kind is what an operation does.
type Kind int

// Kinds of operations.
const (
	Read Kind = iota + 1
	Write
	Sync
	Ready
	Compare
	Same
	Unmap
	Ping
	Text
	AbortTask
	AbortSet
	ClearSet
	ResetUnit
	ResetWarm
	ResetCold
	LogoutSession
	LogoutConn
	Cut
	Reinstate
	Jump
	DiskError
	// Reassign comes of a loss, never of a plan.
	Reassign
	kinds
)

var kindNames = [kinds]string{
	Read: "read", Write: "write", Sync: "sync", Ready: "ready", Compare: "compare", Same: "same", Unmap: "unmap",
	Ping: "ping", Text: "text", AbortTask: "abort-task", AbortSet: "abort-set", ClearSet: "clear-set",
	ResetUnit: "reset-unit", ResetWarm: "reset-warm", ResetCold: "reset-cold", LogoutSession: "logout-session",
	LogoutConn: "logout-conn", Cut: "cut", Reinstate: "reinstate", Jump: "jump", DiskError: "disk-error", Reassign: "reassign",
}

// Faults of the PDU that an operation sends.
const (
	flipData = iota + 1
	flipHeader
	repeat
)

// Op is one operation of an initiator. What a kind has no use for is 0.
type Op struct {
	Kind Kind
	// Host does it, over its connection Conn modulo those it has.
	Host, Conn int
	// Unit, LBA and Blocks are what a command is about.
	Unit, LBA, Blocks int
	// Ordered is the task attribute, Now the I bit, FUA the bit of the CDB.
	Ordered, Now, FUA int
	// Data says what comes unasked, as far as it may: bit 0 immediate data, bit 1 more.
	Data int
	// Fault is what happens to a PDU of it.
	Fault int
	// N is the kind's own: which command is aborted, what a read expects too much, how far
	// time jumps (in milliseconds), what is offered.
	N int
}

// unitBlocks is the size of a unit; most operations are on its first blocks, so that
// they meet.
const (
	unitBlocks = 256
	blockBytes = 512
	hotBlocks  = 12
)

// Draw makes the plan of a seed.
func Draw(seed uint64) Plan {
	d := &dice{mix(seed + 1)}
	p := Plan{Seed: seed, Settings: drawSettings(d)}
	n := d.between(8, 60)
	weights := drawWeights(d)
	if p.Settings.Level == 2 {
		weights[Cut] *= 2
	}
	for range n {
		p.Ops = append(p.Ops, drawOp(d, &p.Settings, weights))
	}
	return p
}

func drawSettings(d *dice) Settings {
	flag := func(in int) int {
		if d.oneIn(in) {
			return 1
		}
		return 0
	}
	s := Settings{
		Cores: d.of(1, 1, 2, 2, 3), Hosts: d.of(1, 1, 2, 3), Conns: d.of(1, 1, 2, 3, 4), Units: d.of(1, 1, 2),
		Window: d.of(2, 4, 8, 12), Depth: d.between(1, 10),
		HeaderDigest: flag(3), DataDigest: flag(2), InitialR2T: flag(2), Immediate: 1 - flag(3),
		First: d.of(512, 1024, 4096, 8192), Burst: d.of(512, 1536, 4096, 65536), Recv: d.of(512, 1000, 4096, 65536),
		TargetRecv: d.of(512, 1024, 8192, 65536), R2T: d.of(1, 1, 2, 8), FirstNumber: d.of(0, 1, 1<<32-1, 1<<32-5, 1<<31-3, 77),
		Scarce: flag(4), Messages: d.of(2, 8, 64), ReadBytes: d.of(4096, 65536, 1<<20),
		Chunks: 1 - flag(4), Short: flag(2), Slow: 1 - flag(4), Torn: flag(2),
	}
	if !d.oneIn(4) {
		s.Stall = d.of(20, 60, 200)
	}
	s.First = min(s.First, s.Burst)
	if s.Level = d.of(0, 0, 0, 1, 1, 2, 2); s.Level > 0 {
		s.Lossy, s.Keep = d.of(0, 6, 20, 60), d.of(0, 0, 0, 4096, 16384)
	}
	if s.Level == 2 {
		s.Retain = d.of(0, 1, 3600, 3600, 3600)
	}
	return s
}

// drawWeights says how often each kind comes in this plan: some not at all, so that
// plans are about different things.
func drawWeights(d *dice) [kinds]int {
	w := [kinds]int{
		Read: 12, Write: 16, Sync: 3, Ready: 2, Compare: 3, Same: 2, Unmap: 2, Ping: 2, Text: 1,
		AbortTask: 4, AbortSet: 2, ClearSet: 2, ResetUnit: 2, ResetWarm: 1, ResetCold: 1,
		LogoutSession: 1, LogoutConn: 2, Cut: 2, Reinstate: 1, Jump: 2, DiskError: 2,
	}
	for k := range w {
		if Kind(k) > Write && d.oneIn(3) {
			w[k] = 0
		}
	}
	return w
}

func drawOp(d *dice, s *Settings, weights [kinds]int) Op {
	total := 0
	for _, w := range weights {
		total += w
	}
	n, k := d.below(total), 0
	for ; n >= weights[k]; k++ {
		n -= weights[k]
	}
	op := Op{
		Kind: Kind(k), Host: d.below(s.Hosts), Conn: d.below(s.Conns), Unit: d.below(s.Units),
		LBA: d.below(hotBlocks), Blocks: d.of(1, 1, 2, 3, 8), Data: d.below(4), N: d.below(1 << 16),
	}
	if d.oneIn(12) {
		op.Blocks = d.between(16, unitBlocks-hotBlocks)
	}
	set := func(x *int, in int) {
		if d.oneIn(in) {
			*x = 1
		}
	}
	set(&op.Ordered, 4)
	set(&op.Now, 6)
	set(&op.FUA, 4)
	if d.oneIn(16) {
		op.Fault = d.between(flipData, repeat)
	}
	return op
}
