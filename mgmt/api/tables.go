package api

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"lunar/engine"

	"github.com/dustin/go-humanize"
)

// Table is an answer for people. Without a head it is a list of facts.
type Table struct {
	Head []string
	Rows [][]string
}

// Write writes the table in columns.
func (t Table) Write(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows := t.Rows
	if t.Head != nil {
		rows = append([][]string{t.Head}, rows...)
	}
	for _, r := range rows {
		// The last cell is no column, so that nothing is padded behind it.
		if _, err := fmt.Fprintln(out, strings.Join(printable(r), "\t")); err != nil {
			return err
		}
	}
	return out.Flush()
}

// printable keeps what peers call themselves from moving the cursor or making columns.
func printable(cells []string) []string {
	shown := make([]string, len(cells))
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		shown[i] = strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return '?'
			}
			return r
		}, c)
	}
	return shown
}

// column is one column of a table of T.
type column[T any] struct {
	head string
	cell func(*T) string
}

// many makes the table of an answer with many T.
func many[T any](columns []column[T]) func([]byte) (Table, error) {
	return func(reply []byte) (t Table, err error) {
		var all []T
		if err := json.Unmarshal(reply, &all); err != nil {
			return t, err
		}
		for _, c := range columns {
			t.Head = append(t.Head, c.head)
		}
		for i := range all {
			var row []string
			for _, c := range columns {
				row = append(row, c.cell(&all[i]))
			}
			t.Rows = append(t.Rows, row)
		}
		return t, nil
	}
}

// one makes the table of an answer with one T.
func one[T any](facts func(*T) [][]string) func([]byte) (Table, error) {
	return func(reply []byte) (Table, error) {
		var x T
		err := json.Unmarshal(reply, &x)
		return Table{Rows: facts(&x)}, err
	}
}

func size[N int | int64 | uint64](n N) string { return humanize.IBytes(uint64(n)) }

func count[N int | uint16 | uint64](n N) string { return fmt.Sprint(n) }

// age is a time in seconds, with the two parts that matter.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	days := d / (24 * time.Hour)
	d -= days * 24 * time.Hour
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, d/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.String()
}

func yes(b bool, word string) string {
	if b {
		return word
	}
	return ""
}

func list16(n []uint16) string {
	var s []string
	for _, x := range n {
		s = append(s, strconv.Itoa(int(x)))
	}
	return strings.Join(s, ",")
}

func errorsOf(e []engine.ErrorCount) string {
	var s []string
	for _, x := range e {
		s = append(s, fmt.Sprintf("%d %s", x.Count, x.Name))
	}
	return strings.Join(s, ", ")
}

var targetColumns = []column[engine.TargetStatus]{
	{"TARGET", func(t *engine.TargetStatus) string { return t.Name }},
	{"GROUPS", func(t *engine.TargetStatus) string { return list16(t.Groups) }},
	{"LUNS", func(t *engine.TargetStatus) string { return count(len(t.LUNs)) }},
	{"SESSIONS", func(t *engine.TargetStatus) string { return count(t.Sessions) }},
	{"REDIRECT", func(t *engine.TargetStatus) string { return strings.Join(t.Redirect, ",") }},
	{"ALIAS", func(t *engine.TargetStatus) string { return t.Alias }},
}

var lunColumns = []column[LUNReply]{
	{"TARGET", func(l *LUNReply) string { return l.Target }},
	{"LUN", func(l *LUNReply) string {
		if l.Target == "" {
			return ""
		}
		return count(l.Number)
	}},
	{"FOR", func(l *LUNReply) string { return l.Initiator }},
	{"UNIT", func(l *LUNReply) string { return l.Unit }},
	{"SIZE", func(l *LUNReply) string { return size(l.Counts.Bytes) }},
	{"BLOCK", func(l *LUNReply) string { return fmt.Sprint(l.Counts.BlockBytes) }},
	{"ACCESS", func(l *LUNReply) string { return map[bool]string{true: "read-only", false: "read-write"}[l.ReadOnly] }},
	{"HOME", func(l *LUNReply) string { return count(l.Counts.Home) }},
	{"READS", func(l *LUNReply) string { return count(l.Counts.Reads) }},
	{"READ", func(l *LUNReply) string { return size(l.Counts.ReadBytes) }},
	{"WRITES", func(l *LUNReply) string { return count(l.Counts.Writes) }},
	{"WRITTEN", func(l *LUNReply) string { return size(l.Counts.WriteBytes) }},
	{"MEDIUM", func(l *LUNReply) string { return l.Counts.Medium }},
	{"ERRORS", func(l *LUNReply) string { return errorsOf(l.Counts.Errors) }},
}

var sessionColumns = []column[engine.SessionStatus]{
	{"ID", func(s *engine.SessionStatus) string { return count(s.ID) }},
	{"INITIATOR", func(s *engine.SessionStatus) string { return s.Initiator }},
	{"TARGET", func(s *engine.SessionStatus) string {
		if s.Discovery {
			return "(discovery)"
		}
		return s.Target
	}},
	{"SOURCE", func(s *engine.SessionStatus) string { return s.Source }},
	{"USER", func(s *engine.SessionStatus) string { return s.User }},
	{"REACTOR", func(s *engine.SessionStatus) string { return count(s.Reactor) }},
	{"AGE", func(s *engine.SessionStatus) string { return age(s.AgeSeconds) }},
	{"TASKS", func(s *engine.SessionStatus) string { return count(s.Tasks) }},
	{"COMMANDS", func(s *engine.SessionStatus) string { return count(s.Commands) }},
	{"IN", func(s *engine.SessionStatus) string { return size(s.BytesIn) }},
	{"OUT", func(s *engine.SessionStatus) string { return size(s.BytesOut) }},
	{"STATE", func(s *engine.SessionStatus) string { return s.State }},
}
