package auth

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"hash"
	"strconv"

	"lunar/iscsi/text"
)

// Algorithm is a CHAP algorithm by its number in the registry of PPP
// authentication algorithms.
type Algorithm uint8

// Algorithms.
const (
	MD5    Algorithm = 5
	SHA1   Algorithm = 6
	SHA256 Algorithm = 7
	SHA3   Algorithm = 8
)

// method is one row of the table of algorithms.
type method struct {
	number Algorithm
	name   string
	hash   func() hash.Hash
}

// methods is the table, the strongest first: the order in which they are offered
// when nobody says otherwise (RFC 7143 §12.1.3 [N-23]).
var methods = [...]method{
	{SHA3, "SHA3-256", func() hash.Hash { return sha3.New256() }},
	{SHA256, "SHA-256", sha256.New},
	{SHA1, "SHA-1", sha1.New},
	{MD5, "MD5", md5.New},
}

// Algorithms are all that are implemented, the strongest first.
func Algorithms() []Algorithm {
	all := make([]Algorithm, len(methods))
	for i := range methods {
		all[i] = methods[i].number
	}
	return all
}

func (a Algorithm) method() *method {
	for i := range methods {
		if methods[i].number == a {
			return &methods[i]
		}
	}
	return nil
}

// Known says whether the algorithm is implemented.
func (a Algorithm) Known() bool { return a.method() != nil }

// String is the name of the hash function, or the number of an unknown one.
func (a Algorithm) String() string {
	if m := a.method(); m != nil {
		return m.name
	}
	return "CHAP algorithm " + strconv.Itoa(int(a))
}

// Response is the value that proves a secret: the hash of identifier, secret and
// challenge (RFC 1994 §4.1 [R-11.1.4-6]). It is nil for an unknown algorithm.
func (a Algorithm) Response(identifier byte, secret, challenge []byte) []byte {
	m := a.method()
	if m == nil {
		return nil
	}
	h := m.hash()
	// A hash in memory takes every byte.
	_, _ = h.Write([]byte{identifier})
	_, _ = h.Write(secret)
	_, _ = h.Write(challenge)
	return h.Sum(nil)
}

// choose returns the first algorithm of an offered list that is allowed (RFC 3720
// §5.2.1 [R-5.2.1-1]). What is no number or no number of ours is passed over.
func choose(list []byte, allowed []Algorithm) (Algorithm, bool) {
	for rest := list; len(rest) > 0; {
		var item []byte
		item, rest = text.NextItem(rest)
		n, ok := text.Number(item)
		if !ok {
			continue
		}
		for _, a := range allowed {
			if uint64(a) == n && a.Known() {
				return a, true
			}
		}
	}
	return 0, false
}
