package engine

import (
	"net/netip"
	"strings"
)

// rules are the access rules of a target, found by initiator name: a target with
// ten thousand of them answers a login as fast as one with ten.
type rules struct {
	all []Access
	// exact are the rules of whole names, patterns those with a *, both in order.
	exact    map[string][]int
	patterns []int
}

func newRules(all []Access) rules {
	r := rules{all: all, exact: map[string][]int{}}
	for i, a := range all {
		if strings.HasSuffix(a.Initiator, "*") {
			r.patterns = append(r.patterns, i)
		} else {
			r.exact[a.Initiator] = append(r.exact[a.Initiator], i)
		}
	}
	return r
}

// everyone is the number of the rule of a target that has none.
const everyone = -1

// find returns the first rule that fits; ok says whether it lets the initiator in.
func (r *rules) find(initiator string, source netip.Addr) (n int, ok bool) {
	if len(r.all) == 0 {
		return everyone, true
	}
	best := len(r.all)
	for _, i := range r.exact[initiator] {
		if i < best && r.all[i].from(source) {
			best = i
			break
		}
	}
	for _, i := range r.patterns {
		if i >= best {
			break
		}
		if strings.HasPrefix(initiator, strings.TrimSuffix(r.all[i].Initiator, "*")) && r.all[i].from(source) {
			best = i
			break
		}
	}
	return best, best < len(r.all) && !r.all[best].Deny
}

// from says whether a rule is for initiators at an address.
func (a *Access) from(source netip.Addr) bool {
	// No network contains an address with a zone, which says only by which interface
	// it came.
	source = source.Unmap().WithZone("")
	for _, p := range a.Sources {
		if p.Contains(source) {
			return true
		}
	}
	return len(a.Sources) == 0
}
