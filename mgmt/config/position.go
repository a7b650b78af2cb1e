package config

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions are where the keys of a document stand: byte offsets by path, such as
// "target[1].lun[0].unit".
type positions map[string]uint32

// index finds the keys of a document. One that is no TOML is indexed as far as it is.
func index(doc []byte) positions {
	p := positions{}
	var parser unstable.Parser
	parser.Reset(doc)
	// tables counts the elements of each array of tables, and prefix is the table of
	// the expressions that follow.
	tables := map[string]int{}
	prefix := ""
	for parser.NextExpression() {
		e := parser.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix = p.table(e, tables)
		case unstable.KeyValue:
			p.keyValue(prefix, e)
		default:
		}
	}
	return p
}

// table resolves the name of a table, whose parts may be arrays of tables.
func (p positions) table(e *unstable.Node, tables map[string]int) string {
	path := ""
	for it := e.Key(); it.Next(); {
		key := it.Node()
		path = join(path, string(key.Data))
		if e.Kind == unstable.ArrayTable && it.IsLast() {
			tables[path]++
		}
		if n := tables[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
		p.note(path, key)
	}
	return path
}

func (p positions) keyValue(prefix string, e *unstable.Node) {
	path := prefix
	for it := e.Key(); it.Next(); {
		path = join(path, string(it.Node().Data))
		p.note(path, it.Node())
	}
	p.value(path, e.Value())
}

// value indexes what is inside an inline table or an array.
func (p positions) value(path string, v *unstable.Node) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			p.keyValue(path, it.Node())
		}
	case unstable.Array:
		n := 0
		for it := v.Children(); it.Next(); n++ {
			at := fmt.Sprintf("%s[%d]", path, n)
			p.note(at, it.Node())
			p.value(at, it.Node())
		}
	default:
	}
}

func (p positions) note(path string, n *unstable.Node) {
	if _, known := p[path]; !known && n.Raw.Length > 0 {
		p[path] = n.Raw.Offset
	}
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// of returns line and column, from 1, of a path or of the closest object around it.
func (p positions) of(path string, doc []byte) (line, column int) {
	offset, known := p[path]
	for !known && path != "" {
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
		offset, known = p[path]
	}
	before := doc[:offset]
	line = bytes.Count(before, []byte{'\n'}) + 1
	return line, len(before) - bytes.LastIndexByte(before, '\n')
}
