package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lunar/engine"
	"lunar/reactor/host"
)

// node is a Node that says what a test wants.
type node struct {
	status  engine.Status
	err     error
	dropped []uint16
}

func (n *node) Status(context.Context) (*engine.Status, error) { return &n.status, n.err }

func (n *node) Responding(context.Context) error { return n.err }

func (n *node) DropSession(_ context.Context, id uint16) error {
	for _, s := range n.status.Sessions {
		if s.ID == id {
			n.dropped = append(n.dropped, id)
			return nil
		}
	}
	return fmt.Errorf("session %d: %w; list them", id, engine.ErrNoSession)
}

func newNode() *node {
	return &node{status: engine.Status{
		Node: engine.NodeStatus{
			Ring: "uring", Poll: "auto", UptimeSeconds: 93784, TurnedAway: 4, LoginsUnderWay: 2,
			Groups: []engine.GroupStatus{{Tag: 1, Portals: []string{"127.0.0.1:3260"}}},
			Logins: []engine.LoginCount{{Status: 0, Result: "success", Count: 3}, {Status: 0x201, Result: "authentication failed", Count: 7}},
		},
		Reactors: []engine.ReactorStatus{{CPU: -1, Connections: 3, Commands: 12, ReceiveBuffers: 64, ReceiveBuffersFree: 63, Pools: []engine.PoolStatus{{Name: "staged", Bytes: 4096, Free: 1024}}}},
		Targets: []engine.TargetStatus{{Name: "iqn.x:a", Groups: []uint16{1}, Sessions: 2, LUNs: []engine.LUNStatus{
			{Number: 3, Unit: "disk"}, {Number: 0, Unit: "disk", ReadOnly: true, Initiator: "iqn.y:*"},
		}}},
		Units: []engine.UnitStatus{
			{Name: "disk", Medium: "ram 1048576 bytes", Bytes: 1 << 20, BlockBytes: 512, Reads: 5, ReadBytes: 20480, Writes: 2, WriteBytes: 8192, Errors: []engine.ErrorCount{{Key: 5, Name: "illegal request", Count: 1}}},
			{Name: "spare", Medium: "null", Bytes: 1 << 40, BlockBytes: 4096},
		},
		Sessions: []engine.SessionStatus{
			{ID: 1, Initiator: "iqn.y:host", Target: "iqn.x:a", Source: "192.0.2.1", State: "full feature", AgeSeconds: 3700, BytesIn: 5 << 30, Alias: "\x1b[2Jevil\tname"},
			{ID: 9, Initiator: "iqn.y:other", Discovery: true, State: "full feature"},
		},
	}}
}

// socket serves a node on a local socket and returns its path.
func socket(t *testing.T, s *Service) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := host.ListenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	v := Serve(l, s, Owner)
	t.Cleanup(v.Close)
	return path
}

// overTCP serves a node for anyone and returns its address.
func overTCP(t *testing.T, s *Service) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := Serve(l, s, Anyone)
	t.Cleanup(v.Close)
	return l.Addr().String()
}

// curl sends a request on a connection of its own.
func curl(t *testing.T, network, address, method, path string) (code int, head http.Header, body string) {
	t.Helper()
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, reply.Header, string(b)
}

// Every row of the table is a route of its method alone, is listed, and has what its kind
// needs; what has a command can be shown as a table.
func TestVerbs_EveryRow(t *testing.T) {
	n := newNode()
	path := socket(t, &Service{Node: n, Reload: func() error { return nil }, Version: "1"})
	_, _, index := curl(t, "unix", path, "GET", "/")
	var listed []Listed
	if err := json.Unmarshal([]byte(index), &listed); err != nil || len(listed) != len(Verbs) {
		t.Fatalf("%d of %d verbs listed, %v", len(listed), len(Verbs), err)
	}
	words := map[string]bool{}
	for i, v := range Verbs {
		if v.Help == "" || (v.run == nil) == (v.handle == nil) || (v.Words == "") != (v.Table == nil) || words[v.Words] && v.Words != "" {
			t.Errorf("row %d is incomplete or there twice: %+v", i, v)
		}
		words[v.Words] = true
		if (v.Argument != "") != strings.Contains(v.Path, argumentPath) {
			t.Errorf("%s: argument %q", v.Path, v.Argument)
		}
		if first, rest, ok := strings.Cut(v.Words, " "); ok && rest != "" && Groups[first] == "" && first != "config" {
			t.Errorf("nobody says what %q is about", first)
		}
		if listed[i].Path != v.Path || listed[i].Method != v.Method {
			t.Errorf("listed as %+v", listed[i])
		}
		if code, _, body := curl(t, "unix", path, v.Method, v.Target("1")); code != 200 {
			t.Errorf("%s %s: %d %s", v.Method, v.Path, code, body)
		}
		code, head, body := curl(t, "unix", path, "PUT", v.Target("1"))
		if code != 405 || !strings.Contains(head.Get("Allow"), v.Method) || !strings.Contains(body, `"remedy"`) {
			t.Errorf("PUT %s: %d %q %s", v.Path, code, head, body)
		}
		showsTable(t, path, &v)
	}
	if len(n.dropped) != 2 {
		t.Errorf("dropped %v", n.dropped)
	}
}

func showsTable(t *testing.T, path string, v *Verb) {
	t.Helper()
	if v.Words == "" {
		return
	}
	if found, ok := Find(v.Words); !ok || found.Path != v.Path {
		t.Errorf("%q is not found", v.Words)
	}
	reply, err := Ask(t.Context(), path, v, "1")
	if err != nil {
		t.Fatal(err)
	}
	table, err := v.Table(reply)
	if err != nil || len(table.Rows) == 0 {
		t.Errorf("%s: %v %v", v.Words, table, err)
	}
	for _, r := range table.Rows {
		if table.Head != nil && len(r) != len(table.Head) {
			t.Errorf("%s: %d cells under %d heads", v.Words, len(r), len(table.Head))
		}
	}
}

func TestErrors_HaveCodesAndRemedies(t *testing.T) {
	n := newNode()
	reload := errors.New("lunar.toml:1:1: unit \"a\": no size; give size = \"1GiB\"")
	path := socket(t, &Service{Node: n, Reload: func() error { return reload }})
	expect := func(method, target string, code int, what, remedy string) {
		t.Helper()
		got, _, body := curl(t, "unix", path, method, target)
		var e Error
		if err := json.Unmarshal([]byte(body), &e); err != nil || got != code || !strings.Contains(e.What, what) || !strings.Contains(e.Remedy, remedy) {
			t.Errorf("%s %s: %d %s", method, target, got, body)
		}
	}
	expect("GET", "/sessions/77", 404, "session 77", "lunar session list")
	expect("DELETE", "/sessions/77", 404, "session 77", "list them")
	expect("GET", "/sessions/0", 400, `"0"`, "lunar session list")
	expect("GET", "/sessions/65536", 400, `"65536"`, "lunar session list")
	expect("DELETE", "/sessions/abc", 400, `"abc"`, "lunar session list")
	expect("GET", "/nowhere", 404, "/nowhere", "GET /")
	expect("POST", "/config/reload", 422, "lunar.toml:1:1", "give size")
	reload = &Error{Code: http.StatusConflict, What: "no file", Remedy: "start with one"}
	expect("POST", "/config/reload", 409, "no file", "start with one")
	n.err = fmt.Errorf("reactor 3 %w; restart", engine.ErrNoAnswer)
	expect("GET", "/status", 503, "reactor 3", "restart")
	expect("GET", "/healthz", 503, "reactor 3", "restart")
	if code, _, body := curl(t, "unix", path, "GET", "/metrics"); code != 500 || !strings.Contains(body, "reactor 3") {
		t.Errorf("metrics: %d %s", code, body)
	}
	n.err = errors.New("odd\nvery odd; indeed")
	expect("GET", "/targets", 500, "very odd; indeed", "")
}

// Over TCP there is nothing but what anyone may ask.
func TestServe_ForAnyone_IsMetricsAndHealthAlone(t *testing.T) {
	n := newNode()
	address := overTCP(t, &Service{Node: n, Reload: func() error { t.Error("reloaded"); return nil }})
	for i := range Verbs {
		v := &Verbs[i]
		want := 404
		if v.Path == "/metrics" || v.Path == "/healthz" {
			want = 200
		}
		if code, _, _ := curl(t, "tcp", address, v.Method, v.Target("1")); code != want {
			t.Errorf("%s %s: %d, want %d", v.Method, v.Path, code, want)
		}
	}
	if _, _, index := curl(t, "tcp", address, "GET", "/"); strings.Contains(index, "sessions") || !strings.Contains(index, "metrics") {
		t.Error(index)
	}
	if len(n.dropped) > 0 {
		t.Error("a session was dropped")
	}
}

// Who asks is the process at the other end of the socket, and nobody else's user may.
func TestGuarded_ByPeer(t *testing.T) {
	me := os.Geteuid()
	for uid, may := range map[uint32]bool{0: true, uint32(me): true, uint32(me) + 1: false, 65534: me == 65534} {
		if mayAsk(host.Peer{UID: uid}, me) != may {
			t.Errorf("user %d: %v", uid, !may)
		}
	}
	h := handler(&Service{Node: newNode()}, Owner)
	for _, peer := range []any{nil, host.Peer{UID: uint32(me) + 1}} {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, peer), "GET", "/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &recorder{header: http.Header{}}
		if h.ServeHTTP(w, r); w.code != http.StatusForbidden || strings.Contains(w.body, "iqn") {
			t.Errorf("peer %v: %d %s", peer, w.code, w.body)
		}
	}
}

type recorder struct {
	header http.Header
	code   int
	body   string
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { r.body += string(b); return len(b), nil }

// Requests are noted with who made them.
func TestServe_NotesWhoAsked(t *testing.T) {
	var said strings.Builder
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(old)
	path := filepath.Join(t.TempDir(), "s")
	l, err := host.ListenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	v := Serve(l, &Service{Node: newNode()}, Owner)
	curl(t, "unix", path, "GET", "/status")
	v.Close()
	if !strings.Contains(said.String(), fmt.Sprintf("path=/status pid=%d uid=%d", os.Getpid(), os.Geteuid())) {
		t.Error(said.String())
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// Connections beyond the limit wait, and are served when others end; headers and bodies
// have bounds.
func TestServe_Limits(t *testing.T) {
	path := socket(t, &Service{Node: newNode()})
	var held []net.Conn
	for range maxConnections {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	late := make(chan int, 1)
	go func() {
		code, _, _ := curl(t, "unix", path, "GET", "/healthz")
		late <- code
	}()
	select {
	case code := <-late:
		t.Errorf("answered beside %d others: %d", maxConnections, code)
	case <-time.After(50 * time.Millisecond):
	}
	for _, c := range held {
		_ = c.Close()
	}
	if code := <-late; code != 200 {
		t.Errorf("afterwards: %d", code)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The server may close before all of it is written.
	_, _ = c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2*maxHeaderBytes) + "\r\n\r\n"))
	if answer, _ := io.ReadAll(c); strings.Contains(string(answer), "200 OK") {
		t.Errorf("a header of %d bytes: %s", 2*maxHeaderBytes, answer)
	}
}
