package config

import (
	"net/netip"
	"path/filepath"
)

// endpoints checks where the daemon itself can be asked.
func (b *builder) endpoints(d *document) {
	if d.Admin != "" && !filepath.IsAbs(d.Admin) {
		b.wrong("admin", "admin: path %q is relative; give an absolute one", d.Admin)
	}
	if d.Metrics == "" {
		return
	}
	if _, err := netip.ParseAddrPort(d.Metrics); err != nil {
		b.wrong("metrics", "metrics %q: use a numeric address and a port, for instance \"127.0.0.1:9620\"", d.Metrics)
	}
}
