package conform

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed rules.txt
var rulesText string

//go:embed traps.txt
var trapsText string

//go:embed pending.txt
var pendingText string

// Level is how strongly a rule binds.
type Level byte

// Levels (RFC 2119; Defined is behaviour a standard states without a keyword).
const (
	Must    Level = 'M'
	Should  Level = 'S'
	May     Level = 'O'
	Defined Level = 'd'
)

// String is the word of the level.
func (l Level) String() string {
	return map[Level]string{Must: "MUST", Should: "SHOULD", May: "MAY", Defined: "defined"}[l]
}

// Rule is one line of the register.
type Rule struct {
	Area string
	// ID is R-section-n for RFC 3720, N-n for what RFC 7143 and 7144 changed.
	ID string
	// Section is where it stands, for instance "RFC 3720 §10.3.1".
	Section string
	Level   Level
	// Party is T for a target's rule, I for an initiator's, B for both.
	Party byte
	Text  string
	// Pending says what builds it, empty when it is in force.
	Pending string
}

// Target says whether the rule binds a target.
func (r *Rule) Target() bool { return r.Party != 'I' }

// Spot is one spot where targets fail.
type Spot struct {
	Number     int
	Name, Text string
	// Pending says what builds it, empty when it is in force.
	Pending string
}

// Rules is the register in its order. Errors name the line.
func Rules() ([]Rule, error) {
	pending := pendings()
	var rules []Rule
	seen := map[string]bool{}
	area := ""
	for n, line := range strings.Split(strings.TrimSpace(rulesText), "\n") {
		switch {
		case line == "":
			continue
		case line[0] == '[':
			area = strings.Trim(line, "[]")
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 5 || len(f[2]) != 1 || len(f[3]) != 1 || area == "" || seen[f[0]] {
			return nil, fmt.Errorf("rules.txt:%d: want ID, section, level, party and text, once: %q", n+1, line)
		}
		seen[f[0]] = true
		r := Rule{Area: area, ID: f[0], Section: f[1], Level: Level(f[2][0]), Party: f[3][0], Text: f[4]}
		if r.Level.String() == "" || !strings.ContainsRune("TIB", rune(r.Party)) {
			return nil, fmt.Errorf("rules.txt:%d: level %q, party %q", n+1, f[2], f[3])
		}
		r.Pending = pending[r.ID]
		if why := pending["["+area+"]"]; why != "" {
			r.Pending = why
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// Traps are the spots by number. Errors name the line.
func Traps() ([]Spot, error) {
	pending := pendings()
	var traps []Spot
	for n, line := range strings.Split(strings.TrimSpace(trapsText), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[0] != fmt.Sprint(n+1) {
			return nil, fmt.Errorf("traps.txt:%d: want number, name and text: %q", n+1, line)
		}
		traps = append(traps, Spot{Number: n + 1, Name: f[1], Text: f[2], Pending: pending["trap "+f[0]]})
	}
	return traps, nil
}

// pendings reads pending.txt: an ID, an [area] or "trap n", a tab, and why.
func pendings() map[string]string {
	why := map[string]string{}
	for line := range strings.Lines(pendingText) {
		if id, reason, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
			why[id] = reason
		}
	}
	return why
}
