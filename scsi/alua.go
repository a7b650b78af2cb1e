package scsi

import (
	"encoding/binary"
	"slices"

	"lunar/scsi/sam"
)

// Access is an asymmetric access state of a target port group (SPC-4 §5.15.2.4).
type Access uint8

// Access states.
const (
	Optimized     Access = 0x0
	NonOptimized  Access = 0x1
	Standby       Access = 0x2
	Unavailable   Access = 0x3
	Transitioning Access = 0xf
)

// supportedAccess are the states there can be, as REPORT TARGET PORT GROUPS has them:
// transitioning, unavailable, standby, and both active ones.
const supportedAccess = 0x80 | 0x08 | 0x04 | 0x02 | 0x01

// Why a group is in its state (SPC-4 table 291); 0 as long as nobody changed it.
const (
	accessByCommand = 0x01 // SET TARGET PORT GROUPS
	accessByItself  = 0x02 // the operator, for initiators an implicit change
)

// GroupAccess is the state of one target port group.
type GroupAccess struct {
	Group     uint16
	State     Access
	Preferred bool
	status    byte
	// fixed: the operator has taken it out of service, and initiators do not bring it back.
	fixed bool
}

// accessOf is the state of a group; one of which nothing was said is active/optimized.
func (d *Device) accessOf(group uint16) GroupAccess {
	for _, a := range d.access {
		if a.Group == group {
			return a
		}
	}
	return GroupAccess{Group: group}
}

// SetAccess takes over the states the operator has set. Where one changes, every nexus is
// told (2A/06).
func (d *Device) SetAccess(states []GroupAccess) {
	changed := false
	next := make([]GroupAccess, 0, len(states))
	for _, a := range states {
		before := d.accessOf(a.Group)
		a.status, a.fixed = before.status, a.State != Optimized && a.State != NonOptimized
		if before.State != a.State || before.Preferred != a.Preferred {
			a.status, changed = accessByItself, true
		}
		next = append(next, a)
	}
	for _, a := range d.access {
		if !slices.ContainsFunc(next, func(b GroupAccess) bool { return b.Group == a.Group }) && a.State != Optimized {
			// It is as it was at the start again.
			next, changed = append(next, GroupAccess{Group: a.Group, status: accessByItself}), true
		}
	}
	d.access = next
	if changed {
		d.AttendAll(AccessChanged)
	}
}

// accessible says whether reads and writes may come through a port.
func (d *Device) accessible(port uint16) bool {
	s := d.accessOf(port).State
	return s == Optimized || s == NonOptimized
}

// entered says whether a nexus came through a port that is active. Of one without a name
// nobody knows.
func (d *Device) entered(n sam.Nexus) bool {
	name := d.nameOf(n)
	return name != nil && d.accessible(name.Target.Group)
}

// refuseAccess ends a command that the state of the port it came through does not allow
// (SPC-4 §5.15.2.4.4 to §5.15.2.4.6).
func (d *Device) refuseAccess(c *sam.Command, row *Opcode) bool {
	if len(d.access) == 0 || c.Path == nil || row.flags&passAccess != 0 {
		return false
	}
	code := uint16(0)
	switch d.accessOf(c.Path.PortalGroupTag).State {
	case Standby:
		code = codeStandby
	case Unavailable:
		code = codeUnavailable
	case Transitioning:
		code = codeTransition
	default:
		return false
	}
	c.Fail(sam.NewSense(sam.NotReady, code))
	return true
}

// REPORT and SET TARGET PORT GROUPS (SPC-4 §6.37, §6.45).
const (
	groupsExtended  = 0x20 // PARAMETER DATA FORMAT 001b in CDB byte 1
	groupsFormat    = 0xe0
	maxGroupsReport = 16 << 10
	groupEntry      = 4
	preferredMask   = 0x80
	accessMask      = 0x0f
)

func (d *Device) beginReportGroups(c *sam.Command) {
	if f := c.CDB[1] & groupsFormat; f != 0 && f != groupsExtended {
		failField(c, 1, 7)
		return
	}
	ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[6:])), maxGroupsReport))
}

func (d *Device) reportGroups(c *sam.Command) Program {
	b := append(d.scratch[:0], 0, 0, 0, 0)
	if c.CDB[1]&groupsFormat == groupsExtended {
		b = append(b, 0x10, 0, 0, 0) // format 001b, IMPLICIT TRANSITION TIME not given
	}
	if c.Path != nil {
		for _, p := range c.Path.Ports {
			a := d.accessOf(p.PortalGroupTag)
			first := byte(a.State)
			if a.Preferred {
				first |= preferredMask
			}
			b = append(b, first, supportedAccess, byte(p.PortalGroupTag>>8), byte(p.PortalGroupTag), 0, a.status, 0, 1)
			b = append(b, 0, 0, byte(p.Relative>>8), byte(p.Relative))
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	d.scratch = b
	answer(c, b)
	return Program{}
}

func (d *Device) beginSetGroups(c *sam.Command) {
	length := int64(binary.BigEndian.Uint32(c.CDB[6:]))
	switch {
	case length == 0:
		c.Succeed() // SPC-4 §6.45: no list changes nothing
	case length < groupEntry || length > maxGroupsReport:
		c.Fail(illegal(codeParameterLength).At(6, -1))
	default:
		ask(c, length, 0)
	}
}

// setGroups takes all states of the list or none.
func (d *Device) setGroups(c *sam.Command) Program {
	if int64(c.Received) < c.DataOutBytes || c.DataOutBytes%groupEntry != 0 {
		c.Fail(illegal(codeParameterLength).At(6, -1))
		return Program{}
	}
	b := c.Buffer[:c.DataOutBytes]
	next := append([]GroupAccess(nil), d.access...)
	for at := groupEntry; at < len(b); at += groupEntry {
		state, group := Access(b[at]&accessMask), binary.BigEndian.Uint16(b[at+2:])
		if state > Unavailable || !hasGroup(c.Path, group) {
			c.Fail(illegal(codeInvalidParameter).AtParameter(at))
			return Program{}
		}
		if before := d.accessOf(group); before.fixed && before.State != state {
			c.Fail(illegal(codeSetGroups))
			return Program{}
		}
		next = setGroup(next, GroupAccess{Group: group, State: state, Preferred: d.accessOf(group).Preferred, status: accessByCommand, fixed: d.accessOf(group).fixed})
	}
	d.access = next
	d.attendOthers(c.Nexus, AccessChanged)
	return Program{}
}

func hasGroup(p *sam.Path, group uint16) bool {
	if p == nil {
		return false
	}
	return slices.ContainsFunc(p.Ports, func(o sam.Port) bool { return o.PortalGroupTag == group })
}

func setGroup(all []GroupAccess, a GroupAccess) []GroupAccess {
	for i := range all {
		if all[i].Group == a.Group {
			all[i] = a
			return all
		}
	}
	return append(all, a)
}
