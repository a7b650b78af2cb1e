package initiator

import "testing"

func TestParseURL_Forms(t *testing.T) {
	const name = "iqn.2026-01.example:disk"
	for in, want := range map[string]URL{
		"iscsi://host/" + name + "/3":            {"host:3260", name, 3},
		"iscsi://host:99/" + name:                {"host:99", name, 0},
		"iscsi://[::1]:99/IQN.2026-01.a:B/16383": {"[::1]:99", "iqn.2026-01.a:b", 16383},
		"iscsi://[::1]/" + name + "/0":           {"[::1]:3260", name, 0},
		"iscsi://127.0.0.1":                      {"127.0.0.1:3260", "", 0},
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
		"iscsi://u@host/iqn.2026-01.a:b/0", "iscsi://host/disk/0",
		"iscsi://host/iqn.2026-01.a:b/16384", "iscsi://host/iqn.2026-01.a:b/x",
		"iscsi://host/iqn.2026-01.a:b/0?x=y",
	} {
		if u, err := ParseURL(in); err == nil {
			t.Errorf("%q was taken as %+v", in, u)
		}
	}
}
