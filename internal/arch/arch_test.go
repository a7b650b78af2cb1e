package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// levels is the import graph: a package may import only packages of a lower
// level. The longest prefix names the level of a package.
var levels = map[string]int{
	"lunar/iscsi/serial":           0,
	"lunar/scsi/sam":               0,
	"lunar/scsi/pi":                0,
	"lunar/lun/blk":                0,
	"lunar/digest":                 0,
	"lunar/internal/queue":         0,
	"lunar/internal/conform":       0, // by tests alone
	"lunar/internal/invariant":     0,
	"lunar/internal/buf":           1, // on invariant
	"lunar/iscsi/text":             0,
	"lunar/iscsi/auth":             1, // on text
	"lunar/iscsi/pdu":              1,
	"lunar/reactor":                2, // on buf
	"lunar/reactor/host":           0, // system calls, nothing of ours
	"lunar/reactor/":               3, // the rings, on the types of the loop
	"lunar/reactor/rings":          4, // which of them this machine has
	"lunar/iscsi/login":            2,
	"lunar/scsi":                   2,
	"lunar/lun/blk/blktest":        3,
	"lunar/lun/ram":                2,
	"lunar/lun/null":               2,
	"lunar/lun/cache":              2,
	"lunar/lun/protection":         2,
	"lunar/lun/descriptor":         3, // on the types of the loop
	"lunar/lun/descriptor/extents": 0, // one system call
	"lunar/lun/file":               4,
	"lunar/lun/block":              4,
	"lunar/lun/block/blocktest":    0, // losetup, by tests alone
	"lunar/lun/file/filetest":      4,
	"lunar/iscsi/order":            1, // on serial and invariant; the one thing of the protocol that two cores touch
	"lunar/iscsi/session":          3,
	"lunar/lun":                    3,
	"lunar/iscsi/transport":        4,
	"lunar/initiator":              6,
	"lunar/initiator/":             7,
	"lunar/initiator/drive":        5, // on the rings
	"lunar/engine":                 5,
	"lunar/internal/simulate":      6, // on the engine; by tests alone
	"lunar/mgmt/config":            6, // on the engine
	"lunar/mgmt/api":               6, // likewise
	"lunar/bench/":                 5, // the echo, on the rings; scripts of peers
	"lunar/bench":                  7,
	"lunar/bench/suite":            8,
	"lunar/cmd/":                   9,
	"lunar/internal/conform/":      1, // the report
	"lunar/internal/system":        10,
	"lunar/internal/arch":          10,
}

// denied are imports that no level allows: what a package must not know.
var denied = []struct{ from, pkg, why string }{
	{"lunar/reactor", "lunar/iscsi", "the reactor knows no protocol"},
	{"lunar/reactor", "lunar/scsi", "the reactor knows no SCSI"},
	{"lunar/reactor", "lunar/lun", "the reactor knows no units"},
	{"lunar/scsi", "lunar/iscsi", "the device server knows no transport"},
	{"lunar/scsi", "lunar/reactor", "the device server does no I/O"},
	{"lunar/lun", "lunar/iscsi", "a unit knows no transport"},
	{"lunar/initiator", "lunar/iscsi/login", "the initiator judges for itself"},
	{"lunar/initiator", "lunar/iscsi/session", "the initiator judges for itself"},
	{"lunar/initiator", "lunar/iscsi/transport", "the initiator judges for itself"},
	{"lunar/initiator", "lunar/engine", "the initiator judges for itself"},
}

// pure packages do no I/O and hold no locks.
var pure = []string{
	"lunar/iscsi/pdu", "lunar/iscsi/serial", "lunar/iscsi/text", "lunar/iscsi/auth", "lunar/iscsi/login",
	"lunar/iscsi/session", "lunar/scsi",
}

var impure = []string{"net", "os", "sync", "sync/atomic", "syscall", "time", "golang.org/x/sys/unix", "unsafe"}

// special are the only packages that may import something special.
var special = map[string][]string{
	"unsafe": {
		"lunar/internal/buf", "lunar/reactor/uring", "lunar/reactor/epoll", "lunar/digest", "lunar/lun/descriptor/extents",
	},
	"golang.org/x/sys/unix": {
		"lunar/internal/buf", "lunar/reactor/uring", "lunar/reactor/epoll", "lunar/reactor/host",
		"lunar/lun/descriptor", "lunar/lun/descriptor/extents", "lunar/lun/file", "lunar/lun/block", "lunar/lun/file/filetest", "lunar/bench", "lunar/cmd/lunar",
	},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func level(pkg string) (n int, ok bool) {
	best := ""
	for prefix, l := range levels {
		exact := pkg == strings.TrimSuffix(prefix, "/")
		below := strings.HasSuffix(prefix, "/") && strings.HasPrefix(pkg, prefix)
		if (exact && !strings.HasSuffix(prefix, "/") || below) && len(prefix) > len(best) {
			best, n, ok = prefix, l, true
		}
	}
	return n, ok
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

func TestImports_PointDownOnly(t *testing.T) {
	all := packages(t)
	if len(all) < 20 {
		t.Fatalf("only %d packages found", len(all))
	}
	for _, p := range all {
		from, ok := level(p.ImportPath)
		if !ok {
			t.Errorf("%s has no level: give it one in levels, and a row in docs/architecture.md", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if to, ours := level(i); ours && to >= from {
				t.Errorf("%s (level %d) imports %s (level %d)", p.ImportPath, from, i, to)
			}
			for _, d := range denied {
				if within(p.ImportPath, d.from) && within(i, d.pkg) {
					t.Errorf("%s imports %s: %s", p.ImportPath, i, d.why)
				}
			}
		}
	}
}

func TestImports_PureStayPure(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.ImportPath) && p.ImportPath != "lunar/scsi/sam" {
			continue
		}
		for _, i := range p.Imports {
			if slices.Contains(impure, i) {
				t.Errorf("%s is pure and imports %s", p.ImportPath, i)
			}
		}
	}
}

func TestImports_SpecialStaySpecial(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			if may, ok := special[i]; ok && !slices.Contains(may, p.ImportPath) {
				t.Errorf("%s imports %s; only %v may", p.ImportPath, i, may)
			}
		}
	}
}

// TestRules_CatchViolations shows that the rules can fail.
func TestRules_CatchViolations(t *testing.T) {
	a, _ := level("lunar/iscsi/pdu")
	b, _ := level("lunar/iscsi/session")
	if a >= b {
		t.Errorf("pdu (%d) could import session (%d)", a, b)
	}
	if n, _ := level("lunar/reactor/uring"); n != 3 {
		t.Errorf("a ring has level %d", n)
	}
	if _, ok := level("lunar/somewhere/new"); ok {
		t.Error("a package nobody placed has a level")
	}
	if !within("lunar/scsi/sam", "lunar/scsi") || within("lunar/scsix", "lunar/scsi") {
		t.Error("within")
	}
}
