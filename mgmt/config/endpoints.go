package config

import (
	"net/netip"
	"path/filepath"

	"lunar/engine"
)

// endpoints checks where the daemon itself can be asked. An address that every interface has is
// not one to tell.
func (b *builder) endpoints(d *document, c *engine.Config) {
	if d.Admin != "" && !filepath.IsAbs(d.Admin) {
		b.wrong("admin", "admin: path %q is relative; give an absolute one", d.Admin)
	}
	if d.Metrics == "" {
		return
	}
	at, err := netip.ParseAddrPort(d.Metrics)
	switch {
	case err != nil:
		b.wrong("metrics", "metrics %q: use a numeric address and a port, for instance \"127.0.0.1:9620\"", d.Metrics)
	case !at.Addr().IsUnspecified() && at.Port() != 0:
		c.Status = "http://" + at.String() + "/metrics"
	}
}
