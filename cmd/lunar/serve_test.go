package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseReactors(t *testing.T) {
	allowed := []int{0, 1, 2, 3, 6, 7}
	for _, c := range []struct {
		in    string
		want  []int
		wrong string
	}{
		{"1", []int{-1}, ""},
		{"3", []int{-1, -1, -1}, ""},
		{"0,", []int{0}, ""},
		{"0,2-3", []int{0, 2, 3}, ""},
		{"6-7", []int{6, 7}, ""},
		{"0", nil, "use 1 to 6"},
		{"7", nil, "6 usable processors"},
		{"4,5", nil, "processor 4 is not usable"},
		{"1,1", nil, "named twice"},
		{"3-2", nil, "no list of processors"},
		{"many", nil, `"many"`},
		{"1,,2", nil, "no list of processors"},
		{"", nil, "no list of processors"},
	} {
		got, err := parseReactors(c.in, allowed)
		if c.wrong == "" && (err != nil || !slices.Equal(got, c.want)) {
			t.Errorf("%q: %v, %v", c.in, got, err)
		}
		if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%q: %v, want %q", c.in, err, c.wrong)
		}
	}
}

// TestServeFlags_Default is what make run relies on: no flag needed, one unit in
// the state directory.
func TestServeFlags_Default(t *testing.T) {
	state := t.TempDir()
	cfg, err := (&serveFlags{
		portals: []string{defaultPortal}, target: "iqn.2026-11.lunar:default",
		reactors: "1", state: state, poll: "auto", ring: "auto", log: "info",
	}).config()
	if err != nil || len(cfg.Units) != 1 || cfg.Units[0].Path != state+"/lun0.img" || cfg.Units[0].Bytes != 1<<30 {
		t.Errorf("%+v, %v", cfg, err)
	}
}
