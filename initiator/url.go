package initiator

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"lunar/iscsi/text"
)

// URL is the parsed form of iscsi://host[:port]/target-name[/lun].
type URL struct {
	// Portal is host:port.
	Portal string
	// Target is the iSCSI name in lower case, empty when the address names none.
	Target string
	// LUN is the unit number, 0 when the address names none.
	LUN uint16
}

// ParseURL reads an address as libiscsi writes it. The port defaults to 3260 and
// the unit to 0; user names, passwords and queries are refused.
func ParseURL(s string) (URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return URL{}, fmt.Errorf("initiator: address %q: %w", s, err)
	}
	if u.Scheme != "iscsi" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return URL{}, fmt.Errorf("initiator: address %q is not iscsi://host[:port]/target/lun", s)
	}
	out := URL{Portal: withPort(u.Host)}
	path := strings.Trim(u.Path, "/")
	if path == "" {
		return out, nil
	}
	name, unit, hasUnit := strings.Cut(path, "/")
	target, ok := text.Name([]byte(name))
	if !ok {
		return URL{}, fmt.Errorf("initiator: address %q: %q is not an iSCSI name", s, name)
	}
	out.Target = target
	if hasUnit {
		n, err := strconv.ParseUint(unit, 10, 14)
		if err != nil {
			return URL{}, fmt.Errorf("initiator: address %q: %q is not a unit number 0..16383", s, unit)
		}
		out.LUN = uint16(n)
	}
	return out, nil
}

// String writes the address back.
func (u URL) String() string {
	return fmt.Sprintf("iscsi://%s/%s/%d", u.Portal, u.Target, u.LUN)
}
