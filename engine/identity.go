package engine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lunar/scsi"
)

// unitIdentity returns what a unit says of itself, from a UUID that is drawn once
// and kept in the state directory: hosts know a disk by it, so it must neither
// change nor be given to another (CVE history: two units with one name are merged
// by multipath hosts).
func (e *Engine) unitIdentity(u Unit) (scsi.Identity, error) {
	name, err := stateName(u)
	if err != nil {
		return scsi.Identity{}, err
	}
	id, err := persistentUUID(filepath.Join(e.cfg.State, "units", name))
	if err != nil {
		return scsi.Identity{}, fmt.Errorf("identity: %w", err)
	}
	return scsi.IdentityOf(id), nil
}

// stateName names what is kept of a unit. A file or a device keeps its own when it is
// exported under another name; no path is both.
func stateName(u Unit) (string, error) {
	if !u.Medium.hasPath() {
		return mediumName(u.Name), nil
	}
	p, err := filepath.Abs(u.Path)
	if err != nil {
		return "", fmt.Errorf("identity: %w; give an absolute path", err)
	}
	return fileName(p), nil
}

// maxFileName is what every file system takes in one name, with some to spare.
const maxFileName = 200

// escapes make two paths two names.
var escapes = strings.NewReplacer("/", "_", "_", "%5F", "%", "%25")

// fileName names the identity of a medium in a file. Different paths never share
// a name: two disks with one identity are merged by multipath hosts.
func fileName(path string) string {
	name := "file" + escapes.Replace(path)
	if len(name) > maxFileName {
		sum := sha256.Sum256([]byte(path))
		name = "file-" + hex.EncodeToString(sum[:])
	}
	return name
}

// named begins the names of identities of media without a file, where they need it.
const named = "unit-"

// mediumName names the identity of a medium without a file by its unit, and never as
// fileName does one with a file, for a unit may be called as it likes.
func mediumName(unit string) string {
	switch {
	case !strings.HasPrefix(unit, "file") && !strings.HasPrefix(unit, named):
		return unit
	case len(unit) > maxFileName:
		sum := sha256.Sum256([]byte(unit))
		return named + named + hex.EncodeToString(sum[:])
	}
	return named + unit
}

// persistentUUID reads the UUID in a file, or draws one and writes it there
// before it is used: old or new, never neither.
func persistentUUID(path string) (id [16]byte, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(b) != len(id) {
			// Drawing another would make it another disk, so that is not ours to decide.
			return id, fmt.Errorf("%s holds no identity of 32 hex digits; restore it, or remove it to make the unit a new disk", path)
		}
		return [16]byte(b), nil
	}
	if os.IsNotExist(err) {
		_, err = rand.Read(id[:])
		if err == nil {
			err = writeDurably(path, []byte(hex.EncodeToString(id[:])+"\n"))
		}
	}
	if err != nil {
		return id, fmt.Errorf("%w; make the state directory writable or give another --state", err)
	}
	return id, nil
}

// writeDurably replaces a file so that after a power cut it is the old or the new
// one: write beside it, sync, rename, sync the directory.
func writeDurably(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when the rename succeeded
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// makeDir makes a directory and those above it that are missing, each durable in
// the one that holds it: a file is no safer than the way to it.
func makeDir(dir string) error {
	parent := filepath.Dir(dir)
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		if info, serr := os.Stat(dir); serr == nil && info.IsDir() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
