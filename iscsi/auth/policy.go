package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"lunar/iscsi/text"
)

// Bounds of what a Policy holds, in bytes.
const (
	// MinSecretBytes is the least a secret may have where nothing encrypts the
	// connection: 96 bits (RFC 3720 §8.2.1 [R-8.2.1-4]).
	MinSecretBytes = 12
	// MaxSecretBytes bounds a secret; a name is bounded by text.MaxValueBytes.
	MaxSecretBytes = 255
)

// Credentials are a CHAP name and its secret. The name need not be an iSCSI name
// (RFC 3720 §8.2 [R-8.2-5]).
type Credentials struct {
	Name   string
	Secret []byte
}

// Policy is what a target, or discovery, demands of one initiator. It is not
// changed while connections use it.
type Policy struct {
	// Users are those who may come; each must be one the initiator that is asked
	// about may use.
	Users []Credentials
	// Mutual is who we are to an initiator that authenticates us too; nil refuses
	// one that asks.
	Mutual *Credentials
	// Algorithms are allowed; nil allows all that are implemented. The initiator's
	// order decides (RFC 3720 §5.2.1).
	Algorithms []Algorithm
	// ShortSecrets allows less than MinSecretBytes: only where IPsec encrypts.
	ShortSecrets bool
}

// Check says what is wrong with a policy and what to do about it. One that did not
// pass must not be used.
func (p *Policy) Check() error {
	if len(p.Users) == 0 {
		return fmt.Errorf("CHAP: no user may log in; give a name and a secret")
	}
	names := map[string]bool{}
	for i := range p.Users {
		u := &p.Users[i]
		if err := p.checkCredentials(u); err != nil {
			return err
		}
		if names[u.Name] {
			return fmt.Errorf("CHAP user %q: named twice; keep one of them", u.Name)
		}
		names[u.Name] = true
	}
	if p.Algorithms != nil && len(p.Algorithms) == 0 {
		return fmt.Errorf("CHAP: no algorithm is allowed; use %v", Algorithms())
	}
	for _, a := range p.Algorithms {
		if !a.Known() {
			return fmt.Errorf("%v: not implemented; use %v", a, Algorithms())
		}
	}
	return p.checkMutual()
}

func (p *Policy) checkMutual() error {
	if p.Mutual == nil {
		return nil
	}
	if err := p.checkCredentials(p.Mutual); err != nil {
		return fmt.Errorf("mutual %w", err)
	}
	for i := range p.Users {
		// RFC 3720 §8.2.1 [R-8.2.1-6]: with one secret for both directions each side
		// could be made to prove it for the other.
		if bytes.Equal(p.Users[i].Secret, p.Mutual.Secret) {
			return fmt.Errorf("CHAP user %q: the secret is also that of mutual user %q; give each direction its own",
				p.Users[i].Name, p.Mutual.Name)
		}
	}
	return nil
}

func (p *Policy) checkCredentials(c *Credentials) error {
	switch n := len(c.Secret); {
	case c.Name == "":
		return fmt.Errorf("CHAP user: the name is empty; give one")
	case len(c.Name) > text.MaxValueBytes || strings.ContainsRune(c.Name, 0):
		return fmt.Errorf("CHAP user %.40q: use a name of at most %d bytes without NUL", c.Name, text.MaxValueBytes)
	case n == 0 || n < MinSecretBytes && !p.ShortSecrets:
		return fmt.Errorf("CHAP user %q: the secret has %d bytes; use at least %d random ones", c.Name, n, MinSecretBytes)
	case n > MaxSecretBytes:
		return fmt.Errorf("CHAP user %q: the secret has %d bytes; use at most %d", c.Name, n, MaxSecretBytes)
	}
	return nil
}

func (p *Policy) algorithms() []Algorithm {
	if p.Algorithms == nil {
		return Algorithms()
	}
	return p.Algorithms
}

// Shared tells of secrets that several names have, or that prove both an initiator
// and ourselves, over all policies of a node: a warning each (RFC 3720 §8.2.1
// [R-8.2.1-11], [R-8.2.1-13]). One name that comes in several policies is one
// user.
func Shared(policies ...*Policy) []string {
	var warnings []string
	first := map[string]string{}
	told := map[string]bool{}
	note := func(kind string, c *Credentials) {
		who := fmt.Sprintf("%s %q", kind, c.Name)
		other, seen := first[string(c.Secret)]
		switch {
		case !seen:
			first[string(c.Secret)] = who
		case other != who && !told[who+other]:
			told[who+other] = true
			warnings = append(warnings, fmt.Sprintf("CHAP %s and %s have the same secret; give each its own", other, who))
		}
	}
	for _, p := range policies {
		for i := range p.Users {
			note("user", &p.Users[i])
		}
		if p.Mutual != nil {
			note("mutual user", p.Mutual)
		}
	}
	return warnings
}

// secretBytes is how much chance a secret of ours holds: 128 bits (RFC 3720 §8.2.1
// [R-8.2.1-2]).
const secretBytes = 16

// NewSecret draws a secret of 128 random bits, as 32 hex digits: characters that
// every initiator's configuration takes.
func NewSecret(chance func([]byte)) []byte {
	var b [secretBytes]byte
	chance(b[:])
	return hex.AppendEncode(nil, b[:])
}

// Node is what all connections of one node have in common.
type Node struct {
	// Key marks the challenges of this node, so that any connection recognises one
	// that comes back. It is random, and the same on every reactor.
	Key [16]byte
	// Chance fills b with random bytes that nobody can foresee. Several reactors may
	// call it at once.
	Chance func(b []byte)
}

// A challenge of ours is nonceBytes of chance and as much of a mark. It is as long
// as the longest digest (RFC 7143 §12.1.3 [N-23]).
const (
	nonceBytes     = 16
	challengeBytes = 2 * nonceBytes
)

// challenge draws an identifier and a challenge that was never used before.
func (n *Node) challenge() (identifier byte, challenge []byte) {
	var b [1 + nonceBytes]byte
	n.Chance(b[:])
	challenge = append(make([]byte, 0, challengeBytes), b[1:]...)
	return b[0], append(challenge, n.mark(b[1:])...)
}

// ours says whether a challenge was made by this node, on whichever connection.
func (n *Node) ours(challenge []byte) bool {
	return len(challenge) == challengeBytes && hmac.Equal(challenge[nonceBytes:], n.mark(challenge[:nonceBytes]))
}

func (n *Node) mark(nonce []byte) []byte {
	h := hmac.New(sha256.New, n.Key[:])
	_, _ = h.Write(nonce) // a hash in memory takes every byte
	return h.Sum(nil)[:nonceBytes]
}
