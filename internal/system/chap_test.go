//go:build system

package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Secrets of the configuration of chapDaemon; each is of 12 bytes or more.
const (
	hostSecret      = "what-the-host-says"
	lunarSecret     = "what-Lunar-answers"
	discoverySecret = "what-discovery-asks"
	directorySecret = "what-a-directory-says"
	wrongSecret     = "what-nobody-has-said"
)

// chapDaemon serves one unit by four targets: for everyone, for hosts that prove who
// they are, for hosts to which Lunar proves itself too, and for hosts that hash with
// SHA3-256 alone.
// Discovery asks for proof. Secrets are in files.
func chapDaemon(t *testing.T) *daemon {
	t.Helper()
	dir := t.TempDir()
	secret := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("{ name = %q, secret = %q }", name, "file:"+path)
	}
	host := "[target.chap]\nusers = [" + secret("host", hostSecret) + "]\n"
	lunar := secret("lunar", lunarSecret)
	text := fmt.Sprintf("state = %q\n[[portal_group]]\nportals = [\"127.0.0.1:0\"]\n", dir) +
		"[discovery.chap]\nusers = [" + secret("discovery", discoverySecret) + "]\nmutual = " + secret("directory", directorySecret) + "\n" +
		"[[unit]]\nname = \"u\"\nmedium = \"ram\"\nsize = \"16MiB\"\n"
	for name, chap := range map[string]string{
		"open": "", "one": host, "mutual": host + "mutual = " + lunar + "\n", "sha3": host + "algorithms = [\"SHA3-256\"]\n",
	} {
		text += fmt.Sprintf("[[target]]\nname = \"iqn.2026-11.lunar:%s\"\nlun = [{ number = 0, unit = \"u\" }]\n", name) + chap
	}
	file := filepath.Join(dir, "lunar.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, "--config", file)
}

// chapURL is a URL of libiscsi; with a second secret the target is to prove itself.
func (d *daemon) chapURL(path, user, secret, of, proof string) string {
	url := "iscsi://" + d.portal + path
	if user != "" {
		url = "iscsi://" + user + "%" + secret + "@" + d.portal + path
	}
	if of != "" {
		url += "?target_user=" + of + "&target_password=" + proof
	}
	return url
}

// attempt runs a tool that may fail.
func attempt(t *testing.T, name string, args ...string) (out string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %s: no end after 30 s\n%s", name, strings.Join(args, " "), b)
	}
	return string(b), err == nil
}

// Hosts and discovery get in with the right name and secret alone; a host that asks
// for proof stays only when it gets the right one. Each has a daemon of its own: what
// was refused waits longer every time.
func TestCHAP_libiscsi(t *testing.T) {
	for _, c := range []struct {
		path, user, secret, of, proof string
		in                            bool
	}{
		{path: "/iqn.2026-11.lunar:one/0", user: "host", secret: hostSecret, in: true},
		{path: "/iqn.2026-11.lunar:one/0", user: "host", secret: wrongSecret},
		{path: "/iqn.2026-11.lunar:one/0", user: "guest", secret: hostSecret},
		{path: "/iqn.2026-11.lunar:one/0"},
		{path: "/iqn.2026-11.lunar:one/0", user: "host", secret: hostSecret, of: "lunar", proof: lunarSecret},
		{path: "/iqn.2026-11.lunar:one/0", user: "discovery", secret: discoverySecret},
		{path: "/iqn.2026-11.lunar:mutual/0", user: "host", secret: hostSecret, of: "lunar", proof: lunarSecret, in: true},
		{path: "/iqn.2026-11.lunar:mutual/0", user: "host", secret: hostSecret, in: true},
		{path: "/iqn.2026-11.lunar:mutual/0", user: "host", secret: wrongSecret, of: "lunar", proof: lunarSecret},
		{path: "/iqn.2026-11.lunar:mutual/0", user: "host", secret: hostSecret, of: "lunar", proof: wrongSecret},
		{path: "/iqn.2026-11.lunar:mutual/0", user: "host", secret: hostSecret, of: "other", proof: lunarSecret},
		{path: "/iqn.2026-11.lunar:sha3/0", user: "host", secret: hostSecret},
		{user: "discovery", secret: discoverySecret, in: true},
		{user: "discovery", secret: discoverySecret, of: "directory", proof: directorySecret, in: true},
		{user: "discovery", secret: discoverySecret, of: "directory", proof: wrongSecret},
		{user: "discovery", secret: wrongSecret},
		{user: "host", secret: hostSecret},
		{},
	} {
		d := chapDaemon(t)
		tool, says := "iscsi-inq", "DIRECT_ACCESS"
		if c.path == "" {
			tool, says = "iscsi-ls", "Target:iqn.2026-11.lunar:mutual"
		}
		out, ok := attempt(t, tool, d.chapURL(c.path, c.user, c.secret, c.of, c.proof))
		if in := ok && strings.Contains(out, says); in != c.in || !in && strings.Contains(out, says) {
			t.Errorf("%+v: in %v\n%s", c, in, out)
		}
	}
}

// QEMU takes name and secret in the URL or as an object; it knows no proof of the
// target.
func TestCHAP_QEMU(t *testing.T) {
	for _, name := range []string{"one", "mutual"} {
		for secret, in := range map[string]bool{hostSecret: true, wrongSecret: false} {
			d := chapDaemon(t)
			url := d.chapURL("/iqn.2026-11.lunar:"+name+"/0", "host", secret, "", "")
			out, ok := attempt(t, "qemu-io", "-f", "raw", "-c", "write -P 0x5a 64k 256k", "-c", "read -P 0x5a 64k 256k", url)
			if ok != in || strings.Contains(out, "Pattern") {
				t.Errorf("%s, %q: ok %v\n%s", name, secret, ok, out)
			}
			opts := fmt.Sprintf("driver=iscsi,transport=tcp,portal=%s,target=iqn.2026-11.lunar:%s,lun=0,user=host,password-secret=s", d.portal, name)
			out, ok = attempt(t, "qemu-img", "info", "--object", "secret,id=s,data="+secret, "--image-opts", opts)
			if ok != in || in != strings.Contains(out, "16 MiB") {
				t.Errorf("%s, object, %q: ok %v\n%s", name, secret, ok, out)
			}
			if n := strings.Count(d.log.String(), "authentication failed"); (n == 0) != in {
				t.Errorf("%s, %q: %d refusals in the log:\n%s", name, secret, n, d.log)
			}
		}
	}
}
