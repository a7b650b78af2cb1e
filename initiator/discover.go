package initiator

import (
	"context"
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// Target is one target that a portal knows of.
type Target struct {
	// Name is its iSCSI name.
	Name string
	// Addresses are host:port,tag as the target gave them; empty means the portal
	// that was asked (RFC 3720 appendix D).
	Addresses []string
}

// Discover asks a portal for its targets in a discovery session. An empty initiator
// name is DefaultInitiator.
func Discover(ctx context.Context, portal, initiator string) ([]Target, error) {
	return Config{Portal: portal, Initiator: initiator}.Discover(ctx)
}

// Discover asks the portal of c for its targets, with the credentials of c.
func (c Config) Discover(ctx context.Context) ([]Target, error) {
	c.Discovery = true
	s, err := Dial(ctx, c)
	if err != nil {
		return nil, err
	}
	list, err := s.SendTargets(ctx, "All")
	if logout := s.Logout(ctx); err == nil {
		err = logout
	}
	return list, err
}

// SendTargets asks for targets: "All" in a discovery session, a target's name, or
// "" for the target of a normal session (RFC 3720 appendix D).
func (s *Session) SendTargets(ctx context.Context, which string) ([]Target, error) {
	data, err := s.Text(ctx, []byte("SendTargets="+which+"\x00"))
	if err != nil {
		return nil, err
	}
	var list []Target
	for len(data) > 0 {
		p, rest, ok := text.NextPair(data)
		if !ok {
			return nil, broken("text %.80q is no list of key=value pairs", data)
		}
		data = rest
		switch string(p.Key) {
		case "TargetName":
			list = append(list, Target{Name: string(p.Value)})
		case "TargetAddress":
			if len(list) == 0 {
				return nil, broken("TargetAddress before any TargetName")
			}
			t := &list[len(list)-1]
			t.Addresses = append(t.Addresses, string(p.Value))
		}
	}
	return list, nil
}

// maxTextBytes and maxTextParts bound what one text exchange gathers.
const (
	maxTextBytes = 16 << 20
	maxTextParts = 4096
)

// Text sends one text request, at most a data segment of the target's long, and
// gathers the whole answer, asking for the parts that follow (RFC 3720 §10.10,
// §10.11).
func (s *Session) Text(ctx context.Context, data []byte) ([]byte, error) {
	l, err := s.route(ctx, pdu.NoTag)
	if err != nil {
		return nil, err
	}
	if limit := int(l.params.MaxSendDataSegmentLength); len(data) > limit {
		return nil, fmt.Errorf("initiator: text of %d bytes; the target takes %d", len(data), limit)
	}
	// §10.10.3: the whole exchange keeps one ITT.
	k, err := s.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer s.drop(k)
	return s.textParts(ctx, l, k, data)
}

func (s *Session) textParts(ctx context.Context, l *link, k *control, data []byte) ([]byte, error) {
	var all []byte
	var h pdu.Header
	pdu.AsTextRequest(&h).SetTTT(pdu.NoTag)
	for range maxTextParts {
		h.SetOpcode(pdu.OpTextReq)
		h.SetFlags(pdu.FlagFinal)
		p, err := s.ask(ctx, l, k, &h, data, control{opcode: pdu.OpTextResp})
		if err != nil {
			return nil, err
		}
		if len(all)+len(p.Data) > maxTextBytes {
			return nil, broken("text answer of more than %d bytes", maxTextBytes)
		}
		all = append(all, p.Data...)
		if p.Header.Final() {
			return all, nil
		}
		// §10.11.1: F=0 carries a tag, which the next request gives back with the
		// LUN; that request is empty (§5.2 [R-5.2-3]).
		tag := pdu.AsTextResponse(&p.Header).TTT()
		if tag == pdu.NoTag {
			return nil, broken("Text Response with F=0 and without a tag")
		}
		data, h = nil, pdu.Header{}
		h.SetLUN(p.Header.LUN())
		pdu.AsTextRequest(&h).SetTTT(tag)
	}
	return nil, broken("text answer of more than %d parts", maxTextParts)
}
