package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPersistentUUID_DrawnOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "units", "a")
	first, err := persistentUUID(path)
	if err != nil || first == [16]byte{} {
		t.Fatalf("%x, %v", first, err)
	}
	again, err := persistentUUID(path)
	if err != nil || again != first {
		t.Errorf("second start: %x, %v, was %x", again, err, first)
	}
	other, err := persistentUUID(filepath.Join(dir, "units", "b"))
	if err != nil || other == first {
		t.Errorf("another unit: %x, %v", other, err)
	}
	// Nothing but the two files is left, readable by nobody else.
	entries, err := os.ReadDir(filepath.Join(dir, "units"))
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 || info.Size() != 33 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
	}
}

// A damaged file is never replaced: the disk that hosts know would be gone.
func TestPersistentUUID_RejectsDamage(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "short": strings.Repeat("ab", 15), "long": strings.Repeat("ab", 17),
		"not hex": strings.Repeat("xy", 16), "zeros": strings.Repeat("\x00", 33),
		"odd": strings.Repeat("ab", 15) + "a",
	} {
		path := filepath.Join(t.TempDir(), "id")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		id, err := persistentUUID(path)
		if err == nil {
			t.Errorf("%s: accepted as %x", name, id)
			continue
		}
		says(t, err, path, "32 hex digits", "restore it", "remove it")
		if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
			t.Errorf("%s: the file now holds %q, %v", name, kept, err)
		}
	}
}

// Where it cannot be written nothing is left behind and the error names the place.
func TestPersistentUUID_CannotWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := persistentUUID(filepath.Join(path, "units", "a"))
	says(t, err, path, "make the state directory writable")
	// The name is taken by a directory, so the rename fails after the write.
	taken := filepath.Join(dir, "units", "a")
	if err := os.MkdirAll(filepath.Join(taken, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	says(t, writeDurably(taken, []byte("x")), taken)
	entries, err := os.ReadDir(filepath.Join(dir, "units"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestWriteDurably_Replaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, text := range []string{"old", "new and longer", ""} {
		if err := writeDurably(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
	}
}

// Two units never share an identity, also where their paths look alike, and a
// file keeps its own under another number.
func TestUnitIdentity_OneForEachMedium(t *testing.T) {
	e := &Engine{cfg: Config{State: t.TempDir()}}
	seen := map[string]string{}
	long := "/" + strings.Repeat("long/", 60) + "disk"
	for i, l := range []Unit{
		{Medium: RAM},
		{Medium: RAM},
		{Medium: Null},
		{Medium: File, Path: "/a/b"},
		{Medium: File, Path: "/a_b"},
		{Medium: File, Path: "/a%5Fb"},
		{Medium: File, Path: "/a%b"},
		{Medium: File, Path: "/a/_b"},
		{Medium: File, Path: "/a_/b"},
		{Medium: File, Path: long},
		{Medium: File, Path: long + "2"},
		{Medium: Block, Path: "/dev/a"},
		{Medium: Block, Path: "/dev/a1"},
	} {
		l.Name = fmt.Sprint("unit", i)
		id, err := e.unitIdentity(l)
		if err != nil {
			t.Fatal(err)
		}
		name := string(l.Medium) + " " + l.Path
		if other, twice := seen[id.Serial]; twice {
			t.Errorf("%s and %s are one unit to a host", other, name)
		}
		seen[id.Serial] = name
		l.Name += "moved"
		moved, err := e.unitIdentity(l)
		if err != nil || (moved.Serial == id.Serial) != l.Medium.hasPath() {
			t.Errorf("%s under another number: %v, %v", name, moved.Serial == id.Serial, err)
		}
	}
}

// The way to a file is made as far as it is missing, and what is no directory is
// not taken for one.
func TestMakeDir(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b", "c")
	for range 2 {
		if err := makeDir(deep); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(deep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	file, dangling, link := filepath.Join(root, "file"), filepath.Join(root, "dangling"), filepath.Join(root, "link")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for to, name := range map[string]string{filepath.Join(root, "none"): dangling, deep: link} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{file, filepath.Join(file, "d"), dangling, filepath.Join(dangling, "d")} {
		says(t, makeDir(dir), root)
	}
	for _, dir := range []string{link, filepath.Join(link, "d"), "/", "."} {
		if err := makeDir(dir); err != nil {
			t.Error(err)
		}
	}
}

// No unit shares the identity of another, whatever it is called.
func TestUnitIdentity_NameLikeAFile(t *testing.T) {
	e := &Engine{cfg: Config{State: t.TempDir()}}
	seen := map[string]string{}
	for _, u := range []Unit{
		{Name: "disk", Medium: File, Path: "/srv/disk"},
		{Name: "file_srv_disk", Medium: RAM},
		{Name: "unit-file_srv_disk", Medium: RAM},
		{Name: "disk", Medium: RAM},
		{Name: strings.Repeat("x", 255), Medium: Null},
		{Name: strings.Repeat("x", 254), Medium: Null},
		{Name: "file" + strings.Repeat("x", 251), Medium: Null},
	} {
		id, err := e.unitIdentity(u)
		if err != nil {
			t.Fatal(err)
		}
		who := string(u.Medium) + " " + u.Name
		if other := seen[id.Serial]; other != "" {
			t.Errorf("%s is %s", who, other)
		}
		seen[id.Serial] = who
	}
}
