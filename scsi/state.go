package scsi

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"

	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// stateTitle begins what is kept of a unit; behind it stands the CRC32C of the rest.
const stateTitle = "lunar unit 1 "

// state is what is kept of a device server over a loss of power, in its written form.
type state struct {
	Registrations []keptRegistration `json:"registrations,omitempty"`
	// Type is that of the reservation, Holder the registration that holds it, from 1.
	Type   uint8 `json:"type,omitempty"`
	Holder int   `json:"holder,omitempty"`
	// Mode are the saved mode parameters.
	Mode parameters `json:"mode,omitzero"`
	// Identifying is SET IDENTIFYING INFORMATION.
	Identifying []byte `json:"identifying,omitempty"`
	// Sanitizing says that a sanitize operation was under way.
	Sanitizing bool `json:"sanitizing,omitempty"`
	// Format is one more than the protection type that the unit is formatted with, 0 of one
	// that has none; Formatting says that a format operation was under way.
	Format     uint8 `json:"format,omitempty"`
	Formatting bool  `json:"formatting,omitempty"`
}

type keptRegistration struct {
	Key       uint64 `json:"key"`
	Initiator string `json:"initiator"`
	ISID      []byte `json:"isid"`
	Target    string `json:"target"`
	Port      uint16 `json:"port"`
	EveryPort bool   `json:"every_port,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Draft is what has to be durable before a Keep step ends: the state, and a write that is
// intended, nil when none is.
func (d *Device) Draft() (text []byte, intent *Intent) { return d.write(d.draft), d.draft.intent }

// write is the written form of a draft.
func (d *Device) write(n *draft) []byte {
	s := state{Mode: n.saved, Sanitizing: n.sanitizing, Identifying: []byte(n.identifying), Formatting: n.formatting}
	if d.info.Protected {
		s.Format = uint8(n.protection) + 1
	}
	if p := &n.persistent; p.kept {
		s.Type, s.Holder = uint8(p.kind), p.holder+1
		for _, r := range p.registrations {
			s.Registrations = append(s.Registrations, keptRegistration{
				r.key, r.initiator.Name, r.initiator.ISID[:], r.target.Name, r.target.Relative, r.everyPort,
			})
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // there is nothing in it that JSON cannot say
	}
	return fmt.Appendf(nil, "%s%08x\n%s\n", stateTitle, crc32.Checksum(b, castagnoli), b)
}

// Restore takes over what was kept before the unit was started, before its first nexus.
// An error says what is wrong with it; nothing was taken over then.
func (d *Device) Restore(b []byte) error {
	title, rest, _ := strings.Cut(string(b), "\n")
	rest = strings.TrimSuffix(rest, "\n")
	var s state
	switch {
	case !strings.HasPrefix(title, stateTitle):
		return fmt.Errorf("it begins with %.20q and not with %q", title, stateTitle)
	case title != fmt.Sprintf("%s%08x", stateTitle, crc32.Checksum([]byte(rest), castagnoli)):
		return fmt.Errorf("its checksum is wrong")
	}
	if err := json.Unmarshal([]byte(rest), &s); err != nil {
		return err
	}
	p, err := s.persistent()
	if err != nil {
		return err
	}
	if s.Format > uint8(pi.MaxType)+1 {
		return fmt.Errorf("there is no protection type %d", s.Format-1)
	}
	if d.info.Protected && s.Format > 0 {
		d.protection, d.said, d.formatting = pi.Type(s.Format-1), true, s.Formatting
	}
	d.persistent, d.mode, d.saved, d.sanitizing = p, s.Mode, s.Mode, s.Sanitizing
	d.identifying = string(s.Identifying)
	return nil
}

func (s *state) persistent() (persistent, error) {
	p := persistent{kept: len(s.Registrations) > 0, kind: reservationType(s.Type), holder: s.Holder - 1}
	for _, r := range s.Registrations {
		if len(r.ISID) != 6 {
			return p, fmt.Errorf("the ISID of %q has %d bytes and not 6", r.Initiator, len(r.ISID))
		}
		p.registrations = append(p.registrations, registration{
			key: r.Key, initiator: sam.InitiatorPort{Name: r.Initiator, ISID: [6]byte(r.ISID)},
			target: sam.TargetPort{Name: r.Target, Relative: r.Port}, everyPort: r.EveryPort,
		})
	}
	held := p.kind != 0 && !p.kind.everyRegistrant()
	if p.kind != 0 && !p.kind.known() || held != (p.holder != noRegistration) || p.holder >= len(p.registrations) || p.holder < noRegistration {
		return p, fmt.Errorf("a reservation of type %d cannot be held by registration %d of %d", s.Type, s.Holder, len(p.registrations))
	}
	return p, nil
}
