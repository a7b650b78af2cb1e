package initiator

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"

	"lunar/iscsi/auth"
	"lunar/iscsi/text"
)

// CHAP are the credentials of a login (RFC 3720 §11.1.4). The zero value offers no
// authentication.
type CHAP struct {
	// User and Secret prove us. With them alone a target that demands no proof is
	// taken too.
	User, Secret string
	// TargetSecret, when set, demands that the target proves itself, by the name
	// TargetUser if that is set too. Then no login goes on without.
	TargetUser, TargetSecret string
}

// check says what is wrong with credentials and with what goes with them.
func (c *CHAP) check(algorithms []auth.Algorithm, short bool) error {
	p := auth.Policy{Algorithms: algorithms, ShortSecrets: short}
	switch {
	case c.User == "" && (c.Secret != "" || c.TargetUser != "" || c.TargetSecret != ""):
		return fmt.Errorf("initiator: CHAP without a user; give User and Secret")
	case c.User == "":
		return nil
	case c.TargetSecret == "" && c.TargetUser != "":
		return fmt.Errorf("initiator: CHAP user %q of the target without a secret; give TargetSecret", c.TargetUser)
	}
	p.Users = []auth.Credentials{{Name: c.User, Secret: []byte(c.Secret)}}
	if c.TargetSecret != "" {
		// A target may be known by any name; ours stands in for it in the check.
		p.Mutual = &auth.Credentials{Name: or(c.TargetUser, c.User), Secret: []byte(c.TargetSecret)}
	}
	if err := p.Check(); err != nil {
		return fmt.Errorf("initiator: %w", err)
	}
	return nil
}

// methods is what AuthMethod offers. Where the target must prove itself, None would
// let anybody be it.
func (c *CHAP) methods() string {
	switch {
	case c.User == "":
		return text.None
	case c.TargetSecret != "":
		return "CHAP"
	}
	return "CHAP,None"
}

// chapStep is what a login with CHAP waits for.
type chapStep uint8

const (
	chapUnused chapStep = iota // until AuthMethod=CHAP came back
	chapChallenge
	chapAnswer // to our response
	chapDone
)

// chapTask is our side of one exchange.
type chapTask struct {
	step chapStep
	// heard are the keys of the answer being read.
	heard     map[string]string
	algorithm auth.Algorithm
	// identifier and challenge are ours to the target.
	identifier byte
	challenge  []byte
}

// hear takes one key, to be looked at with the whole answer.
func (t *chapTask) hear(key, value string) bool {
	switch key {
	case auth.KeyAlgorithm, auth.KeyIdentifier, auth.KeyChallenge, auth.KeyName, auth.KeyResponse:
	default:
		return false
	}
	if t.heard == nil {
		t.heard = make(map[string]string)
	}
	t.heard[key] = value
	return true
}

// chosen takes the answer to AuthMethod.
func (n *negotiation) chosen(value string) error {
	if offered := n.cfg.CHAP.methods(); !inList(offered, value) {
		return broken("it chose AuthMethod=%s out of %s", value, offered)
	}
	if value != text.None {
		list := n.cfg.Algorithms
		if list == nil {
			list = auth.Algorithms()
		}
		n.chap.step = chapChallenge
		n.say(auth.KeyAlgorithm, auth.Offer(list))
	}
	return nil
}

// authenticate goes on after a whole answer was heard.
func (n *negotiation) authenticate(wasDue chapStep) error {
	t := &n.chap
	heard := t.heard
	t.heard = nil
	switch {
	case wasDue == chapChallenge:
		return n.respond(heard)
	case wasDue == chapAnswer && len(heard) > 0:
		return n.verify(heard)
	case len(heard) > 0:
		return broken("keys of CHAP came that nobody waited for")
	}
	return nil
}

// respond answers the target's challenge, and challenges it when it must prove
// itself.
func (n *negotiation) respond(heard map[string]string) error {
	t, c := &n.chap, &n.cfg.CHAP
	number, ok1 := text.Number([]byte(heard[auth.KeyAlgorithm]))
	id, ok2 := text.Number([]byte(heard[auth.KeyIdentifier]))
	theirs, ok3 := text.Binary([]byte(heard[auth.KeyChallenge]), text.MaxBinaryBytes)
	if !ok1 || !ok2 || !ok3 || id > 0xff || len(heard) != 3 {
		return broken("its CHAP challenge is incomplete or malformed: %.80q", fmt.Sprint(heard))
	}
	if !inList(n.said[auth.KeyAlgorithm], strconv.FormatUint(number, 10)) {
		return broken("it chose CHAP algorithm %d out of %s", number, n.said[auth.KeyAlgorithm])
	}
	t.algorithm, t.step = auth.Algorithm(number), chapAnswer
	n.say(auth.KeyName, c.User)
	n.say(auth.KeyResponse, text.Hex(t.algorithm.Response(byte(id), []byte(c.Secret), theirs)))
	if c.TargetSecret == "" {
		return nil
	}
	// RFC 3720 §8.2.1 [R-8.2.1-9]: a challenge of our own, never theirs.
	b := make([]byte, 33)
	_, _ = rand.Read(b) // documented never to fail
	t.identifier, t.challenge = b[0], b[1:]
	n.say(auth.KeyIdentifier, strconv.Itoa(int(t.identifier)))
	n.say(auth.KeyChallenge, text.Hex(t.challenge))
	return nil
}

// verify checks what the target gave as its proof.
func (n *negotiation) verify(heard map[string]string) error {
	t, c := &n.chap, &n.cfg.CHAP
	if c.TargetSecret == "" {
		return broken("it proves itself without being asked")
	}
	proof, ok := text.Binary([]byte(heard[auth.KeyResponse]), text.MaxBinaryBytes)
	if _, named := heard[auth.KeyName]; !ok || !named || len(heard) != 2 {
		return broken("its CHAP proof is incomplete or malformed")
	}
	right := t.algorithm.Response(t.identifier, []byte(c.TargetSecret), t.challenge)
	if subtle.ConstantTimeCompare(proof, right) != 1 || c.TargetUser != "" && heard[auth.KeyName] != c.TargetUser {
		return ErrUnproven
	}
	t.step = chapDone
	return nil
}

// leaveSecurity says whether the security stage may end: not before the target has
// proved what it must.
func (n *negotiation) leaveSecurity() error {
	if n.cfg.CHAP.TargetSecret != "" && n.chap.step != chapDone {
		return ErrUnproven
	}
	return nil
}

// redacted hides secrets from those who print a Config.
func redacted(s string) string { return strings.Repeat("*", min(len(s), 3)) }

// String shows who, and no secret.
func (c CHAP) String() string {
	return fmt.Sprintf("{%s %s %s %s}", c.User, redacted(c.Secret), c.TargetUser, redacted(c.TargetSecret))
}

// GoString is String, for %#v.
func (c CHAP) GoString() string { return "initiator.CHAP" + c.String() }
