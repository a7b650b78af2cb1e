package auth

import (
	"crypto/subtle"
	"strconv"

	"lunar/iscsi/text"
)

// Names of the keys of CHAP (RFC 3720 §11.1.4).
const (
	KeyAlgorithm  = "CHAP_A"
	KeyIdentifier = "CHAP_I"
	KeyChallenge  = "CHAP_C"
	KeyName       = "CHAP_N"
	KeyResponse   = "CHAP_R"
)

// Verdict is what came of one request.
type Verdict uint8

// Verdicts.
const (
	// Right: go on, or the exchange is done.
	Right Verdict = iota + 1
	// Malformed: keys or values that do not belong to the step.
	Malformed
	// Missing: a key that the step needs did not come.
	Missing
	// Denied: nothing that both sides can do, or a proof that does not hold.
	Denied
	// Unable: we have no random bytes.
	Unable
)

type state uint8

const (
	expectAlgorithms state = iota
	expectProof
	done
	failed
)

// CHAP is the exchange of one connection, from our side: the initiator proves
// itself, and we to it when it asks (RFC 3720 §11.1.4).
type CHAP struct {
	policy *Policy
	node   *Node

	state      state
	algorithm  Algorithm
	identifier byte
	challenge  []byte
	user       string
}

// NewCHAP waits for the initiator's list of algorithms.
func NewCHAP(p *Policy, n *Node) *CHAP { return &CHAP{policy: p, node: n} }

// Done says that the initiator proved itself.
func (c *CHAP) Done() bool { return c.state == done }

// User is the name it proved, empty before Done.
func (c *CHAP) User() string { return c.user }

// Take takes the keys of one request and writes ours into out. Any verdict but
// Right ends the login, and nothing succeeds after it.
func (c *CHAP) Take(pairs []text.Pair, out *text.Writer) Verdict {
	v := Malformed
	if k, ok := arrange(pairs); ok {
		switch c.state {
		case expectAlgorithms:
			v = c.begin(&k, out)
		case expectProof:
			v = c.prove(&k, out)
		case done, failed:
		}
	}
	if v != Right {
		c.state, c.user = failed, ""
	}
	return v
}

// said are the keys of one request; nil did not come.
type said struct{ algorithms, identifier, challenge, name, response []byte }

// arrange finds the place of each key. It is false for a key of another method and for
// one that came twice.
func arrange(pairs []text.Pair) (k said, ok bool) {
	for _, p := range pairs {
		var place *[]byte
		switch string(p.Key) {
		case KeyAlgorithm:
			place = &k.algorithms
		case KeyIdentifier:
			place = &k.identifier
		case KeyChallenge:
			place = &k.challenge
		case KeyName:
			place = &k.name
		case KeyResponse:
			place = &k.response
		}
		if place == nil || *place != nil {
			return k, false
		}
		if *place = p.Value; p.Value == nil {
			*place = []byte{}
		}
	}
	return k, true
}

// begin answers CHAP_A by the algorithm, an identifier and a challenge ([R-11.1.4-2]).
func (c *CHAP) begin(k *said, out *text.Writer) Verdict {
	if k.identifier != nil || k.challenge != nil || k.name != nil || k.response != nil {
		return Malformed
	}
	if k.algorithms == nil {
		return Missing
	}
	a, ok := choose(k.algorithms, c.policy.algorithms())
	if !ok {
		return Denied
	}
	if c.node.Chance == nil {
		// A challenge that can be foreseen would let anybody in.
		return Unable
	}
	c.algorithm, c.state = a, expectProof
	c.identifier, c.challenge = c.node.challenge()
	out.PutNumber(KeyAlgorithm, uint32(a))
	out.PutNumber(KeyIdentifier, uint32(c.identifier))
	out.Put(KeyChallenge, text.Hex(c.challenge))
	return Right
}

// proof is the second request, read.
type proof struct {
	name, response []byte
	// challenge is theirs, nil when they do not want to know us.
	identifier byte
	challenge  []byte
}

// prove takes name and response, and perhaps a challenge to us ([R-11.1.4-3]).
func (c *CHAP) prove(k *said, out *text.Writer) Verdict {
	p, v := read(k)
	if v != Right {
		return v
	}
	if !c.genuine(&p) || !c.unreflected(&p) {
		return Denied
	}
	if p.challenge != nil {
		m := c.policy.Mutual
		// [R-11.1.4-4]: asked for what we cannot prove.
		if m == nil {
			return Denied
		}
		out.Put(KeyName, m.Name)
		out.Put(KeyResponse, text.Hex(c.algorithm.Response(p.identifier, m.Secret, p.challenge)))
	}
	c.state, c.user = done, string(p.name)
	return Right
}

// read checks the form of a proof (RFC 3720 §8.2 [R-8.2-2]). A missing CHAP_R is no
// wrong one: without that difference a target could be made to answer its own
// challenge ([R-8.2-4]).
func read(k *said) (p proof, v Verdict) {
	var ok [3]bool
	p.name = k.name
	p.response, ok[0] = optional(k.response)
	p.challenge, ok[1] = optional(k.challenge)
	p.identifier, ok[2] = identifier(k.identifier)
	switch {
	case k.algorithms != nil, ok != [3]bool{true, true, true}, len(k.name) > text.MaxValueBytes:
		return p, Malformed
	case k.name == nil, k.response == nil, (k.identifier == nil) != (k.challenge == nil):
		return p, Missing
	}
	return p, Right
}

// optional reads a binary value where there is one.
func optional(v []byte) ([]byte, bool) {
	if v == nil {
		return nil, true
	}
	return text.Binary(v, text.MaxBinaryBytes)
}

func identifier(v []byte) (byte, bool) {
	if v == nil {
		return 0, true
	}
	n, ok := text.Number(v)
	return byte(n), ok && n <= 0xff
}

// noSecret stands in for the secret of a user nobody knows.
var noSecret = make([]byte, secretBytes)

// genuine checks the response. For an unknown name the response to another secret is
// worked out and thrown away, and every name is compared, so that the time taken
// does not tell names.
func (c *CHAP) genuine(p *proof) bool {
	secret, known := noSecret, 0
	if len(c.policy.Users) > 0 {
		secret = c.policy.Users[0].Secret
	}
	for i := range c.policy.Users {
		if u := &c.policy.Users[i]; subtle.ConstantTimeCompare([]byte(u.Name), p.name) == 1 {
			secret, known = u.Secret, 1
		}
	}
	right := c.algorithm.Response(c.identifier, secret, c.challenge)
	// A policy that was not checked may hold an empty secret, which proves nothing.
	return known&subtle.ConstantTimeCompare(right, p.response) == 1 && len(secret) > 0
}

// unreflected is false when somebody uses us against ourselves (RFC 3720 §8.2.1): a
// challenge of ours comes back, from this or another connection ([R-8.2.1-10]); the
// response is the one we would have given ([R-8.2.1-7]); or both directions have one
// secret ([R-8.2.1-6]).
func (c *CHAP) unreflected(p *proof) bool {
	if c.node.ours(p.challenge) {
		return false
	}
	m := c.policy.Mutual
	if m == nil {
		return true
	}
	mine := c.algorithm.Response(c.identifier, m.Secret, c.challenge)
	return subtle.ConstantTimeCompare(mine, p.response) == 0
}

// Offer writes algorithms as the value of CHAP_A, in their order.
func Offer(algorithms []Algorithm) string {
	var b []byte
	for i, a := range algorithms {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(a), 10)
	}
	return string(b)
}
