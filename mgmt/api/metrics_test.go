package api

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// What Prometheus is told: names, labels, values and kinds.
func TestMetrics_Exposition(t *testing.T) {
	address := overTCP(t, &Service{Node: newNode(), Version: "1.2"})
	code, _, body := curl(t, "tcp", address, "GET", "/metrics")
	if code != 200 {
		t.Fatal(code, body)
	}
	for _, line := range []string{
		`lunar_unit_read_bytes_total{unit="disk"} 20480`, `lunar_unit_writes_total{unit="disk"} 2`,
		`lunar_unit_size_bytes{unit="spare"} 1.099511627776e+12`, `lunar_unit_errors_total{sense_key="illegal request",unit="disk"} 1`,
		`lunar_logins_total{result="authentication failed",status="0201"} 7`, `lunar_logins_under_way 2`,
		`lunar_connections_turned_away_total 4`, `lunar_reactor_commands_total{reactor="0"} 12`,
		`lunar_reactor_pool_free_bytes{pool="staged",reactor="0"} 1024`, `lunar_target_sessions{target="iqn.x:a"} 2`,
		`lunar_lun_info{initiator="iqn.y:*",lun="0",read_only="true",target="iqn.x:a",unit="disk"} 1`,
		`# TYPE lunar_unit_reads_total counter`, `# TYPE lunar_reactor_connections gauge`, `lunar_uptime_seconds 93784`,
		`# TYPE go_goroutines gauge`, `# TYPE process_cpu_seconds_total counter`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if !regexp.MustCompile(`\nlunar_build_info\{goversion="go[^"]+",version="1.2"\} 1\n`).MatchString(body) {
		t.Error("there is no lunar_build_info")
	}
}

// Names follow the rules of Prometheus: a counter ends in _total and nothing else does,
// and no name is there twice.
func TestMetrics_Names(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range metrics {
		if strings.HasSuffix(m.name, "_total") != (m.kind == counter) || seen[m.name] || m.help == "" ||
			regexp.MustCompile(`[^a-z_]|kib|_ms`).MatchString(m.name) {
			t.Errorf("%+v", m.name)
		}
		seen[m.name] = true
	}
}

// BenchmarkMetrics is one scrape of a small node without the way there: what the
// processors that serve are not to have.
func BenchmarkMetrics(b *testing.B) {
	h := metricsHandler(&Service{Node: newNode(), Version: "1.2"})
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := &recorder{header: http.Header{}}
		if h.ServeHTTP(w, r); len(w.body) == 0 {
			b.Fatal("an empty answer")
		}
	}
}
