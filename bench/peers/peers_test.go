package peers

import (
	"os/exec"
	"strings"
	"testing"
)

func TestScript_EveryPeer_IsAShellScript(t *testing.T) {
	for _, name := range []string{"tgt", "istgt", "gotgt"} {
		text, err := Script(name)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, word := range []string{"PORT", "CORE", "MIB", "FILE", "DIR"} {
			if v := "${" + strings.ToUpper(name) + "_" + word + ":-"; !strings.Contains(text, v) {
				t.Errorf("%s does not read %s", name, v)
			}
		}
	}
	for _, name := range []string{"lio", "verbs"} {
		if _, err := Script(name); err == nil {
			t.Errorf("%s is no peer and has a script", name)
		}
	}
}
