package simulate

import (
	"fmt"
	"strconv"
	"strings"
)

// field is a number of a plan by its name.
type field struct {
	name  string
	value *int
}

func (s *Settings) fields() []field {
	return []field{
		{"cores", &s.Cores},
		{"hosts", &s.Hosts},
		{"conns", &s.Conns},
		{"units", &s.Units},
		{"window", &s.Window},
		{"depth", &s.Depth},
		{"header-digest", &s.HeaderDigest},
		{"data-digest", &s.DataDigest},
		{"initial-r2t", &s.InitialR2T},
		{"immediate", &s.Immediate},
		{"first", &s.First},
		{"burst", &s.Burst},
		{"recv", &s.Recv},
		{"target-recv", &s.TargetRecv},
		{"r2t", &s.R2T},
		{"first-number", &s.FirstNumber},
		{"scarce", &s.Scarce},
		{"messages", &s.Messages},
		{"read-bytes", &s.ReadBytes},
		{"chunks", &s.Chunks},
		{"short", &s.Short},
		{"stall", &s.Stall},
		{"slow", &s.Slow},
		{"torn", &s.Torn},
		{"level", &s.Level},
		{"lossy", &s.Lossy},
		{"keep", &s.Keep},
		{"retain", &s.Retain},
	}
}

func (o *Op) fields() []field {
	return []field{
		{"host", &o.Host},
		{"conn", &o.Conn},
		{"unit", &o.Unit},
		{"lba", &o.LBA},
		{"blocks", &o.Blocks},
		{"ordered", &o.Ordered},
		{"now", &o.Now},
		{"fua", &o.FUA},
		{"data", &o.Data},
		{"fault", &o.Fault},
		{"n", &o.N},
	}
}

func write(b *strings.Builder, what string, fields []field) {
	b.WriteString(what)
	for _, f := range fields {
		if *f.value != 0 {
			fmt.Fprintf(b, " %s=%d", f.name, *f.value)
		}
	}
	b.WriteByte('\n')
}

// Text writes a plan down: its seed, its settings, and a line for each operation. What
// is 0 is left out.
func (p *Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", p.Seed)
	write(&b, "set", p.Settings.fields())
	for i := range p.Ops {
		write(&b, kindNames[p.Ops[i].Kind], p.Ops[i].fields())
	}
	return b.String()
}

// Parse reads what Text wrote; empty lines and those that start with # mean nothing.
// Errors name the line and say what is expected.
func Parse(s string) (p Plan, err error) {
	for n, line := range strings.Split(s, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err = p.parse(words); err != nil {
			return p, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return p, nil
}

func (p *Plan) parse(words []string) (err error) {
	switch words[0] {
	case "seed":
		if len(words) != 2 {
			return fmt.Errorf("%d words, want seed and a number", len(words))
		}
		p.Seed, err = strconv.ParseUint(words[1], 10, 64)
		return err
	case "set":
		return read(words[1:], p.Settings.fields())
	}
	for k, name := range kindNames {
		if name == words[0] {
			op := Op{Kind: Kind(k)}
			err := read(words[1:], op.fields())
			p.Ops = append(p.Ops, op)
			return err
		}
	}
	return fmt.Errorf("%q is no operation; see kindNames", words[0])
}

func read(words []string, fields []field) error {
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		known := false
		for _, f := range fields {
			if f.name != name {
				continue
			}
			n, err := strconv.Atoi(value)
			if err != nil {
				return fmt.Errorf("%q: want a number behind =", w)
			}
			*f.value, known = n, true
		}
		if !known {
			return fmt.Errorf("%q: no such field; see fields", name)
		}
	}
	return nil
}
