package main

import (
	"fmt"
	"net"
	"runtime/debug"

	"lunar/engine"
	"lunar/mgmt/api"
	"lunar/mgmt/config"
	"lunar/reactor/host"
)

// endpoints are where a daemon itself can be asked; each is empty for none.
type endpoints struct {
	// admin is the path of the socket for everything, metrics the "address:port" where
	// anyone may ask for metrics.
	admin, metrics string
}

// keep refuses a configuration that has other endpoints: they are fixed while the
// target runs.
func (at endpoints) keep(f *config.File) error {
	for path, same := range map[string]bool{"admin": f.Admin == at.admin, "metrics": f.Metrics == at.metrics} {
		if !same {
			return &engine.ConfigError{Path: path, What: path + " is fixed while the target runs; restart the daemon to change it, or put it back"}
		}
	}
	return nil
}

// opened are endpoints that nobody answers at yet, and the servers that do.
type opened struct {
	listeners map[api.Who]net.Listener
	servers   []*api.Server
}

// open binds the endpoints, so that what is wrong with them is said before anything else
// is touched.
func (at endpoints) open() (*opened, error) {
	o := &opened{listeners: map[api.Who]net.Listener{}}
	if at.admin != "" {
		l, err := host.ListenLocal(at.admin)
		if err != nil {
			return nil, &engine.ConfigError{Path: "admin", What: "admin " + err.Error()}
		}
		o.listeners[api.Owner] = l
	}
	if at.metrics != "" {
		l, err := net.Listen("tcp", at.metrics)
		if err != nil {
			o.close()
			return nil, &engine.ConfigError{Path: "metrics", What: fmt.Sprintf("metrics at %s: %s; use an address of this machine and a free port", at.metrics, err)}
		}
		o.listeners[api.Anyone] = l
	}
	return o, nil
}

// serve answers for a daemon from now on.
func (o *opened) serve(d *daemon) {
	s := &api.Service{Node: d.engine, Reload: d.reload, Version: version()}
	for who, l := range o.listeners {
		o.servers = append(o.servers, api.Serve(l, s, who))
	}
}

// close ends servers and listeners; the socket is removed.
func (o *opened) close() {
	for _, s := range o.servers {
		s.Close()
	}
	for _, l := range o.listeners {
		_ = l.Close() // a server may have closed it
	}
}

// version is that of the module, as the build noted it.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}
