package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"lunar/engine"

	"github.com/pelletier/go-toml/v2"
)

// maxBytes bounds a configuration file: sixteen thousand targets with their units
// fit several times.
const maxBytes = 64 << 20

// File is a configuration file, read and checked.
type File struct {
	Engine   engine.Config
	LogLevel slog.Level
	// Admin is the path of the admin socket, Metrics the "address:port" where anyone may
	// ask for metrics; each is empty for none.
	Admin, Metrics string

	name string
	doc  []byte
}

// Load reads, builds and checks a file. Its errors begin with file:line:column and
// name the object and the remedy. Processors are those the process may use.
func Load(name string, processors []int) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; give another --config", err)
	}
	defer func() { _ = f.Close() }() // read only: nothing to lose
	doc, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", name, err)
	}
	return Parse(name, doc, processors)
}

// Parse is Load for a document at hand.
func Parse(name string, doc []byte, processors []int) (*File, error) {
	if len(doc) > maxBytes {
		return nil, fmt.Errorf("%s:1:1: the file is larger than %d MiB; it is no configuration", name, maxBytes>>20)
	}
	var d document
	if err := decode(doc, &d); err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	b := builder{processors: processors}
	f := b.file(&d)
	err := errors.Join(b.errs...)
	if err == nil {
		err = f.Engine.Check()
	}
	if err != nil {
		return nil, locate(name, doc, err)
	}
	f.name, f.doc = name, doc
	return f, nil
}

// Locate puts the place in the file before an error of the engine about it.
func (f *File) Locate(err error) error {
	if err == nil {
		return nil
	}
	return locate(f.name, f.doc, err)
}

// decode reads a document into its types. Errors begin with line:column.
func decode(doc []byte, d *document) error {
	dec := toml.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	err := dec.Decode(d)
	var strict *toml.StrictMissingError
	var syntax *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict) && len(strict.Errors) > 0:
		e := strict.Errors[0]
		line, column := e.Position()
		key := ""
		for _, k := range e.Key() {
			key = join(key, k)
		}
		return fmt.Errorf("%d:%d: there is no key %q; see `lunar config example`", line, column, key)
	case errors.As(err, &syntax):
		line, column := syntax.Position()
		return fmt.Errorf("%d:%d: %s; correct the value, see `lunar config example`", line, column, syntax.Error())
	}
	return fmt.Errorf("1:1: %w; correct the document, see `lunar config example`", err)
}

// locate puts the place of each error that is about an object of the document before
// it.
func locate(name string, doc []byte, err error) error {
	at := index(doc)
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	var located []error
	for _, e := range errs {
		var wrong *engine.ConfigError
		if !errors.As(e, &wrong) {
			located = append(located, e)
			continue
		}
		line, column := at.of(wrong.Path, doc)
		located = append(located, fmt.Errorf("%s:%d:%d: %w", name, line, column, e))
	}
	return errors.Join(located...)
}
