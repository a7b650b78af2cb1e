package config

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lunar/engine"
	"lunar/iscsi/auth"
)

// secrets sets what the example refers to.
func secrets(t testing.TB) {
	for _, name := range []string{"DISCOVERY", "HOST", "MUTUAL", "BACKUP"} {
		t.Setenv("LUNAR_"+name+"_SECRET", strings.ToLower(name)+"-0123456789")
	}
}

func TestExample_IsAWholeConfiguration(t *testing.T) {
	secrets(t)
	f, err := Parse("example.toml", Example, []int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	c := &f.Engine
	if f.LogLevel != slog.LevelInfo || f.Admin != "/run/lunar/admin.sock" || f.Metrics != "127.0.0.1:9620" || c.Status != "http://127.0.0.1:9620/metrics" || c.State != "/var/lib/lunar" || len(c.CPUs) != 1 {
		t.Errorf("%+v", f)
	}
	if len(c.Groups) != 2 || c.Groups[1].Portals[0] != "127.0.0.2:3260" || len(c.Units) != 2 || c.Units[0].Bytes != 10<<30 || c.Units[0].BlockBytes != 4096 {
		t.Errorf("groups %+v units %+v", c.Groups, c.Units)
	}
	db := c.Targets[0]
	if db.Alias != "the database" || len(db.LUNs) != 2 || !db.LUNs[1].ReadOnly || db.Offer.MaxOutstandingR2T != 8 {
		t.Errorf("target %+v", db)
	}
	if p := db.Auth; string(p.Users[0].Secret) != "host-0123456789" || p.Mutual.Name != "lunar" || len(p.Algorithms) != 2 || p.Algorithms[0] != auth.SHA3 {
		t.Errorf("chap %+v", p)
	}
	if a := db.Access; !a[0].Deny || a[1].Auth.Users[0].Name != "backup" || a[1].Sources[1] != netip.MustParsePrefix("::1/128") || a[2].LUNs != nil {
		t.Errorf("access %+v", a)
	}
	if r := c.Targets[1].Redirect; r == nil || r.Permanent || r.Addresses[0] != "192.0.2.7:3260" {
		t.Errorf("redirect %+v", r)
	}
	if w := f.Engine.Warnings(); len(w) != 0 {
		t.Errorf("warnings %q", w)
	}
}

// What stands in comments of the example are the defaults, and can be said.
func TestExample_CommentsAreKeys(t *testing.T) {
	secrets(t)
	said := regexp.MustCompile(`(?m)^# ([a-z_]+ = )`).ReplaceAll(Example, []byte("$1"))
	if bytes.Equal(said, Example) {
		t.Fatal("no default is shown")
	}
	f, err := Parse("example.toml", said, []int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	if f.Engine.Limits != (engine.Limits{LoginTime: 10 * time.Second, PingTime: 15 * time.Second, Logins: 1024, LoginsPerSource: 64}) {
		t.Errorf("%+v", f.Engine.Limits)
	}
}

const minimal = `state = "/s"
[[portal_group]]
portals = ["127.0.0.1"]
[[unit]]
name = "a"
medium = "ram"
size = "1MiB"
[[target]]
name = "iqn.2026-11.lunar:a"
[[target.lun]]
number = 0
unit = "a"
[[target.access]]
initiator = "iqn.x:*"
lun = [{ number = 1, unit = "a" }]
`

// Every error says where, names the object and the remedy.
func TestParse_ErrorsSayWhere(t *testing.T) {
	for _, k := range []struct{ from, to, want string }{
		{`"/s"`, `""`, `x:1:1: no state directory; give`},
		{`[[portal`, "admin = \"a.sock\"\n[[portal", `x:2:1: admin: path "a.sock" is relative; give`},
		{`[[portal`, "metrics = \"localhost:1\"\n[[portal", `x:2:1: metrics "localhost:1": use a numeric address`},
		{`state =`, `stat =`, `x:1:1: there is no key "stat"; see`},
		{`"/s"`, `"/s`, `x:1:`},
		{`"127.0.0.1"`, `"localhost"`, `x:3:12: portal "localhost": use ADDR`},
		{`"127.0.0.1"]`, `"127.0.0.1", "::1", "127.0.0.1:3260"]`, `x:3:32: portal 127.0.0.1:3260 is configured twice`},
		{`"1MiB"`, `"1MB"`, `x:7:1: unit "a": size "1MB": use a number`},
		{`size = "1MiB"`, ``, `x:4:3: unit "a": ram needs size`},
		{`"ram"`, `"disk"`, `x:6:1: unit "a": unknown medium "disk"; use`},
		{`"ram"`, `"file"` + "\npath = \"a\"", `x:7:1: unit "a": path "a" is relative`},
		{`"ram"`, `"block"` + "\npath = \"a\"", `unit "a": path "a" is relative`},
		{`"ram"`, `"block"`, `unit "a": block has no option "size"; use path, bs, sync`},
		{`"1MiB"`, `"1MiB"` + "\nprotection = 4", `x:8:1: unit "a": protection="4": use 0 to 3`},
		{`"ram"`, `"null"` + "\nprotection = 1", `x:7:1: unit "a": protection information is kept of ram and file units alone`},
		{`"iqn.2026-11.lunar:a"`, `"a"`, `x:9:1: target "a" is no iSCSI name`},
		{"number = 0\nunit = \"a\"", "number = 0\nunit = \"b\"", `x:12:1: target "iqn.2026-11.lunar:a": LUN 0 is unit "b", which is not configured`},
		{`number = 0`, `number = -1`, `x:11:1: LUN -1`},
		{`number = 0`, `number = "0"`, `x:11:10: `},
		{`number = 1`, `number = 99999`, `x:15:10: LUN 99999`},
		{`1, unit = "a"`, `1, unit = "z"`, `x:15:22: target "iqn.2026-11.lunar:a": LUN 1 is unit "z"`},
		{`iqn.x:*`, `*x`, `x:14:1: target "iqn.2026-11.lunar:a": initiator "*x" is no iSCSI name`},
		{"portals", "tag = 70000\nportals", `x:3:1: portal group tag 70000`},
		{"[[unit]]", "[reactors]\ncount = 3\n[[unit]]", `x:5:1: 3 reactors on 2 usable processors`},
		{"[[unit]]", "[reactors]\ncpus = [0, 5]\n[[unit]]", `x:5:12: processor 5 is not usable`},
		{"[[unit]]", "[reactors]\nring = \"x\"\n[[unit]]", `x:5:1: ring: `},
		{"[[unit]]", "[limits]\nlogin_time = \"1ms\"\n[[unit]]", `x:5:1: limits.login_time "1ms"`},
		{"[[unit]]", "[discovery.chap]\n[[unit]]", `x:4:12: discovery: CHAP: no user may log in`},
		{"[[unit]]", "[discovery]\nchap = { users = [{ name = \"u\", secret = \"not-a-reference\" }] }\n[[unit]]", `x:5:33: CHAP user "u": secret: give a reference`},
		{"[[unit]]", "[discovery]\nchap = { users = [{ name = \"u\", secret = \"env:LUNAR_SHORT\" }] }\n[[unit]]", `x:5:1: discovery: CHAP user "u": the secret has 5 bytes`},
		{"[[unit]]", "[discovery]\nchap = { algorithms = [\"SHA-512\"] }\n[[unit]]", `CHAP algorithm "SHA-512"`},
		{`lun = [{`, "sources = [\"10.0.0.1/8\"]\nlun = [{", `x:15:12: source "10.0.0.1/8"`},
	} {
		t.Setenv("LUNAR_SHORT", "short")
		doc := strings.Replace(minimal, k.from, k.to, 1)
		if doc == minimal {
			t.Fatalf("%q is not in the document", k.from)
		}
		_, err := Parse("x", []byte(doc), []int{0, 1})
		if err == nil || !strings.HasPrefix(err.Error(), k.want) && !strings.Contains(err.Error(), k.want) {
			t.Errorf("%q: %v\nwant %s", k.to, err, k.want)
			continue
		}
		if !placed.MatchString(err.Error()) || strings.Contains(err.Error(), "not-a-reference") {
			t.Errorf("%q: %v", k.to, err)
		}
	}
	if _, err := Parse("x", []byte(minimal), []int{0}); err != nil {
		t.Error(err)
	}
}

var placed = regexp.MustCompile(`^x:[1-9][0-9]*:[1-9][0-9]*: .`)

// Several errors are told at once, each with its place.
func TestParse_TellsAllErrors(t *testing.T) {
	doc := strings.NewReplacer(`"1MiB"`, `"x"`, `"iqn.x:*"`, `"iqn.x:*"`+"\nsources = [\"y\"]").Replace(minimal)
	_, err := Parse("x", []byte(doc), []int{0})
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 || !strings.Contains(err.Error(), "\nx:15:12: source") {
		t.Errorf("%v", err)
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good := write("good", "0123456789ab\r\n", 0o600)
	t.Setenv("LUNAR_TEST_SECRET", "from-env")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for ref, want := range map[string]string{"file:" + good: "0123456789ab", "credential:good": "0123456789ab", "env:LUNAR_TEST_SECRET": "from-env"} {
		if s, err := secret(ref); err != nil || string(s) != want {
			t.Errorf("%s: %q, %v", ref, s, err)
		}
	}
	open := write("open", "0123456789ab", 0o644)
	large := write("large", strings.Repeat("x", maxSecretFile+1), 0o600)
	for ref, words := range map[string]string{
		"file:" + open: "chmod 600", "file:" + large: "larger than", "file:" + dir: "no regular file", "file:/nowhere": "/nowhere",
		"env:LUNAR_NOT_SET": "LUNAR_NOT_SET is not set", "credential:../good": "LoadCredential=", "credential:missing": "missing",
		"hunter2": "give a reference", "env:": "give a reference", "": "give a reference",
	} {
		s, err := secret(ref)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %q, %v", ref, s, err)
		}
	}
}

func TestLoad_MissingFile(t *testing.T) {
	_, err := Load("/nowhere/lunar.toml", []int{0})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/lunar.toml") || !strings.Contains(err.Error(), "--config") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add(Example)
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := Parse("x", doc, []int{0, 1})
		if (c == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
		if err != nil && !placed.MatchString(err.Error()) {
			t.Fatalf("no place: %v", err)
		}
	})
}

// A reference may name anything; what is no file must not hold up a reload.
func TestSecretFile_IsNoFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/null"} {
		if _, err := secret("file:" + path); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
