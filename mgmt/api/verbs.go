package api

import (
	"context"
	"net/http"
	"strings"

	"lunar/engine"
)

// Who may ask for a verb.
type Who uint8

const (
	// Owner is root and the user the daemon runs as, on the local socket.
	Owner Who = iota
	// Anyone is also whoever reaches the address for metrics.
	Anyone
)

// Verb is one thing that can be asked of a daemon.
type Verb struct {
	// Method and Path are its route; "{id}" in the path is the argument.
	Method, Path string
	// Words are its command, as in "session show"; empty for what people do not ask.
	Words string
	Help  string
	// Argument is what the argument is called, empty without one.
	Argument string
	Who      Who
	// Table makes the form for people of an answer.
	Table func(reply []byte) (Table, error)

	// run answers; the answer is sent as JSON. A verb with another form has handle.
	run    func(s *Service, ctx context.Context, argument string) (any, error)
	handle func(s *Service) http.Handler
}

// Groups say what the first words of commands are about.
var Groups = map[string]string{
	"target":  "Look at targets",
	"lun":     "Look at logical units",
	"session": "Look at sessions, end one",
}

// Verbs are all verbs. Each is a route, and a command when it has words.
var Verbs = []Verb{
	{
		Method: http.MethodGet, Path: "/status", Words: "status",
		Help: "Show the node, its reactors and its logins", run: (*Service).status, Table: one(nodeFacts),
	},
	{
		Method: http.MethodGet, Path: "/targets", Words: "target list",
		Help: "List targets", run: (*Service).targets, Table: many(targetColumns),
	},
	{
		Method: http.MethodGet, Path: "/luns", Words: "lun list",
		Help: "List logical units by target and number, with what was read and written", run: (*Service).luns, Table: many(lunColumns),
	},
	{
		Method: http.MethodGet, Path: "/sessions", Words: "session list",
		Help: "List sessions", run: (*Service).sessions, Table: many(sessionColumns),
	},
	{
		Method: http.MethodGet, Path: "/sessions/{id}", Words: "session show", Argument: "ID",
		Help: "Show a session with what was negotiated", run: (*Service).session, Table: one(sessionFacts),
	},
	{
		Method: http.MethodDelete, Path: "/sessions/{id}", Words: "session drop", Argument: "ID",
		Help: "Have an initiator log out, and end its session if it does not", run: (*Service).drop, Table: one(doneFacts),
	},
	{
		Method: http.MethodPost, Path: "/config/reload", Words: "config reload",
		Help: "Load the configuration file anew; one with an error changes nothing", run: (*Service).reload, Table: one(doneFacts),
	},
	{
		Method: http.MethodGet, Path: "/metrics", Who: Anyone,
		Help: "Counters and gauges for Prometheus", handle: metricsHandler,
	},
	{
		Method: http.MethodGet, Path: "/healthz", Who: Anyone,
		Help: "200 while every reactor answers within a second, else 503 naming one that does not", run: (*Service).health,
	},
}

// Find returns the verb of a command, such as "session list".
func Find(words string) (v *Verb, ok bool) {
	for i := range Verbs {
		if Verbs[i].Words == words && words != "" {
			return &Verbs[i], true
		}
	}
	return nil, false
}

// argumentPath is where a path has its argument.
const argumentPath = "{id}"

// Target is the path of a request with an argument.
func (v *Verb) Target(argument string) string {
	return strings.Replace(v.Path, argumentPath, argument, 1)
}

// Listed is a verb in the list at /.
type Listed struct {
	Method  string `json:"method"`
	Path    string `json:"path"`
	Command string `json:"command,omitempty"`
	Help    string `json:"help"`
}

// list are the verbs that may be asked on a listener for who.
func list(who Who) (l []Listed) {
	for i := range Verbs {
		if v := &Verbs[i]; v.Who >= who {
			command := v.Words
			if command != "" {
				command = strings.TrimSpace("lunar " + command + " " + v.Argument)
			}
			l = append(l, Listed{v.Method, v.Path, command, v.Help})
		}
	}
	return l
}

// Node is what the verbs are carried out on; an engine is one.
type Node interface {
	// Status looks at everything, as long as ctx lets it.
	Status(ctx context.Context) (*engine.Status, error)
	// Responding names the reactors that do not answer.
	Responding(ctx context.Context) error
	// DropSession has the session with a TSIH end.
	DropSession(ctx context.Context, tsih uint16) error
}

var _ Node = (*engine.Engine)(nil)
