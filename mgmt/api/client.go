package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// maxReply bounds an answer: sixteen thousand units with their counts fit.
const maxReply = 128 << 20

// Ask asks the daemon whose socket is at a path, and returns its answer as JSON. Errors
// of the daemon are of type *Error.
func Ask(ctx context.Context, socket string, v *Verb, argument string) ([]byte, error) {
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	r, err := http.NewRequestWithContext(ctx, v.Method, "http://lunar"+v.Target(url.PathEscape(argument)), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.Words, err)
	}
	reply, err := c.Do(r)
	if err != nil {
		return nil, unreachable(socket, err)
	}
	defer func() { _ = reply.Body.Close() }() // read only: nothing to lose
	b, err := io.ReadAll(io.LimitReader(reply.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("daemon at %s: %w; ask again", socket, err)
	}
	if reply.StatusCode == http.StatusOK {
		return b, nil
	}
	e := &Error{Code: reply.StatusCode}
	if json.Unmarshal(b, e) != nil || e.What == "" {
		return nil, fmt.Errorf("daemon at %s: %s; it is none of this program, or of another version", socket, reply.Status)
	}
	return nil, e
}

// unreachable says why there was no answer.
func unreachable(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon answers at %s; start one with `lunar serve --admin PATH`, or give its socket by --admin or LUNAR_ADMIN", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the daemon at %s may not be asked by this user; ask as root or as the user it runs as", socket)
	}
	return fmt.Errorf("daemon at %s: %w; look at its log", socket, err)
}
