package auth

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"lunar/internal/conform"
)

// The vectors come from another implementation of the hash functions, over 26h,
// "secret-of-12b" and the bytes 0 to 31.
func TestResponse_Vectors(t *testing.T) {
	conform.Covers(t, "R-11.1.4-6", "N-23", "R-11.1-1")
	challenge := make([]byte, 32)
	for i := range challenge {
		challenge[i] = byte(i)
	}
	for a, want := range map[Algorithm]string{
		MD5: "3a253538bf98e45f1c3303291c3f0903", SHA1: "92709861c6a01ea66cd654663d18f026b03a3205",
		SHA256: "1761c1b20b2c0085fec2d253186a210a1798ac3868b51cfeb41d6202a5d4ceac",
		SHA3:   "0c1cbaf09e70c0347a88de8d25308148de0d7c2ed584dcd009cbac3afa0ad30d",
	} {
		if got := hex.EncodeToString(a.Response(0x26, []byte("secret-of-12b"), challenge)); got != want {
			t.Errorf("%v: %s, want %s", a, got, want)
		}
	}
	if Algorithm(4).Response(1, []byte("x"), challenge) != nil {
		t.Error("an unknown algorithm has a response")
	}
	if got := Offer(Algorithms()); got != "8,7,6,5" {
		t.Errorf("offered %s", got)
	}
}

func user(name, secret string) Credentials { return Credentials{name, []byte(secret)} }

func TestPolicy_Check(t *testing.T) {
	conform.Covers(t, "R-8.2.1-4", "R-8.2.1-5", "R-8.2.1-6", "R-8.2.1-8")
	const long = "a secret of 96 bits"
	mutual, same := user("target", "another long secret"), user("target", long)
	for name, c := range map[string]struct {
		p    Policy
		want string // in the error; empty for none
	}{
		"one user":            {Policy{Users: []Credentials{user("a", long)}}, ""},
		"mutual":              {Policy{Users: []Credentials{user("a", long)}, Mutual: &mutual}, ""},
		"twelve bytes":        {Policy{Users: []Credentials{user("a", "123456789012")}}, ""},
		"255 bytes":           {Policy{Users: []Credentials{user("a", strings.Repeat("x", 255))}}, ""},
		"short where allowed": {Policy{Users: []Credentials{user("a", "1")}, ShortSecrets: true}, ""},
		"nobody":              {Policy{}, "no user"},
		"eleven bytes":        {Policy{Users: []Credentials{user("a", "12345678901")}}, "11 bytes; use at least 12"},
		"empty secret":        {Policy{Users: []Credentials{user("a", "")}, ShortSecrets: true}, "0 bytes"},
		"256 bytes":           {Policy{Users: []Credentials{user("a", strings.Repeat("x", 256))}}, "at most 255"},
		"short mutual":        {Policy{Users: []Credentials{user("a", long)}, Mutual: &Credentials{"t", []byte("short")}}, `mutual CHAP user "t"`},
		"equal secrets":       {Policy{Users: []Credentials{user("a", long)}, Mutual: &same}, "own"},
		"equal, second user":  {Policy{Users: []Credentials{user("b", "something else 1"), user("a", long)}, Mutual: &same}, "own"},
		"no name":             {Policy{Users: []Credentials{user("", long)}}, "name is empty"},
		"NUL":                 {Policy{Users: []Credentials{user("a\x00b", long)}}, "NUL"},
		"long name":           {Policy{Users: []Credentials{user(strings.Repeat("n", 256), long)}}, "255"},
		"named twice":         {Policy{Users: []Credentials{user("a", long), user("a", long+"2")}}, "twice"},
		"unknown algorithm":   {Policy{Users: []Credentials{user("a", long)}, Algorithms: []Algorithm{5, 9}}, "not implemented"},
		"no algorithm":        {Policy{Users: []Credentials{user("a", long)}, Algorithms: []Algorithm{}}, "no algorithm"},
	} {
		err := c.p.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShared_TellsOfSecretsInTwoHands(t *testing.T) {
	conform.Covers(t, "R-8.2.1-11", "R-8.2.1-12", "R-8.2.1-13")
	a := &Policy{Users: []Credentials{user("a", "secret number one")}}
	again := &Policy{Users: []Credentials{user("a", "secret number one")}}
	if w := Shared(a, again); len(w) != 0 {
		t.Errorf("one user of two targets: %q", w)
	}
	m1, m2 := user("target", "secret number two"), user("other", "secret number two")
	b := &Policy{Users: []Credentials{user("b", "secret number one")}, Mutual: &m1}
	c := &Policy{Users: []Credentials{user("c", "secret number three")}, Mutual: &m2}
	d := &Policy{Users: []Credentials{user("d", "secret number two")}}
	w := Shared(a, b, c, c, d)
	if len(w) != 3 {
		t.Fatalf("%d warnings: %q", len(w), w)
	}
	for i, names := range [][2]string{{`user "a"`, `user "b"`}, {`mutual user "target"`, `mutual user "other"`}, {`mutual user "target"`, `user "d"`}} {
		if !strings.Contains(w[i], names[0]) || !strings.Contains(w[i], names[1]) {
			t.Errorf("warning %d: %s", i, w[i])
		}
	}
}

func TestNewSecret_Is128RandomBits(t *testing.T) {
	conform.Covers(t, "R-8.2.1-2", "R-8.2.1-3")
	s := NewSecret(func(b []byte) {
		for i := range b {
			b[i] = byte(0xf0 + i)
		}
	})
	if string(s) != "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff" {
		t.Errorf("%q", s)
	}
	p := Policy{Users: []Credentials{{"a", s}}}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

func TestChallenge_IsFreshAndRecognised(t *testing.T) {
	conform.Covers(t, "R-8.2.1-10", "N-23")
	n := testNode(1)
	seen := map[string]bool{}
	ids := map[byte]bool{}
	for range 2000 {
		id, c := n.challenge()
		if len(c) != 32 || seen[string(c)] || !n.ours(c) {
			t.Fatalf("challenge %x", c)
		}
		seen[string(c)], ids[id] = true, true
	}
	if len(ids) != 256 {
		t.Errorf("%d identifiers", len(ids))
	}
	_, c := n.challenge()
	other := testNode(2)
	if other.ours(c) || n.ours(c[:31]) || n.ours(nil) || n.ours(append(bytes.Clone(c), 0)) {
		t.Error("a challenge of another node is taken for ours")
	}
	for i := range c {
		c[i] ^= 1
		if n.ours(c) {
			t.Errorf("byte %d may be anything", i)
		}
		c[i] ^= 1
	}
}
