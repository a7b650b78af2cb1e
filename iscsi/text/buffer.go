package text

import "strconv"

// Collector joins the data segments of requests with C=1 and the one that closes
// them: they form one logical text segment, parsed only then, because a pair may
// span PDUs (RFC 3720 §5.1 [R-5.1-4]).
type Collector struct {
	b     []byte
	limit int
}

// NewCollector returns a collector for at most limit bytes; RFC 3720 §5.1
// [R-5.1-9] asks for at least 8192.
func NewCollector(limit int) *Collector { return &Collector{limit: limit} }

// Add appends a data segment. It is false, and nothing is kept, when the limit
// would be passed.
func (c *Collector) Add(p []byte) bool {
	if len(c.b)+len(p) > c.limit {
		c.b = nil
		return false
	}
	c.b = append(c.b, p...)
	return true
}

// Bytes is what was collected, valid until Clear.
func (c *Collector) Bytes() []byte { return c.b }

// Clear forgets the text and keeps the memory.
func (c *Collector) Clear() { c.b = c.b[:0] }

// Writer builds a reply up to a limit, so that no list of offers can make an
// answer of any size.
type Writer struct {
	b     []byte
	limit int
	full  bool
}

// NewWriter returns a writer of at most limit bytes.
func NewWriter(limit int) *Writer { return &Writer{limit: limit} }

// Put appends key=value and its NUL [R-5.1-2].
func (w *Writer) Put(key, value string) {
	if len(w.b)+len(key)+len(value)+2 > w.limit {
		w.full = true
		return
	}
	w.b = append(w.b, key...)
	w.b = append(w.b, '=')
	w.b = append(w.b, value...)
	w.b = append(w.b, 0)
}

// PutNumber appends key=decimal.
func (w *Writer) PutNumber(key string, n uint32) {
	w.Put(key, strconv.FormatUint(uint64(n), 10))
}

// Full says that something did not fit.
func (w *Writer) Full() bool { return w.full }

// Bytes is the reply, valid until Clear.
func (w *Writer) Bytes() []byte { return w.b }

// Clear forgets the reply and keeps the memory.
func (w *Writer) Clear() { w.b, w.full = w.b[:0], false }
