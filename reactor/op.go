package reactor

import "lunar/internal/buf"

// Kind says whose operation a token belongs to. The loop gives it no meaning.
type Kind uint8

// Token identifies an operation: kind (8 bits), generation (24), slab index (32).
// No pointer enters the kernel, and a completion that arrives after its owner
// was reused is recognised by its generation.
type Token uint64

const (
	kindShift       = 56
	generationShift = 32
	generationMask  = 1<<24 - 1
)

// NewToken packs a token; only the low 24 bits of generation are kept.
func NewToken(kind Kind, generation, index uint32) Token {
	return Token(kind)<<kindShift | Token(generation&generationMask)<<generationShift | Token(index)
}

// Kind is the owner's kind.
func (t Token) Kind() Kind { return Kind(t >> kindShift) }

// Generation is the low 24 bits of the owner's generation.
func (t Token) Generation() uint32 { return uint32(t>>generationShift) & generationMask }

// Index is the owner's slab index.
func (t Token) Index() uint32 { return uint32(t) }

// Code is what an operation does.
type Code uint8

// Operations. Memory named by Data and Iov belongs to the kernel from Submit
// until the operation's own last completion, cancelled or not.
const (
	// Accept takes connections from the listening FD: one completion each, with
	// Result = descriptor (close-on-exec, non-blocking) and More set.
	Accept Code = iota + 1
	// Recv with nil Data receives what has arrived into a buffer of the loop's
	// choosing (Loop.Received, Loop.Recycle). With Data it fills all of Data and
	// may end short only at end of stream or on error. Result 0 is end of stream.
	Recv
	// Send sends Iov. At most one per descriptor is in flight. Result is the
	// number of bytes, perhaps fewer than asked.
	Send
	// Read and Write move Data at Offset; Result may be short.
	Read
	Write
	// Sync makes earlier completed writes durable (fdatasync).
	Sync
	// Discard punches a hole of Length bytes at Offset; Zero writes zeros there
	// and keeps the range allocated.
	Discard
	Zero
	// Cancel asks that the operation with token Target end early; that operation
	// still reports. Result of Cancel itself carries no meaning.
	Cancel
	// Shutdown ends both directions of a socket; Close gives FD back.
	Shutdown
	Close
	// Forget lets go of FD, on which nothing is in flight, without closing it: another
	// loop may use it, already while this is under way.
	Forget
)

// Flag changes how an operation is done.
type Flag uint8

// Flags.
const (
	// Async hands the operation to a kernel worker at once, for files whose
	// submission can block (FUSE: datapath design §10).
	Async Flag = 1 << iota
	// DSync makes a Write durable before it is reported (RWF_DSYNC).
	DSync
)

// Op is one operation of a turn. Unused fields are zero.
type Op struct {
	Token  Token
	Target Token
	Offset int64
	Length int64
	Data   []byte
	Iov    []buf.Iovec
	FD     int32
	Code   Code
	Flags  Flag
}

// NoBuffer is Completion.Buffer when the loop chose no buffer.
const NoBuffer = -1

// Completion is the end, or one of several results, of an operation, or a timer
// that expired.
type Completion struct {
	Token Token
	// Result is a count, a descriptor, or a negative errno.
	Result int32
	// Buffer is the receive buffer of a Recv with nil Data, else NoBuffer. The
	// receiver gives it back with Loop.Recycle.
	Buffer int32
	// More says that the operation goes on and will report again.
	More bool
	// Timer says that this is a timer armed under Token, not an operation.
	Timer bool
}

// Turn is what crosses between a Loop and its Ring once per turn.
type Turn struct {
	// Ops are the operations to start, in order. The ring copies what it keeps.
	Ops []Op
	// Recycled are receive buffers given back.
	Recycled []int32
	// Completions has room for what finished; the ring appends up to its capacity
	// and keeps the rest for the next turn.
	Completions []Completion
	// WaitNanos is how long to sleep when nothing has finished: 0 polls, a
	// negative value sleeps until a completion or a Wake.
	WaitNanos int64
}

// Ring is a completion interface over io_uring, epoll or a simulation. Upper
// layers cannot tell them apart. All methods but Wake are called from the
// goroutine that owns the loop.
type Ring interface {
	// Turn starts t.Ops, takes back t.Recycled and appends to t.Completions. An
	// error means the ring itself is unusable.
	Turn(t *Turn) error
	// Wake ends a sleep in Turn. It may be called from any goroutine.
	Wake() error
	// Close cancels and awaits everything in flight, then frees the ring.
	Close() error
	// Name is "uring", "epoll" or "fake".
	Name() string
}
