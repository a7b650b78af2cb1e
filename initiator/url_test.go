package initiator

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseURL_Forms(t *testing.T) {
	const name = "iqn.2026-01.example:disk"
	for in, want := range map[string]URL{
		"iscsi://host/" + name + "/3":            {Portal: "host:3260", Target: name, LUN: 3},
		"iscsi://host:99/" + name:                {Portal: "host:99", Target: name},
		"iscsi://[::1]:99/IQN.2026-01.a:B/16383": {Portal: "[::1]:99", Target: "iqn.2026-01.a:b", LUN: 16383},
		"iscsi://[::1]/" + name + "/0":           {Portal: "[::1]:3260", Target: name},
		"iscsi://127.0.0.1":                      {Portal: "127.0.0.1:3260"},
		"iscsi://user%a secret @ host%41@host/" + name + "/1": {
			Portal: "host:3260", Target: name, LUN: 1, CHAP: CHAP{User: "user", Secret: "a secret @ host%41"},
		},
		"iscsi://user@[::1]:99/" + name: {Portal: "[::1]:99", Target: name, CHAP: CHAP{User: "user"}},
		"iscsi://u%s@h/" + name + "/0?target_user=t&target_password=p=q": {
			Portal: "h:3260", Target: name, CHAP: CHAP{User: "u", Secret: "s", TargetUser: "t", TargetSecret: "p=q"},
		},
	} {
		got, err := ParseURL(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseURL_Refused(t *testing.T) {
	for _, in := range []string{
		"", "host", "http://host/iqn.2026-01.a:b/0", "iscsi:///iqn.2026-01.a:b/0",
		"iscsi://@host/iqn.2026-01.a:b/0", "iscsi://%s@host/iqn.2026-01.a:b/0", "iscsi://u@/iqn.2026-01.a:b/0", "iscsi://host/disk/0",
		"iscsi://host/iqn.2026-01.a:b/16384", "iscsi://host/iqn.2026-01.a:b/x",
		"iscsi://host/iqn.2026-01.a:b/0?x=y",
	} {
		if u, err := ParseURL(in); err == nil {
			t.Errorf("%q was taken as %+v", in, u)
		}
	}
}

// What goes wrong, and an address that is printed, tells no secret.
func TestURL_TellsNoSecret(t *testing.T) {
	u, err := ParseURL("iscsi://user%hush@host/iqn.2026-01.a:b/0?target_password=hush2")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{u.String(), fmt.Sprint(u), fmt.Sprintf("%+v", u), fmt.Sprintf("%#v", u), fmt.Sprint(Config{CHAP: u.CHAP})} {
		if strings.Contains(s, "hush") {
			t.Errorf("%q", s)
		}
	}
	for _, in := range []string{"iscsi://user%hush@host/disk", "user%hush@host", "iscsi://user%hush@h%zz/disk", "iscsi://user%hush@/x", "iscsi://u%hush@h/iqn.2026-01.a:b/x"} {
		if _, err := ParseURL(in); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", in, err)
		}
	}
}
