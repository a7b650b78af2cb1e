package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/text"
)

const (
	userSecret   = "the user's own secret"
	mutualSecret = "the target's own secret"
)

// testNode has reproducible chance; another seed is another node.
func testNode(seed byte) Node {
	n := Node{}
	n.Key[0] = seed
	r := rand.NewChaCha8([32]byte{seed})
	n.Chance = func(b []byte) { _, _ = r.Read(b) }
	return n
}

func testPolicy() *Policy {
	m := user("target", mutualSecret)
	return &Policy{Users: []Credentials{user("other", "somebody else's secret"), user("user", userSecret)}, Mutual: &m}
}

// pairs reads "K=v K=v"; ok is Malformed only for a test that is wrong itself.
func pairs(line string) (p []text.Pair) {
	for _, w := range strings.Fields(line) {
		k, v, _ := strings.Cut(w, "=")
		p = append(p, text.Pair{Key: []byte(k), Value: []byte(v)})
	}
	return p
}

// play is a client: one CHAP and what it said last.
type play struct {
	t    *testing.T
	c    *CHAP
	said map[string]string
}

func newPlay(t *testing.T, p *Policy, n *Node) *play {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	return &play{t: t, c: NewCHAP(p, n)}
}

func (p *play) take(line string) Verdict {
	p.t.Helper()
	w := text.NewWriter(8192)
	v := p.c.Take(pairs(line), w)
	p.said = map[string]string{}
	for b := w.Bytes(); len(b) > 0; {
		q, rest, ok := text.NextPair(b)
		if !ok {
			p.t.Fatalf("said %q", w.Bytes())
		}
		p.said[string(q.Key)], b = string(q.Value), rest
	}
	return v
}

// asked is what CHAP_I and CHAP_C asked us.
func (p *play) asked() (byte, []byte) {
	p.t.Helper()
	id, ok := identifier([]byte(p.said[KeyIdentifier]))
	challenge, ok2 := text.Binary([]byte(p.said[KeyChallenge]), text.MaxBinaryBytes)
	if !ok || !ok2 || p.said[KeyIdentifier] == "" {
		p.t.Fatalf("asked %v", p.said)
	}
	return id, challenge
}

// begin offers one algorithm and returns the right response to what came.
func (p *play) begin(a Algorithm, secret string) string {
	p.t.Helper()
	if v := p.take(fmt.Sprintf("CHAP_A=%d", a)); v != Right || p.said[KeyAlgorithm] != fmt.Sprint(uint8(a)) {
		p.t.Fatalf("verdict %d, said %v", v, p.said)
	}
	id, challenge := p.asked()
	return text.Hex(a.Response(id, []byte(secret), challenge))
}

func TestCHAP_OneWay(t *testing.T) {
	conform.Covers(t, "R-11.1.4-2", "R-11.1.4-4")
	for _, a := range Algorithms() {
		n := testNode(1)
		p := newPlay(t, testPolicy(), &n)
		r := p.begin(a, userSecret)
		if p.c.Done() || len(p.said) != 3 {
			t.Fatalf("%v: said %v", a, p.said)
		}
		if v := p.take("CHAP_N=user CHAP_R=" + r); v != Right || len(p.said) != 0 || !p.c.Done() || p.c.User() != "user" {
			t.Errorf("%v: verdict %d, said %v", a, v, p.said)
		}
	}
}

func TestCHAP_Mutual(t *testing.T) {
	conform.Covers(t, "R-8.2.1-1", "R-11.1.4-4", "R-11.1.4-5")
	for _, a := range Algorithms() {
		for _, id := range []byte{0, 1, 255} {
			for _, size := range []int{1, 16, 32, 1024} {
				challenge := bytes.Repeat([]byte{0x5a}, size)
				n := testNode(1)
				p := newPlay(t, testPolicy(), &n)
				r := p.begin(a, userSecret)
				v := p.take(fmt.Sprintf("CHAP_N=user CHAP_R=%s CHAP_I=%d CHAP_C=%s", r, id, text.Hex(challenge)))
				want := text.Hex(a.Response(id, []byte(mutualSecret), challenge))
				if v != Right || !p.c.Done() || len(p.said) != 2 || p.said[KeyName] != "target" || p.said[KeyResponse] != want {
					t.Errorf("%v, identifier %d, %d bytes: verdict %d, said %v", a, id, size, v, p.said)
				}
			}
		}
	}
}

// The first algorithm of the initiator's list that is allowed, whatever else stands
// in it.
func TestCHAP_ChoosesByTheInitiatorsOrder(t *testing.T) {
	conform.Covers(t, "R-11.1.4-2", "R-5.2.1-1", "R-5.2.1-3")
	for _, c := range []struct {
		list    string
		allowed []Algorithm
		want    string
	}{
		{"8,7,6,5", nil, "8"},
		{"5,6,7,8", nil, "5"},
		{"4,300,99999999999999999999,x,,-7,7", nil, "7"},
		{"0x7", nil, "7"},
		{"5,6,7", []Algorithm{SHA3, SHA256}, "7"},
		{"5", []Algorithm{SHA3}, ""},
		{"4", nil, ""},
		{"", nil, ""},
		{"None", nil, ""},
		{"05", nil, ""},
		{"263", nil, ""}, // 7 in eight bits
	} {
		n, policy := testNode(1), testPolicy()
		policy.Algorithms = c.allowed
		p := newPlay(t, policy, &n)
		v := p.take("CHAP_A=" + c.list)
		if got := p.said[KeyAlgorithm]; got != c.want || (v == Right) != (c.want != "") || v != Right && v != Denied {
			t.Errorf("%q: verdict %d, chose %q", c.list, v, got)
		}
	}
}

// Each step takes its own keys and no others.
func TestCHAP_Steps(t *testing.T) {
	conform.Covers(t, "R-8.2-2", "R-8.2-4", "R-11.1.4-5")
	conform.Trap(t, 28)
	long := "0x" + strings.Repeat("00", 1025)
	for line, want := range map[string]Verdict{
		"":                              Missing,
		"CHAP_N=user":                   Malformed,
		"CHAP_A=5 CHAP_N=user":          Malformed,
		"CHAP_A=5 CHAP_I=1 CHAP_C=0x01": Malformed,
		"CHAP_A=5 CHAP_A=5":             Malformed,
		"SRP_U=user":                    Malformed,
		"CHAP_A=5 / ":                   Malformed, // a pair of no key of ours
		"CHAP_A=5;":                     Missing,
		"CHAP_A=5;CHAP_A=5":             Malformed,
		"CHAP_A=5;CHAP_N=user":          Missing,
		"CHAP_A=5;CHAP_R=R":             Missing,
		"CHAP_A=5;CHAP_I=1 CHAP_C=0x01": Missing,
		"CHAP_A=5;CHAP_N=user CHAP_I=1 CHAP_C=0x01":                   Missing,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_I=1":                      Missing,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_C=0x01":                   Missing,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_A=5":                      Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_R=R":                      Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=":                                Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=0x":                              Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=12345":                           Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=0xzz":                            Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=" + long:                         Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=0x00":                            Denied,
		"CHAP_A=5;CHAP_N= CHAP_R=R":                                   Denied,
		"CHAP_A=5;CHAP_N=nobody CHAP_R=R":                             Denied,
		"CHAP_A=5;CHAP_N=User CHAP_R=R":                               Denied,
		"CHAP_A=5;CHAP_N=other CHAP_R=R":                              Denied,
		"CHAP_A=5;CHAP_N=" + strings.Repeat("n", 256) + " CHAP_R=R":   Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_I=256 CHAP_C=0x01":        Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_I= CHAP_C=0x01":           Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_I=1 CHAP_C=0x":            Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_I=1 CHAP_C=" + long:       Malformed,
		"CHAP_A=5;CHAP_N=user CHAP_R=R;CHAP_I=1 CHAP_C=0x01":          Malformed, // after the end
		"CHAP_A=5;CHAP_N=user CHAP_R=R":                               Right,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_I=255 CHAP_C=0x1":         Right,
		"CHAP_A=5;CHAP_N=user CHAP_R=R CHAP_I=0xff CHAP_C=0bAQIDBA==": Right,
	} {
		n := testNode(1)
		p := newPlay(t, testPolicy(), &n)
		got, right := Right, ""
		for step := range strings.SplitSeq(line, ";") {
			got = p.take(strings.ReplaceAll(step, "CHAP_R=R", "CHAP_R="+right))
			if p.said[KeyChallenge] != "" {
				id, challenge := p.asked()
				right = text.Hex(MD5.Response(id, []byte(userSecret), challenge))
			}
		}
		if got != want || p.c.Done() != (want == Right) || (p.c.User() != "") != (want == Right) {
			t.Errorf("%.80s: verdict %d, want %d; done %v", line, got, want, p.c.Done())
		}
	}
}

// A response may come in each form of a binary value.
func TestCHAP_FormsOfAResponse(t *testing.T) {
	conform.Covers(t, "R-5.1-5", "R-11.1.4-5")
	conform.Trap(t, 28)
	for name, form := range map[string]func([]byte) string{
		"0x":     text.Hex,
		"0X":     func(b []byte) string { return "0X" + strings.ToUpper(hex.EncodeToString(b)) },
		"0b":     func(b []byte) string { return "0b" + base64.StdEncoding.EncodeToString(b) },
		"0B":     func(b []byte) string { return "0B" + base64.StdEncoding.EncodeToString(b) },
		"bare":   func(b []byte) string { return "0b" + base64.RawStdEncoding.EncodeToString(b) },
		"no pad": func(b []byte) string { return "0x" + strings.TrimPrefix(hex.EncodeToString(b), "0") },
	} {
		for seed := range byte(40) { // some responses begin with a zero digit
			n := testNode(seed)
			p := newPlay(t, testPolicy(), &n)
			p.begin(SHA256, userSecret)
			id, challenge := p.asked()
			r := SHA256.Response(id, []byte(userSecret), challenge)
			if name == "no pad" && r[0] < 16 && r[0] > 0 && form(r) == text.Hex(r) {
				t.Fatal("no odd number of digits")
			}
			if v := p.take("CHAP_N=user CHAP_R=" + form(r)); v != Right {
				t.Errorf("%s, seed %d: verdict %d", name, seed, v)
			}
		}
	}
}

// A challenge of ours that comes back is refused, from this connection and from
// any other of the node.
func TestCHAP_ReflectedChallenge_IsRefused(t *testing.T) {
	conform.Covers(t, "R-8.2.1-10")
	conform.Trap(t, 28)
	n := testNode(1)
	first, second := newPlay(t, testPolicy(), &n), newPlay(t, testPolicy(), &n)
	r1 := first.begin(SHA256, userSecret)
	c1 := first.said[KeyChallenge]
	r2 := second.begin(MD5, userSecret)
	c2 := second.said[KeyChallenge]
	for name, c := range map[string]struct {
		p         *play
		r, theirs string
	}{
		"of the same connection": {first, r1, c1},
		"of another connection":  {second, r2, c1},
	} {
		if v := c.p.take("CHAP_N=user CHAP_R=" + c.r + " CHAP_I=7 CHAP_C=" + c.theirs); v != Denied || len(c.p.said) != 0 {
			t.Errorf("%s: verdict %d, said %v", name, v, c.p.said)
		}
	}
	other := testNode(2)
	third := newPlay(t, testPolicy(), &other)
	if v := third.take("CHAP_A=5"); v != Right {
		t.Fatal(v)
	}
	id, challenge := third.asked()
	r3 := text.Hex(MD5.Response(id, []byte(userSecret), challenge))
	if v := third.take("CHAP_N=user CHAP_R=" + r3 + " CHAP_I=7 CHAP_C=" + c2); v != Right {
		t.Errorf("of another node: verdict %d", v)
	}
}

// With one secret for both directions our own response would let a stranger in:
// the policy is refused, and so is the response if it is used all the same.
func TestCHAP_ResponseOfOurs_IsRefused(t *testing.T) {
	conform.Covers(t, "R-8.2.1-6", "R-8.2.1-7")
	conform.Trap(t, 28)
	n, policy := testNode(1), testPolicy()
	policy.Mutual.Secret = []byte(userSecret)
	if policy.Check() == nil {
		t.Error("equal secrets were taken")
	}
	p := &play{t: t, c: NewCHAP(policy, &n)}
	r := p.begin(SHA3, userSecret)
	if v := p.take("CHAP_N=user CHAP_R=" + r); v != Denied || p.c.Done() {
		t.Errorf("verdict %d", v)
	}
}

func TestCHAP_AskedWhoWeAre_WithoutAnAnswer(t *testing.T) {
	conform.Covers(t, "R-11.1.4-4")
	n, policy := testNode(1), testPolicy()
	policy.Mutual = nil
	p := newPlay(t, policy, &n)
	r := p.begin(MD5, userSecret)
	if v := p.take("CHAP_N=user CHAP_R=" + r + " CHAP_I=7 CHAP_C=0x0102"); v != Denied || len(p.said) != 0 || p.c.Done() {
		t.Errorf("verdict %d, said %v", v, p.said)
	}
}

// What proved somebody once proves nobody later: every challenge is new.
func TestCHAP_Replay_IsRefused(t *testing.T) {
	conform.Covers(t, "R-8.2.1-9", "R-8-1")
	conform.Trap(t, 28)
	n := testNode(1)
	first := newPlay(t, testPolicy(), &n)
	r := first.begin(MD5, userSecret)
	if v := first.take("CHAP_N=user CHAP_R=" + r); v != Right {
		t.Fatal(v)
	}
	again := newPlay(t, testPolicy(), &n)
	again.begin(MD5, userSecret)
	if v := again.take("CHAP_N=user CHAP_R=" + r); v != Denied {
		t.Errorf("verdict %d", v)
	}
}

func TestCHAP_WithoutChance_LetsNobodyIn(t *testing.T) {
	c := NewCHAP(testPolicy(), &Node{})
	if v := c.Take(pairs("CHAP_A=5"), text.NewWriter(8192)); v != Unable {
		t.Errorf("verdict %d", v)
	}
}

// A policy that nobody checked lets nobody in by an empty secret or an empty list.
func TestCHAP_UncheckedPolicy_LetsNobodyIn(t *testing.T) {
	for name, policy := range map[string]*Policy{"no users": {}, "empty secret": {Users: []Credentials{{Name: "user"}}}} {
		n := testNode(1)
		p := &play{t: t, c: NewCHAP(policy, &n)}
		for _, secret := range []string{"", string(noSecret)} {
			p.c = NewCHAP(policy, &n)
			r := p.begin(SHA256, secret)
			if v := p.take("CHAP_N=user CHAP_R=" + r); v != Denied || p.c.Done() {
				t.Errorf("%s: verdict %d", name, v)
			}
		}
	}
}

// FuzzCHAP: no keys panic, and nobody who lacks the secret is let in.
func FuzzCHAP(f *testing.F) {
	f.Add("CHAP_A=8,7,6,5", "CHAP_N=user CHAP_R=0x00")
	f.Add("CHAP_A=5", "CHAP_N=user CHAP_R=0bAA== CHAP_I=255 CHAP_C=0x1")
	f.Add("CHAP_A=7 CHAP_A=5", "")
	f.Fuzz(func(t *testing.T, first, second string) {
		n := testNode(1)
		p := newPlay(t, testPolicy(), &n)
		for _, line := range []string{first, second, second} {
			v := p.take(line)
			if p.c.Done() || p.c.User() != "" || v == 0 {
				t.Fatalf("%q: verdict %d, user %q", line, v, p.c.User())
			}
		}
	})
}
