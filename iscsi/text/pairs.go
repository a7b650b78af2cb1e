package text

import "bytes"

// Limits of RFC 3720 §5.1, in bytes.
const (
	// MaxKeyBytes is the longest key name [R-5.1-3].
	MaxKeyBytes = 63
	// MaxValueBytes is the longest simple value [R-5.1-8].
	MaxValueBytes = 255
)

// Reserved values (RFC 3720 §5.2 [R-5.2-10]).
const (
	None          = "None"
	Reject        = "Reject"
	Irrelevant    = "Irrelevant"
	NotUnderstood = "NotUnderstood"
	Yes           = "Yes"
	No            = "No"
)

// Pair is one key=value, both in the received bytes.
type Pair struct {
	Key, Value []byte
}

// NextPair splits the first pair off b, a complete text segment. It is false for
// a syntax error: no '=', a key that breaks [R-5.1-3], or no NUL at the end
// [R-5.1-2]. At the end of b it returns a zero Pair and true.
func NextPair(b []byte) (p Pair, rest []byte, ok bool) {
	if len(b) == 0 {
		return Pair{}, nil, true
	}
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return Pair{}, nil, false
	}
	key, value, found := bytes.Cut(b[:end], []byte{'='})
	if !found || !validKey(key) {
		return Pair{}, nil, false
	}
	return Pair{key, value}, b[end+1:], true
}

// lowerCaseKey is the one standard key that breaks the standard's own rule for
// key names (RFC 7144 §7.1.1).
const lowerCaseKey = "iSCSIProtocolLevel"

// validKey checks RFC 3720 §5.1 [R-5.1-3]: a capital letter, then letters,
// digits and . - + @ _, at most 63 in all. '#' stands in the names of public
// extension keys (X#…, §11.1 of RFC 7143).
func validKey(k []byte) bool {
	if len(k) == 0 || len(k) > MaxKeyBytes {
		return false
	}
	if (k[0] < 'A' || k[0] > 'Z') && string(k) != lowerCaseKey {
		return false
	}
	for _, c := range k {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '+', c == '@', c == '_', c == '#':
		default:
			return false
		}
	}
	return true
}

// NextItem splits the first member off a comma-separated list (RFC 3720 §5.1).
func NextItem(list []byte) (item, rest []byte) {
	item, rest, _ = bytes.Cut(list, []byte{','})
	return item, rest
}
