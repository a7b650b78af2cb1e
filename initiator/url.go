package initiator

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"lunar/iscsi/text"
)

const scheme = "iscsi://"

// URL is the parsed form of iscsi://[user[%secret]@]host[:port]/target-name[/lun], with
// the credentials of the target in ?target_user=…&target_password=….
type URL struct {
	// Portal is host:port.
	Portal string
	// Target is the iSCSI name in lower case, empty when the address names none.
	Target string
	// LUN is the unit number, 0 when the address names none.
	LUN uint16
	// CHAP is what the address says of users and secrets, as they stand there: nothing
	// in them is an escape.
	CHAP CHAP
}

// ParseURL reads an address as libiscsi writes it. The port defaults to 3260 and
// the unit to 0; other queries are refused. Errors hold no secret.
func ParseURL(s string) (URL, error) {
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return URL{}, fmt.Errorf("initiator: address does not begin with %s", scheme)
	}
	var out URL
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		// The secret may hold any character but a slash, also those of addresses.
		out.CHAP.User, out.CHAP.Secret, _ = strings.Cut(authority[:at], "%")
		authority = authority[at+1:]
		if out.CHAP.User == "" {
			return URL{}, fmt.Errorf("initiator: address of %s has no user before @", authority)
		}
	}
	path, query, _ := strings.Cut(path, "?")
	if err := out.readQuery(query); err != nil {
		return URL{}, err
	}
	if err := out.readAddress(authority, path); err != nil {
		return URL{}, err
	}
	return out, nil
}

// readQuery takes the credentials of the target.
func (u *URL) readQuery(query string) error {
	for query != "" {
		var kv string
		kv, query, _ = strings.Cut(query, "&")
		switch k, v, _ := strings.Cut(kv, "="); k {
		case "target_user":
			u.CHAP.TargetUser = v
		case "target_password":
			u.CHAP.TargetSecret = v
		default:
			return fmt.Errorf("initiator: address with query %q; use target_user and target_password", k)
		}
	}
	return nil
}

// readAddress takes what is left without credentials.
func (u *URL) readAddress(authority, path string) error {
	s := scheme + authority + "/" + path
	plain, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("initiator: address %q: %w", s, err)
	}
	if plain.Host == "" || plain.Fragment != "" {
		return fmt.Errorf("initiator: address %q is not iscsi://host[:port]/target/lun", s)
	}
	u.Portal = withPort(plain.Host)
	if path = strings.Trim(plain.Path, "/"); path == "" {
		return nil
	}
	name, unit, hasUnit := strings.Cut(path, "/")
	target, ok := text.Name([]byte(name))
	if !ok {
		return fmt.Errorf("initiator: address %q: %q is not an iSCSI name", s, name)
	}
	u.Target = target
	if hasUnit {
		n, err := strconv.ParseUint(unit, 10, 14)
		if err != nil {
			return fmt.Errorf("initiator: address %q: %q is not a unit number 0..16383", s, unit)
		}
		u.LUN = uint16(n)
	}
	return nil
}

// String writes the address back, without credentials.
func (u URL) String() string {
	return fmt.Sprintf("iscsi://%s/%s/%d", u.Portal, u.Target, u.LUN)
}
