//go:build system

package system

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lunar/initiator"
)

// managed is a daemon with an admin socket and its metrics on TCP.
type managed struct {
	*daemon
	file, text, socket, metrics string
}

func manage(t *testing.T) *managed {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &managed{file: filepath.Join(dir, "lunar.toml"), socket: filepath.Join(dir, "admin.sock"), metrics: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m.text = "admin = \"" + m.socket + "\"\nmetrics = \"" + m.metrics + "\"\nlog_level = \"debug\"\n" + configuration(dir, "16MiB")
	m.write(t, m.text)
	m.daemon = serve(t, "--config", m.file)
	return m
}

func (m *managed) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(m.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lunar runs a command that asks the daemon.
func (m *managed) lunar(words ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, binary, words...)
	c.Env = append(os.Environ(), "LUNAR_ADMIN="+m.socket)
	out, err := c.CombinedOutput()
	return string(out), err
}

func (m *managed) must(t *testing.T, words ...string) string {
	t.Helper()
	out, err := m.lunar(words...)
	if err != nil {
		t.Fatalf("lunar %s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

// says expects an answer that has every line.
func (m *managed) says(t *testing.T, words string, lines ...string) {
	t.Helper()
	out := m.must(t, strings.Fields(words)...)
	for _, l := range lines {
		if !regexp.MustCompile("(?m)^" + l + "$").MatchString(out) {
			t.Errorf("lunar %s: no line %q in\n%s", words, l, out)
		}
	}
}

// get is a raw request.
func get(t *testing.T, network, address, method, path string) (int, string) {
	t.Helper()
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, method+" "+path+" HTTP/1.0\r\nHost: lunar\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	fields := strings.Fields(head)
	if len(fields) < 2 {
		t.Fatalf("%s %s: %q", method, path, head)
	}
	switch fields[1] {
	case "200":
		return http.StatusOK, body
	case "404":
		return http.StatusNotFound, body
	}
	t.Fatalf("%s %s: %s", method, path, all)
	return 0, ""
}

func (m *managed) session(t *testing.T, name string) *initiator.Session {
	t.Helper()
	s, err := initiator.Dial(t.Context(), initiator.Config{Portal: m.portal, Target: target + "0", Initiator: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d, err := initiator.OpenDisk(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt(make([]byte, 8192), 0); err != nil {
		t.Fatal(err)
	}
	return s
}

// The commands show what there is, and drop a session.
func TestAdmin_Commands(t *testing.T) {
	m := manage(t)
	stays, goes := m.session(t, "iqn.2026-11.host:stays"), m.session(t, "iqn.2026-11.host:goes")
	m.says(t, "status", `serves +1 targets, 1 units, 2 sessions`, `portal group 1 +127\.0\.0\.1:\d+`, `logins +2 success`)
	m.says(t, "target list", `TARGET +GROUPS +LUNS +SESSIONS.*`, target+`0 +1 +1 +2 .*`)
	m.says(t, "lun list", target+`0 +0 +- +u0 +16 MiB +512 +read-write .* 2 +16 KiB +file .*`)
	m.says(t, "session list", `\d+ +iqn\.2026-11\.host:stays +`+target+`0 +127\.0\.0\.1 .*`)
	var sessions []struct {
		ID        int    `json:"id"`
		Initiator string `json:"initiator"`
	}
	if err := json.Unmarshal([]byte(m.must(t, "session", "list", "-o", "json")), &sessions); err != nil || len(sessions) != 2 {
		t.Fatalf("%v %v", sessions, err)
	}
	id := ""
	for _, s := range sessions {
		if s.Initiator == "iqn.2026-11.host:goes" {
			id = strconv.Itoa(s.ID)
		}
	}
	m.says(t, "session show "+id, `initiator +iqn\.2026-11\.host:goes`, `HeaderDigest +None`, `state +full feature`)
	m.says(t, "session drop "+id, `session `+id+` was asked to log out.*`)
	select {
	case <-goes.Done():
	case <-time.After(5 * time.Second):
		t.Error("the session goes on")
	}
	if _, err := stays.Do(t.Context(), initiator.Command{CDB: make([]byte, 6)}); err != nil {
		t.Errorf("the other session: %v", err)
	}
	// The initiator sees the end before the target is done with it.
	out, err := m.lunar("session", "show", id)
	for end := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		out, err = m.lunar("session", "show", id)
	}
	if err == nil || !strings.Contains(out, "no such session") || !strings.Contains(out, "lunar session list") {
		t.Errorf("%v %s", err, out)
	}
}

// A reload by command says what is wrong with the file, and changes what is right.
func TestAdmin_Reload(t *testing.T) {
	m := manage(t)
	m.says(t, "config reload", "configuration loaded")
	for wrong, says := range map[string]string{
		strings.Replace(m.text, "16MiB", "16XB", 1):            `lunar.toml:11:1: unit "u0": size "16XB"`,
		strings.Replace(m.text, "admin.sock", "other.sock", 1): `lunar.toml:1:1: admin is fixed`,
	} {
		m.write(t, wrong)
		if out, err := m.lunar("config", "reload"); err == nil || !strings.Contains(out, says) {
			t.Errorf("%v %s, want %s", err, out, says)
		}
	}
	m.write(t, strings.Replace(m.text, "16MiB", "32MiB", 1))
	m.says(t, "config reload", "configuration loaded")
	m.says(t, "lun list", `.* 32 MiB .*`)
}

// The socket is its owner's alone; over TCP there is nothing but metrics and health.
func TestAdmin_RawRequests(t *testing.T) {
	m := manage(t)
	m.session(t, "iqn.2026-11.host:a")
	info, err := os.Lstat(m.socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, at := range [][2]string{{"unix", m.socket}, {"tcp", m.metrics}} {
		code, body := get(t, at[0], at[1], "GET", "/metrics")
		for _, line := range []string{`lunar_unit_written_bytes_total{unit="u0"} 8192`, `lunar_logins_total{result="success",status="0000"} 1`, `lunar_reactor_sessions{reactor="0"} 1`} {
			if code != http.StatusOK || !strings.Contains(body, line+"\n") {
				t.Errorf("%s: no %s", at[0], line)
			}
		}
		if code, body := get(t, at[0], at[1], "GET", "/healthz"); code != http.StatusOK || !strings.Contains(body, "every reactor answers") {
			t.Errorf("%s: %d %s", at[0], code, body)
		}
	}
	if code, body := get(t, "unix", m.socket, "GET", "/sessions"); code != http.StatusOK || !strings.Contains(body, "iqn.2026-11.host:a") {
		t.Errorf("%d %s", code, body)
	}
	for _, path := range []string{"/sessions", "/status", "/luns"} {
		if code, body := get(t, "tcp", m.metrics, "GET", path); code != http.StatusNotFound || strings.Contains(body, "iqn") {
			t.Errorf("over TCP %s: %d %s", path, code, body)
		}
	}
	if !regexp.MustCompile(`msg="admin request" method=GET path=/sessions pid=\d+ uid=\d+`).MatchString(m.log.String()) {
		t.Error("who asked is not noted")
	}
}

// A socket that answers is not taken over, that of a daemon that was killed is; at an
// orderly end it goes, and commands say that nobody answers.
func TestAdmin_SocketOfAnotherDaemon(t *testing.T) {
	m := manage(t)
	said := refuse(t, "--portal", "127.0.0.1:0", "--state", t.TempDir(), "--lun", "ram:size=1MiB", "--admin", m.socket)
	if strings.Count(said, "\n") > 0 || !strings.Contains(said, m.socket) || !strings.Contains(said, "another process answers") {
		t.Errorf("said %q", said)
	}
	m.says(t, "status", `serves .*`)
	m.kill(t)
	if _, err := os.Lstat(m.socket); err != nil {
		t.Fatalf("kill -9 left no socket: %v", err)
	}
	if out, err := m.lunar("status"); err == nil || !strings.Contains(out, "no daemon answers at "+m.socket) || !strings.Contains(out, "lunar serve --admin") {
		t.Errorf("%v %s", err, out)
	}
	m.start(t)
	m.says(t, "status", `serves .*`)
	m.terminate(t)
	if _, err := os.Lstat(m.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}
