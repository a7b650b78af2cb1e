package login

import (
	"math/rand/v2"
	"net/netip"
	"strings"

	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

const (
	userSecret   = "the user's own secret"
	mutualSecret = "the target's own secret"
)

// demand is what guarded targets want.
func demand(mutual bool) *auth.Policy {
	p := &auth.Policy{Users: []auth.Credentials{
		{Name: "other", Secret: []byte("somebody else's secret")}, {Name: "user", Secret: []byte(userSecret)},
	}}
	if mutual {
		p.Mutual = &auth.Credentials{Name: "target", Secret: []byte(mutualSecret)}
	}
	if err := p.Check(); err != nil {
		panic(err)
	}
	return p
}

// directory is what the conversations run against; the last part of a target's name
// says what it is like.
type directory struct{}

func (directory) Access(q Query) Access {
	switch strings.TrimPrefix(q.Target, "iqn.2026-11.lunar:") {
	case "":
		// Discovery demands a proof of initiators that are called so.
		if strings.HasSuffix(q.Initiator, ":proven") {
			return Access{Auth: demand(true)}
		}
		return Access{}
	case "default":
		if q.Initiator == "iqn.2026-11.test:stranger" {
			return Access{Status: pdu.LoginForbidden}
		}
		return Access{}
	case "removed":
		return Access{Status: pdu.LoginTargetRemoved}
	case "away":
		return Access{Status: pdu.LoginMovedTemporarily, Addresses: []string{"192.0.2.7:3261", "[2001:db8::7]"}, Auth: demand(false)}
	case "gone":
		return Access{Status: pdu.LoginMovedPermanently, Addresses: []string{"disk.example"}}
	case "lost":
		return Access{Status: pdu.LoginMovedTemporarily}
	case "chap":
		return Access{Auth: demand(false), Alias: "disk-one"}
	case "mutual":
		return Access{Auth: demand(true)}
	case "sha256":
		p := demand(false)
		p.Algorithms = []auth.Algorithm{auth.SHA256}
		return Access{Auth: p}
	case "alias":
		return Access{Alias: "disk-one"}
	case "offer":
		o := DefaultOffer()
		o.MaxBurstLength, o.ImmediateData, o.MaxRecvDataSegmentLength = 4096, false, 8192
		return Access{Offer: &o}
	}
	return Access{Status: pdu.LoginNotFound}
}

// testNode has reproducible chance.
func testNode() auth.Node {
	r := rand.NewChaCha8([32]byte{1})
	return auth.Node{Key: [16]byte{1}, Chance: func(b []byte) { _, _ = r.Read(b) }}
}

func testConfig() *Config {
	return &Config{
		Offer: DefaultOffer(), Targets: directory{}, PortalGroupTag: 1, StatSN: serial.Stat(0xffffffff), Node: testNode(),
	}
}

var testSource = netip.MustParseAddr("192.0.2.77")

func newMachine() *Machine { return NewMachine(testConfig(), testSource) }
