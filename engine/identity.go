package engine

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lunar/scsi"
)

// unitIdentity returns what a unit says of itself, from a UUID that is drawn once
// and kept in the state directory: hosts know a disk by it, so it must neither
// change nor be given to another (CVE history: two units with one name are merged
// by multipath hosts).
func (e *Engine) unitIdentity(n int, l LUN) (scsi.Identity, error) {
	name := fmt.Sprintf("%s.%d.%s", strings.ReplaceAll(e.cfg.Target, ":", "_"), n, l.Medium)
	if l.Medium == File {
		// A file keeps its identity when it is exported under another number.
		p, err := filepath.Abs(l.Path)
		if err != nil {
			return scsi.Identity{}, err
		}
		name = "file" + strings.ReplaceAll(p, "/", "_")
	}
	id, err := persistentUUID(filepath.Join(e.cfg.State, "units", name))
	if err != nil {
		return scsi.Identity{}, fmt.Errorf("identity of LUN %d: %w; make the state directory writable or give another --state", n, err)
	}
	s := scsi.IdentityOf(id)
	s.TargetName, s.PortalGroupTag = e.cfg.Target, portalGroupTag
	return s, nil
}

// persistentUUID reads the UUID in a file, or draws one and writes it there
// before it is used: old or new, never neither.
func persistentUUID(path string) (id [16]byte, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(b) != len(id) {
			return id, fmt.Errorf("%s holds no identity of 32 hex digits", path)
		}
		return [16]byte(b), nil
	}
	if !os.IsNotExist(err) {
		return id, err
	}
	if _, err := rand.Read(id[:]); err != nil {
		return id, err
	}
	return id, writeDurably(path, []byte(hex.EncodeToString(id[:])+"\n"))
}

// writeDurably replaces a file so that after a power cut it is the old or the new
// one: write beside it, sync, rename, sync the directory.
func writeDurably(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
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
