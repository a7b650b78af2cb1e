// Package blk is what a logical unit asks of a medium: one Request, one Queue
// that starts requests and reports them, and what a medium says of itself.
//
// Owner: a Request belongs to the reactor that owns its Queue from Submit until
// it stands in the list of finished requests. A Queue is used by one reactor.
//
// The durability words mean what they say from the first day: a Write with FUA,
// and every Write finished before a Sync was submitted, are on stable storage
// when that request is reported OK (SBC-3 §4.15).
package blk

// Op is what a Request does.
type Op uint8

// Operations.
const (
	Read Op = iota + 1
	Write
	// Sync makes every write finished before it durable.
	Sync
	// Discard deallocates a range; it reads as zeros afterwards.
	Discard
	// Zero writes zeros and keeps the range allocated.
	Zero
	// Map asks how many bytes from Offset, at most Length, are all allocated or all
	// deallocated: Progress and Hole. It is a whole number of blocks and at least
	// one, but may be less than there are in that state. A hole reads as zeros; what
	// a medium does not know is no hole.
	Map
)

// Result is how a request ended.
type Result uint8

// Results. The zero value means still running.
const (
	Running Result = iota
	OK
	// MediumError: the medium could not read or store the range.
	MediumError
	// NoSpace: the store behind a thin medium is full.
	NoSpace
	// NotReady: the medium is gone or not usable now.
	NotReady
	// Unsupported: the medium cannot do this operation.
	Unsupported
	// Differs: the medium holds other data than a comparison expected; Progress is
	// the offset of the first byte that differs. Backends never report it.
	Differs
	// WrongGuard, WrongApplicationTag and WrongReferenceTag: the protection information of
	// the block at Progress does not fit its data (SBC-4 §4.21).
	WrongGuard
	WrongApplicationTag
	WrongReferenceTag
)

// MaxRequestBytes is the longest Read or Write: the largest pooled buffer.
const MaxRequestBytes = 256 << 10

// MaxProtectedBytes is the longest Read or Write with Tuples: with them it fits into one
// such buffer, whatever the block size.
const MaxProtectedBytes = 248 << 10

// Request is one operation on a medium.
type Request struct {
	Op Op
	// FUA asks that a Write be durable when it is reported.
	FUA    bool
	Result Result
	// Hole and Anchored are the answer of a Map: the bytes are deallocated, or allocated
	// and never written.
	Hole, Anchored bool
	// Offset and Length are in bytes and multiples of the block size. Length
	// equals len(Data) for Read and Write, and is not zero for Map.
	Offset, Length int64
	// Data is page-aligned memory outside the Go heap, the backend's until the
	// request is reported.
	Data []byte
	// Tuples is, where it is not nil, protection information of the blocks of a Read or
	// Write, eight bytes for each, as Data is: it is read without being checked, or stored as
	// it is. Only a medium whose Info says Protected takes it.
	Tuples []byte
	// Bare has a Zero leave blocks that say nothing in their protection information, as
	// Discard does.
	Bare bool
	// Tag is the submitter's; a backend carries it and gives it no meaning.
	Tag uint64
	// Progress counts the bytes already moved of an operation that the kernel
	// did in parts, and is the answer of a Map. It belongs to the backend.
	Progress int64
}

// Info is what a medium says of itself.
type Info struct {
	// Bytes is the capacity, a multiple of BlockBytes.
	Bytes int64
	// BlockBytes is the logical block size, 512 or 4096; PhysicalBytes the size
	// below which a write costs a read, a multiple of it.
	BlockBytes, PhysicalBytes uint32
	// AlignedBytes is where the first physical block begins that the medium has as a
	// whole, OptimalBytes the length of requests that it likes best, 0 when it has none.
	AlignedBytes, OptimalBytes uint32
	// ReadOnly media refuse Write, Discard and Zero.
	ReadOnly bool
	// Thin media deallocate on Discard; DiscardBytes is the granularity, and the first
	// granule begins at DiscardOffset.
	Thin bool
	// Anchors: what Zero keeps allocated is Anchored to a Map, until it is written.
	Anchors                     bool
	DiscardBytes, DiscardOffset uint32
	// AtomicBytes is the longest Write that is stored as a whole or not at all, whatever
	// ends the machine, wherever it begins; 0 when there is none.
	AtomicBytes uint32
	// VolatileCache says that a finished Write without FUA is durable only after
	// Sync; it becomes WCE of the caching mode page (08h).
	VolatileCache bool
	// Rotational media say so in VPD page B1h.
	Rotational bool
	// Protected media keep protection information beside each block.
	Protected bool
	// CacheBytes is how much of what is read a cache before the medium may keep, 0 when
	// there is none.
	CacheBytes int64
}

// Blocks is the capacity in logical blocks.
func (i Info) Blocks() uint64 { return uint64(i.Bytes) / uint64(i.BlockBytes) }

// Queue is the submission side of a medium on one reactor. It is crossed once
// per turn with all requests of the turn, not once per request.
type Queue interface {
	// Submit starts the requests. Those that end at once are appended to done,
	// which is returned; the others come back from Complete.
	Submit(batch []*Request, done []*Request) []*Request
	// Complete takes the end of the ring operation in slot, with the kernel's
	// result (bytes, or a negative errno), and appends what that finished.
	Complete(slot uint32, result int32, done []*Request) []*Request
	// Running is the number of requests submitted and not yet reported.
	Running() int
}

// Backend is a medium.
type Backend interface {
	Info() Info
	// Describe names the medium in messages: "file /path", "ram 1 GiB".
	Describe() string
	// Close gives the medium back. Every queue must be idle.
	Close() error
}

// Sharer is a backend that can have ranges of it share the store of another one's, until
// either is written. That may wait for a disk: it is not asked on a reactor, but beside
// requests.
type Sharer interface {
	// Granule is what offsets and lengths are multiples of, 0 when nothing can be shared.
	Granule(from Backend) int64
	// Share has bytes at destination read as those of another backend at source, from now on
	// durably if asked. Unsupported says that data has to be moved instead.
	Share(from Backend, source, destination, bytes int64, durable bool) Result
}

// Usage is how much of the store behind a medium is taken.
type Usage struct {
	// Used is what the medium takes of it, Available what the store could still give, in
	// bytes.
	Used, Available int64
	// Known is false when the store does not say.
	Known bool
}

// Meter is a backend that can find out how much of its store is taken. That may wait for
// a disk: it is not asked on a reactor, and by one goroutine at a time, beside requests
// but not beside Close.
type Meter interface{ Usage() (Usage, error) }
