package echo

import "lunar/internal/buf"

const (
	// batchReplies is the most replies of one send: the kernel takes 1024 pieces,
	// and a reply has at most two.
	batchReplies = 512
	// maxOwed is how many replies may wait before no more is received. It is more
	// than a generator has under way, so that only a peer that does not read its
	// replies meets it.
	maxOwed = 2048
	// directBytes is the least rest of a write that is received straight into its
	// place, as the target does.
	directBytes = 32 << 10
)

// conn is one connection: what was received of a request, the replies owed, and
// the send under way.
type conn struct {
	fd     int32
	memory []byte
	size   int

	head [HeaderBytes]byte
	got  int
	// write is the request whose data is being received, place where it still goes.
	write Header
	place []byte

	// asked are reads that a device is to be asked for, when it fetches; it has so many reading.
	fetches bool
	asked   []Header
	reading int

	owed []Header
	// headers is the memory of the headers under way, off the heap; rest is what of
	// the send is left.
	headers []byte
	iov     []buf.Iovec
	rest    []buf.Iovec

	receiving, sending, direct, dirty, dead bool
}

// feed takes received bytes, in any division. It is false when the peer asks for
// what there is not: such a connection ends.
func (c *conn) feed(p []byte) bool {
	for len(p) > 0 {
		if len(c.place) > 0 {
			n := copy(c.place, p)
			p = p[n:]
			c.placed(n)
			continue
		}
		header := p
		if c.got == 0 && len(p) >= HeaderBytes {
			p = p[HeaderBytes:]
		} else {
			n := copy(c.head[c.got:], p)
			p = p[n:]
			if c.got += n; c.got < HeaderBytes {
				return true
			}
			c.got, header = 0, c.head[:]
		}
		if !c.begin(ParseHeader(header)) {
			return false
		}
	}
	return true
}

// begin takes a complete header.
func (c *conn) begin(h Header) bool {
	if !h.fits(c.size) || h.Op == Write && !h.fits(len(c.memory)) {
		return false
	}
	if n, _ := h.Carried(); n > 0 {
		c.write, c.place = h, c.memory[h.Offset:][:n]
		return true
	}
	if c.fetches && h.Length > 0 {
		c.asked = append(c.asked, h)
	} else {
		c.owed = append(c.owed, h)
	}
	return true
}

// placed counts bytes of a write that stand where they belong.
func (c *conn) placed(n int) {
	if c.place = c.place[n:]; len(c.place) == 0 {
		c.owed = append(c.owed, c.write)
	}
}

// gather lays out a send of the replies owed, unless one is under way, and says
// whether there is something to send.
func (c *conn) gather() bool {
	if c.sending || c.dead {
		return false
	}
	if len(c.rest) > 0 {
		return true
	}
	n := min(len(c.owed), batchReplies)
	c.iov = c.iov[:0]
	from := 0 // headers[from:to] has no piece yet
	for i, h := range c.owed[:n] {
		to := (i + 1) * HeaderBytes
		h.Put(c.headers[to-HeaderBytes:])
		// Headers without data between them stand side by side: one piece.
		if _, data := h.Carried(); data > 0 {
			c.iov = append(c.iov, buf.IovecOf(c.headers[from:to]), buf.IovecOf(c.data(h)))
			from = to
		}
	}
	if to := n * HeaderBytes; from < to {
		c.iov = append(c.iov, buf.IovecOf(c.headers[from:to]))
	}
	c.owed = c.owed[:copy(c.owed, c.owed[n:])]
	c.rest = c.iov
	return n > 0
}

// data is where what a request reads lies: in its place, if the memory has that.
func (c *conn) data(h Header) []byte {
	at, n := h.Offset, uint64(len(c.memory))
	if at+uint64(h.Length) > n {
		if at %= n; at+uint64(h.Length) > n {
			at = 0
		}
	}
	return c.memory[at:][:h.Length]
}

// sent drops what a send has taken.
func (c *conn) sent(n int) { c.rest = buf.Drop(c.rest, n) }
