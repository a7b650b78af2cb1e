package ram

import (
	"errors"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
)

func open(t testing.TB, cfg Config) blktest.Subject {
	t.Helper()
	cfg.Memory = make([]byte, 2<<20)
	if cfg.BlockBytes == 0 {
		cfg.BlockBytes = 512
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return blktest.Subject{Backend: b, Queue: b.NewQueue()}
}

func TestRAM_Suite(t *testing.T) {
	for name, cfg := range map[string]Config{
		"512":       {},
		"4096":      {BlockBytes: 4096},
		"trim":      {Trim: func(b []byte) error { clear(b); return nil }},
		"trimfails": {Trim: func([]byte) error { return errors.New("no") }},
		"readonly":  {ReadOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			blktest.Run(t, func(t testing.TB) blktest.Subject { return open(t, cfg) })
		})
	}
}

// Trim is given whole pages only, and never one that holds a byte outside.
func TestRAM_TrimGetsWholePages(t *testing.T) {
	var trimmed int
	s := open(t, Config{Trim: func(b []byte) error {
		if len(b)%pageBytes != 0 {
			t.Errorf("trim of %d bytes", len(b))
		}
		trimmed += len(b)
		clear(b)
		return nil
	}})
	r := &blk.Request{Op: blk.Discard, Offset: 512, Length: 3*pageBytes - 512}
	s.Queue.Submit([]*blk.Request{r}, nil)
	if r.Result != blk.OK || trimmed != 2*pageBytes {
		t.Errorf("result %d, trimmed %d bytes, want %d", r.Result, trimmed, 2*pageBytes)
	}
}

func TestRAM_NewRefusesWrongSizes(t *testing.T) {
	for _, cfg := range []Config{
		{Memory: make([]byte, 1024), BlockBytes: 1024},
		{Memory: make([]byte, 1000), BlockBytes: 512},
		{BlockBytes: 512},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%d bytes in blocks of %d: no error", len(cfg.Memory), cfg.BlockBytes)
		}
	}
}

func TestRAM_CloseFreesOnce(t *testing.T) {
	freed := 0
	b, err := New(Config{Memory: make([]byte, 4096), BlockBytes: 512, Free: func([]byte) error { freed++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if b.Close() != nil || b.Close() != nil || freed != 1 {
		t.Errorf("freed %d times", freed)
	}
}
