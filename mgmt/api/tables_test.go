package api

import (
	"strings"
	"testing"
)

func render(t *testing.T, words string) string {
	t.Helper()
	v, ok := Find(words)
	if !ok {
		t.Fatalf("no verb %q", words)
	}
	path := socket(t, &Service{Node: newNode(), Version: "1.2"})
	reply, err := Ask(t.Context(), path, v, "1")
	if err != nil {
		t.Fatal(err)
	}
	table, err := v.Table(reply)
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	if err := table.Write(&s); err != nil {
		t.Fatal(err)
	}
	return s.String()
}

// Tables are aligned and say sizes and ages as people do.
func TestTables(t *testing.T) {
	want := `TARGET   LUN  FOR      UNIT   SIZE     BLOCK  ACCESS      HOME  READS  READ    WRITES  WRITTEN  MEDIUM             ERRORS
iqn.x:a  3    -        disk   1.0 MiB  512    read-write  0     5      20 KiB  2       8.0 KiB  ram 1048576 bytes  1 illegal request
iqn.x:a  0    iqn.y:*  disk   1.0 MiB  512    read-only   0     5      20 KiB  2       8.0 KiB  ram 1048576 bytes  1 illegal request
-        -    -        spare  1.0 TiB  4096   read-write  0     0      0 B     0       0 B      null               -
`
	if got := render(t, "lun list"); got != want {
		t.Errorf("got\n%s", got)
	}
	want = `ID  INITIATOR    TARGET       SOURCE     USER  REACTOR  AGE   TASKS  COMMANDS  IN       OUT  STATE
1   iqn.y:host   iqn.x:a      192.0.2.1  -     0        1h1m  0      0         5.0 GiB  0 B  full feature
9   iqn.y:other  (discovery)  -          -     0        0s    0      0         0 B      0 B  full feature
`
	if got := render(t, "session list"); got != want {
		t.Errorf("got\n%s", got)
	}
	for _, line := range []string{
		"up                1d2h\n", "logins            3 success, 7 authentication failed\n", "portal group 1    127.0.0.1:3260\n",
		"logins under way  2 (4 connections turned away so far)\n", "63 of 64 receive buffers free, staged 1.0 KiB of 4.0 KiB free\n",
	} {
		if got := render(t, "status"); !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
}

// What an initiator calls itself cannot act on a terminal.
func TestTables_PrintNoControlCharacters(t *testing.T) {
	got := render(t, "session show")
	if strings.ContainsAny(got, "\x1b\t") || !strings.Contains(got, "?[2Jevil?name") {
		t.Errorf("%q", got)
	}
}

func TestAge(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 59.4: "59s", 61: "1m1s", 3600: "1h0m", 86400: "1d0h", 90061: "1d1h"} {
		if got := age(seconds); got != want {
			t.Errorf("%v: %s, want %s", seconds, got, want)
		}
	}
}
