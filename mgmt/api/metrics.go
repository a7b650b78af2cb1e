package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"

	"lunar/engine"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapes bounds the scrapes at the same time.
const scrapes = 4

// metricsHandler is a registry of its own: what a library registers elsewhere is not
// shown.
func metricsHandler(s *Service) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newScrape(s))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		MaxRequestsInFlight: scrapes,
	})
}

// metric is one family: what it is called and where its values come from.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	each       func(s *engine.Status, put func(v float64, labels ...string))
}

// scrape collects the metrics from a status that is taken when they are asked for.
type scrape struct {
	service *Service
	descs   []*prometheus.Desc
	build   prometheus.Metric
}

func newScrape(s *Service) *scrape {
	x := &scrape{service: s}
	for i := range metrics {
		m := &metrics[i]
		x.descs = append(x.descs, prometheus.NewDesc("lunar_"+m.name, m.help, m.labels, nil))
	}
	d := prometheus.NewDesc("lunar_build_info", "The program; always 1.", []string{"version", "goversion"}, nil)
	x.build = prometheus.MustNewConstMetric(d, prometheus.GaugeValue, 1, s.Version, runtime.Version())
	return x
}

// Describe implements prometheus.Collector.
func (x *scrape) Describe(to chan<- *prometheus.Desc) {
	to <- x.build.Desc()
	for _, d := range x.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (x *scrape) Collect(to chan<- prometheus.Metric) {
	to <- x.build
	s, err := x.service.look(context.Background())
	if err != nil {
		to <- prometheus.NewInvalidMetric(x.descs[0], fmt.Errorf("the node cannot be looked at: %w", err))
		return
	}
	for i := range metrics {
		m := &metrics[i]
		m.each(s, func(v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(x.descs[i], m.kind, v, labels...)
		})
	}
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

type put = func(v float64, labels ...string)

// metrics are all families but those of the Go runtime and the process. Units are bytes
// and seconds; what ends in _total only grows.
var metrics = []metric{
	{"uptime_seconds", "Time since the start.", gauge, nil, func(s *engine.Status, p put) { p(s.Node.UptimeSeconds) }},
	{"logins_total", "Logins that ended, by status of RFC 3720 §10.13.5.", counter, []string{"status", "result"}, eachLogin},
	{"logins_under_way", "Connections that are no session yet.", gauge, nil, func(s *engine.Status, p put) { p(float64(s.Node.LoginsUnderWay)) }},
	{"connections_turned_away_total", "Connections that found too many logins under way.", counter, nil, func(s *engine.Status, p put) { p(float64(s.Node.TurnedAway)) }},
	{"target_sessions", "Sessions of a target.", gauge, []string{"target"}, func(s *engine.Status, p put) {
		for _, t := range s.Targets {
			p(float64(t.Sessions), t.Name)
		}
	}},
	{"lun_info", "Which unit a target shows under a number; always 1.", gauge, []string{"target", "lun", "unit", "initiator", "read_only"}, eachLUN},

	ofReactors("connections", "Connections.", gauge, func(r *engine.ReactorStatus) float64 { return float64(r.Connections) }),
	ofReactors("sessions", "Sessions, discovery included.", gauge, func(r *engine.ReactorStatus) float64 { return float64(r.Sessions) }),
	ofReactors("accepted_total", "Connections accepted.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.Accepted) }),
	ofReactors("logged_in_total", "Logins that became a session.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.LoggedIn) }),
	ofReactors("dropped_total", "Connections that ended.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.Dropped) }),
	ofReactors("commands_total", "SCSI commands started.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.Commands) }),
	ofReactors("passed_total", "Commands that needed nothing of the home of their unit.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.Passed) }),
	ofReactors("quarantined_total", "Connections closed because an invariant broke.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.Quarantined) }),
	ofReactors("turns_total", "Turns of the loop.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.Turns) }),
	ofReactors("sleeps_total", "How often the loop was let sleep.", counter, func(r *engine.ReactorStatus) float64 { return float64(r.Sleeps) }),
	ofReactors("media_requests", "Requests that media have.", gauge, func(r *engine.ReactorStatus) float64 { return float64(r.Running) }),
	ofReactors("receive_buffers", "Receive buffers.", gauge, func(r *engine.ReactorStatus) float64 { return float64(r.ReceiveBuffers) }),
	ofReactors("receive_buffers_free", "Receive buffers without bytes that wait.", gauge, func(r *engine.ReactorStatus) float64 { return float64(r.ReceiveBuffersFree) }),
	ofPools("bytes", "Memory for data, reserved.", func(p *engine.PoolStatus) int { return p.Bytes }),
	ofPools("free_bytes", "Memory for data that is not in use.", func(p *engine.PoolStatus) int { return p.Free }),

	ofUnits("size_bytes", "Capacity.", gauge, func(u *engine.UnitStatus) float64 { return float64(u.Bytes) }),
	ofUnits("reads_total", "Reads that ended well.", counter, func(u *engine.UnitStatus) float64 { return float64(u.Reads) }),
	ofUnits("writes_total", "Writes that ended well.", counter, func(u *engine.UnitStatus) float64 { return float64(u.Writes) }),
	ofUnits("other_commands_total", "Other commands that ended well.", counter, func(u *engine.UnitStatus) float64 { return float64(u.Others) }),
	ofUnits("read_bytes_total", "Bytes read.", counter, func(u *engine.UnitStatus) float64 { return float64(u.ReadBytes) }),
	ofUnits("written_bytes_total", "Bytes written.", counter, func(u *engine.UnitStatus) float64 { return float64(u.WriteBytes) }),
	ofUnits("passed_total", "Commands that needed nothing of the home.", counter, func(u *engine.UnitStatus) float64 { return float64(u.Passed) }),
	ofUnits("aborted_total", "Commands that ended without a status.", counter, func(u *engine.UnitStatus) float64 { return float64(u.Aborted) }),
	{"unit_errors_total", "Commands that ended with CHECK CONDITION, by sense key.", counter, []string{"unit", "sense_key"}, eachError},
}

func eachLogin(s *engine.Status, p put) {
	for _, l := range s.Node.Logins {
		p(float64(l.Count), fmt.Sprintf("%04x", l.Status), l.Result)
	}
}

func eachLUN(s *engine.Status, p put) {
	for _, t := range s.Targets {
		// Two access rules may have one pattern, for different networks.
		seen := map[engine.LUNStatus]bool{}
		for _, l := range t.LUNs {
			if !seen[l] {
				seen[l] = true
				p(1, t.Name, strconv.Itoa(int(l.Number)), l.Unit, l.Initiator, strconv.FormatBool(l.ReadOnly))
			}
		}
	}
}

func eachError(s *engine.Status, p put) {
	for _, u := range s.Units {
		for _, e := range u.Errors {
			p(float64(e.Count), u.Name, e.Name)
		}
	}
}

func ofReactors(name, help string, kind prometheus.ValueType, value func(*engine.ReactorStatus) float64) metric {
	return metric{"reactor_" + name, help, kind, []string{"reactor"}, func(s *engine.Status, p put) {
		for i := range s.Reactors {
			p(value(&s.Reactors[i]), strconv.Itoa(s.Reactors[i].Number))
		}
	}}
}

func ofPools(name, help string, value func(*engine.PoolStatus) int) metric {
	return metric{"reactor_pool_" + name, help, gauge, []string{"reactor", "pool"}, func(s *engine.Status, p put) {
		for _, r := range s.Reactors {
			for i := range r.Pools {
				p(float64(value(&r.Pools[i])), strconv.Itoa(r.Number), r.Pools[i].Name)
			}
		}
	}}
}

func ofUnits(name, help string, kind prometheus.ValueType, value func(*engine.UnitStatus) float64) metric {
	return metric{"unit_" + name, help, kind, []string{"unit"}, func(s *engine.Status, p put) {
		for i := range s.Units {
			p(value(&s.Units[i]), s.Units[i].Name)
		}
	}}
}
