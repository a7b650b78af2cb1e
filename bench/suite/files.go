package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

// spare is what a file system must have beyond what the suite writes.
const spare = 1 << 30

// prepare makes the directories of the run and the files of file units. Each
// server has a file of its own, all made alike.
func (r *run) prepare(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp(r.cfg.Dir, "lunar-suite-"); err != nil {
		return fmt.Errorf("suite: make a directory for temporary files: %w", err)
	}
	if r.shm, err = os.MkdirTemp("/dev/shm", "lunar-suite-"); err != nil {
		return fmt.Errorf("suite: make a directory for RAM units: %w", err)
	}
	names := r.filesNeeded()
	if err := enough(r.shm, 3*ramBytes+spare, "its memory"); err != nil {
		return err
	}
	if err := enough(r.dir, int64(len(names))*r.cfg.FileBytes+spare, "--dir or TMPDIR"); err != nil {
		return err
	}
	for _, name := range names {
		r.say("writing %d MiB for the file unit of %s", r.cfg.FileBytes>>20, name)
		path := filepath.Join(r.dir, name+".img")
		if err := writeFile(ctx, path, r.cfg.FileBytes); err != nil {
			return err
		}
		r.files[name] = path
	}
	return nil
}

// clean removes what prepare made.
func (r *run) clean() {
	for _, dir := range []string{r.dir, r.shm} {
		if dir == "" {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			r.say("remove %s: %v", dir, err)
		}
	}
}

// enough says whether a file system has so much space.
func enough(dir string, bytes int64, remedy string) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("suite: ask for the space of %s: %w", dir, err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < bytes {
		return fmt.Errorf("suite: %s has %d MiB free and %d MiB are needed; make space or choose another place by %s",
			dir, free>>20, bytes>>20, remedy)
	}
	return nil
}

// writeChunk is how much is written at a time.
const writeChunk = 4 << 20

// writeFile makes a file of which every byte was written, past the page cache
// where the file system can: what is read later comes from the disk.
func writeFile(ctx context.Context, path string, bytes int64) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_DIRECT, 0o600)
	if errors.Is(err, syscall.EINVAL) {
		_ = os.Remove(path)
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return fmt.Errorf("suite: make a file for a unit: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, bytes); err != nil && !errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("suite: reserve %d MiB for %s: %w", bytes>>20, path, err)
	}
	// Direct I/O wants memory that begins at a page.
	chunk, err := syscall.Mmap(-1, 0, writeChunk, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("suite: memory to write %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, syscall.Munmap(chunk)) }()
	_, _ = io.ReadFull(rand.NewChaCha8([32]byte{}), chunk) // cannot fail; nothing that a disk could leave out
	for at := int64(0); at < bytes; at += writeChunk {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := f.WriteAt(chunk[:min(writeChunk, bytes-at)], at); err != nil {
			return fmt.Errorf("suite: write %s: %w", path, err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("suite: write %s: %w", path, err)
	}
	return nil
}
