package blk

// Line are requests that wait, in order of arrival. A queue holds in it what it may not start
// yet.
type Line struct {
	// requests[head:] wait.
	requests []*Request
	head     int
}

// Join has requests wait behind all others.
func (l *Line) Join(batch ...*Request) { l.requests = append(l.requests, batch...) }

// Len is how many wait.
func (l *Line) Len() int { return len(l.requests) - l.head }

// First is the one that came first. There is one.
func (l *Line) First() *Request { return l.requests[l.head] }

// Next takes the first one off. The part of the list already taken is used again before the
// list can grow to more than twice what ever waited.
func (l *Line) Next() *Request {
	r := l.requests[l.head]
	l.requests[l.head] = nil
	l.head++
	if l.head*2 >= len(l.requests) {
		n := copy(l.requests, l.requests[l.head:])
		clear(l.requests[n:])
		l.requests, l.head = l.requests[:n], 0
	}
	return r
}
