package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"lunar/reactor/host"
)

// Limits of a server: what a peer may hold of the daemon.
const (
	maxConnections = 64
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10
	headerTime     = 5 * time.Second
	requestTime    = 10 * time.Second
	// answerTime covers a reload, which waits for commands to end.
	answerTime = 2 * time.Minute
	idleTime   = 30 * time.Second
	// closeTime is how long requests under way have when the server ends.
	closeTime = 300 * time.Millisecond
)

// Server answers verbs on one listener.
type Server struct {
	http  http.Server
	ended chan struct{}
}

// Serve starts a server. On a listener for Owner, a local socket, every verb may be
// asked by root and the user of this process; on one for Anyone, the verbs for anyone.
func Serve(l net.Listener, s *Service, who Who) *Server {
	v := &Server{ended: make(chan struct{})}
	v.http = http.Server{
		Handler: http.MaxBytesHandler(handler(s, who), maxBodyBytes), MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if c, ok := c.(*counted); ok && c.local {
				return context.WithValue(ctx, peerKey{}, c.peer)
			}
			return ctx
		},
	}
	go func() {
		defer close(v.ended)
		if err := v.http.Serve(&limited{Listener: l, room: make(chan struct{}, maxConnections)}); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("the admin server ended", "address", l.Addr().String(), "error", err)
		}
	}()
	return v
}

// Close ends the server: its listener closes, and what is under way within a moment.
func (v *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := v.http.Shutdown(ctx); err != nil {
		// What is cut here has had its time; nobody is left to tell.
		_ = v.http.Close()
	}
	<-v.ended
}

// handler routes the verbs that may be asked on a listener for who.
func handler(s *Service, who Who) http.Handler {
	mux := http.NewServeMux()
	methods := map[string]string{}
	for i := range Verbs {
		v := &Verbs[i]
		if v.Who < who {
			continue
		}
		mux.Handle(v.Method+" "+v.Path, guarded(v, who, v.handler(s)))
		methods[v.Path] += " " + v.Method
	}
	for path, known := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", known[1:])
			refuse(w, &Error{http.StatusMethodNotAllowed, fmt.Sprintf("%s does not know %s", path, r.Method), "use" + known})
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { answer(w, list(who)) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, &Error{http.StatusNotFound, fmt.Sprintf("there is no %s", r.URL.Path), "GET / lists what there is"})
	})
	return mux
}

func (v *Verb) handler(s *Service) http.Handler {
	if v.handle != nil {
		return v.handle(s)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := v.run(s, r.Context(), r.PathValue("id"))
		if err != nil {
			refuse(w, errorOf(err))
			return
		}
		answer(w, reply)
	})
}

type peerKey struct{}

// guarded lets a verb be asked by those who may, and notes who did.
func guarded(v *Verb, who Who, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, local := r.Context().Value(peerKey{}).(host.Peer)
		slog.Debug("admin request", "method", r.Method, "path", r.URL.Path, "pid", peer.PID, "uid", peer.UID, "from", r.RemoteAddr)
		if who == Owner && v.Who == Owner && (!local || !mayAsk(peer, os.Geteuid())) {
			refuse(w, &Error{http.StatusForbidden, fmt.Sprintf("user %d may not ask this", peer.UID), "ask as root or as the user of the daemon"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mayAsk says whether a process may ask a daemon of a user for everything.
func mayAsk(p host.Peer, user int) bool { return p.UID == 0 || int(p.UID) == user }

func answer(w http.ResponseWriter, reply any) { write(w, http.StatusOK, reply) }

func refuse(w http.ResponseWriter, e *Error) { write(w, e.Code, e) }

func write(w http.ResponseWriter, code int, v any) {
	b, err := encode(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(b) // a peer that is gone needs no answer
}

// limited lets so many connections in at once; others wait in the backlog.
type limited struct {
	net.Listener
	room chan struct{}
}

// Accept waits for room, then for a connection, and asks who is there.
func (l *limited) Accept() (net.Conn, error) {
	l.room <- struct{}{}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.room
			return nil, err
		}
		k := &counted{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}
		u, local := c.(*net.UnixConn)
		if !local {
			return k, nil
		}
		if k.peer, err = host.PeerOf(u); err == nil {
			k.local = true
			return k, nil
		}
		slog.Warn("admin connection from nobody", "error", err)
		_ = c.Close()
	}
}

// counted is a connection that has taken room, and who is at its other end when it is
// a local one.
type counted struct {
	net.Conn
	peer  host.Peer
	local bool
	leave func()
}

// Close gives the room back.
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
