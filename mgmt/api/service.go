package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lunar/engine"
)

// Service answers verbs.
type Service struct {
	Node Node
	// Reload loads the configuration anew.
	Reload func() error
	// Version is of the program.
	Version string
}

// Error is why a verb was not carried out.
type Error struct {
	// Code is the status of HTTP.
	Code int `json:"-"`
	// What names the object, Remedy what to do.
	What   string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}

// Error is What and Remedy in one line.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.What
	}
	return e.What + "; " + e.Remedy
}

// errorOf gives an error of the node its code, and takes its remedy apart.
func errorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	e = &Error{Code: http.StatusInternalServerError, What: err.Error()}
	switch {
	case errors.Is(err, engine.ErrNoSession):
		e.Code = http.StatusNotFound
	case errors.Is(err, engine.ErrNoAnswer), errors.Is(err, context.DeadlineExceeded):
		e.Code = http.StatusServiceUnavailable
	}
	// Errors say "what; remedy"; several in one are left as they are.
	if what, remedy, ok := strings.Cut(e.What, "; "); ok && !strings.Contains(e.What, "\n") {
		e.What, e.Remedy = what, remedy
	}
	return e
}

// askTime bounds what a verb asks of the node.
const askTime = 5 * time.Second

func (s *Service) look(ctx context.Context) (*engine.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return s.Node.Status(ctx)
}

// NodeReply answers the verb status.
type NodeReply struct {
	Version string `json:"version"`
	engine.NodeStatus
	Targets  int                    `json:"targets"`
	Units    int                    `json:"units"`
	Sessions int                    `json:"sessions"`
	Reactors []engine.ReactorStatus `json:"reactors"`
}

func (s *Service) status(ctx context.Context, _ string) (any, error) {
	st, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	return NodeReply{s.Version, st.Node, len(st.Targets), len(st.Units), len(st.Sessions), st.Reactors}, nil
}

func (s *Service) targets(ctx context.Context, _ string) (any, error) {
	st, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	return st.Targets, nil
}

// LUNReply is a row of the verb lun list: a unit under a number of a target, or a unit
// that no target has.
type LUNReply struct {
	Target string `json:"target,omitempty"`
	engine.LUNStatus
	Counts engine.UnitStatus `json:"counts"`
}

func (s *Service) luns(ctx context.Context, _ string) (any, error) {
	st, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	units := map[string]engine.UnitStatus{}
	for _, u := range st.Units {
		units[u.Name] = u
	}
	rows, mapped := []LUNReply{}, map[string]bool{}
	for _, t := range st.Targets {
		for _, l := range t.LUNs {
			mapped[l.Unit] = true
			rows = append(rows, LUNReply{t.Name, l, units[l.Unit]})
		}
	}
	for _, u := range st.Units {
		if !mapped[u.Name] {
			rows = append(rows, LUNReply{"", engine.LUNStatus{Unit: u.Name}, u})
		}
	}
	return rows, nil
}

func (s *Service) sessions(ctx context.Context, _ string) (any, error) {
	st, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	return st.Sessions, nil
}

func (s *Service) session(ctx context.Context, argument string) (any, error) {
	id, err := sessionID(argument)
	if err != nil {
		return nil, err
	}
	st, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(st.Sessions, func(x engine.SessionStatus) bool { return x.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("session %d: %w; `lunar session list` shows those there are", id, engine.ErrNoSession)
	}
	return st.Sessions[i], nil
}

// sessionID reads a TSIH.
func sessionID(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, &Error{http.StatusBadRequest, fmt.Sprintf("session %q is no number from 1 to 65535", s), "take one from `lunar session list`"}
	}
	return uint16(n), nil
}

// Done answers a verb that changes something.
type Done struct {
	Done string `json:"done"`
}

func (s *Service) drop(ctx context.Context, argument string) (any, error) {
	id, err := sessionID(argument)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := s.Node.DropSession(ctx, id); err != nil {
		return nil, err
	}
	return Done{fmt.Sprintf("session %d was asked to log out; it ends within three seconds", id)}, nil
}

func (s *Service) reload(context.Context, string) (any, error) {
	if err := s.Reload(); err != nil {
		e := errorOf(err)
		if e.Code == http.StatusInternalServerError {
			e.Code = http.StatusUnprocessableEntity
		}
		return nil, e
	}
	return Done{"configuration loaded"}, nil
}

func (s *Service) health(ctx context.Context, _ string) (any, error) {
	if err := s.Node.Responding(ctx); err != nil {
		e := errorOf(err)
		e.Code = http.StatusServiceUnavailable
		return nil, e
	}
	return Done{"every reactor answers"}, nil
}

// encode writes an answer, indented so that curl is enough to read it.
func encode(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}
