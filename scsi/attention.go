package scsi

import (
	"math/bits"

	"lunar/scsi/sam"
)

// Attention is a unit attention condition. A smaller number has the precedence
// (SAM-5 §5.14.2).
type Attention uint8

// Unit attention conditions.
const (
	// PowerOn: the unit was started, or this nexus is new (29/00).
	PowerOn Attention = iota
	// HardReset: the target was reset (29/02).
	HardReset
	// UnitReset: LOGICAL UNIT RESET (29/03).
	UnitReset
	// NexusLost: the I_T nexus was lost (29/07).
	NexusLost
	// MediumChanged: another nexus put a medium in (28/00).
	MediumChanged
	// ModeChanged: another nexus changed mode parameters (2A/01).
	ModeChanged
	// ReservationsPreempted, ReservationsReleased and RegistrationsPreempted: another nexus
	// changed what this one is registered for (2A/03, 2A/04, 2A/05).
	ReservationsPreempted
	ReservationsReleased
	RegistrationsPreempted
	// AccessChanged: the access state of a target port group is another (2A/06).
	AccessChanged
	// CapacityChanged: READ CAPACITY answers something else now (2A/09).
	CapacityChanged
	// TimestampChanged: another nexus set the device clock (2A/10).
	TimestampChanged
	// CommandsCleared: another nexus cleared commands of this one (2F/00).
	CommandsCleared
	// ProtocolCleared: an event of the transport ended commands of this nexus without
	// an answer (47/7F).
	ProtocolCleared
	// ThresholdReached: little is left of the store behind a thin unit (38/07).
	ThresholdReached
	// InquiryChanged: INQUIRY answers something else now (3F/03).
	InquiryChanged
	// IdentifierChanged: another nexus set the identifying information (3F/05).
	IdentifierChanged
	// LUNsChanged: REPORT LUNS answers something else now (3F/0E).
	LUNsChanged

	attentions
)

// resetAttentions are those of the reset group: a stronger one covers the rest.
const resetAttentions = 1<<PowerOn | 1<<HardReset | 1<<UnitReset | 1<<NexusLost

var attentionCodes = [attentions]uint16{
	PowerOn: 0x2900, HardReset: 0x2902, UnitReset: 0x2903, NexusLost: 0x2907,
	MediumChanged: 0x2800, ModeChanged: 0x2a01, ReservationsPreempted: 0x2a03, ReservationsReleased: 0x2a04, RegistrationsPreempted: 0x2a05,
	AccessChanged: 0x2a06, CapacityChanged: 0x2a09, TimestampChanged: 0x2a10, CommandsCleared: 0x2f00,
	ProtocolCleared:  0x477f,
	ThresholdReached: 0x3807,
	InquiryChanged:   0x3f03, IdentifierChanged: 0x3f05, LUNsChanged: 0x3f0e,
}

// nexusState is what the device server keeps for one I_T nexus.
type nexusState struct {
	known bool
	// attention has one bit per pending Attention. Being a set, it is bounded:
	// SAM-5 §5.14.1 lets a condition that is already pending be dropped.
	attention uint32
	// name is what the nexus is known by beyond its sessions, nil when nobody said.
	name *sam.NexusName
	// registration is that of the nexus, or noRegistration.
	registration int
	// prevents: PREVENT ALLOW MEDIUM REMOVAL.
	prevents bool
	// copies is what RECEIVE COPY RESULTS tells of the copies of the nexus, the oldest first.
	copies []copyRecord
}

// OpenNexus makes n known to the unit, by a name under which it may register, or nil. The
// first time, a PowerOn attention is pending; a nexus that is known keeps what it has, but
// its number may have become another's.
func (d *Device) OpenNexus(n sam.Nexus, name *sam.NexusName) {
	for int(n) >= len(d.nexuses) {
		d.nexuses = append(d.nexuses, nexusState{registration: noRegistration})
	}
	s := &d.nexuses[n]
	if !s.known {
		*s = nexusState{known: true, attention: 1 << PowerOn}
	}
	s.name, s.registration = name, d.persistent.find(name)
}

// NexusLoss is the I_T NEXUS LOSS event of n (SAM-5 §6.3.4). It ends a reservation of n
// (SPC-2 §5.5.1); freed says that others are kept out no more.
func (d *Device) NexusLoss(n sam.Nexus) (freed bool) {
	freed = d.reservation.held && d.reservation.holder == n
	d.lose(n)
	if int(n) < len(d.nexuses) {
		d.nexuses[n].prevents, d.nexuses[n].copies = false, nil
	}
	d.Attend(n, NexusLost)
	return freed
}

// TellsAborted says whether a command that another nexus ends has a status, TASK ABORTED,
// instead of none (TAS, SPC-4 §7.5.8).
func (d *Device) TellsAborted() bool { return d.mode.TellsAborted }

// Cleared tells n that another nexus cleared its commands (SAM-5 §7.4).
func (d *Device) Cleared(n sam.Nexus) { d.Attend(n, CommandsCleared) }

// Reset is a reset of the unit: a is PowerOn, HardReset or UnitReset. Every
// nexus is told, and the unit is as it was at its start: a stopped one runs
// again, a reserved one is free, mode parameters are those that were saved, or the defaults
// (SAM-5 §6.3.3, SBC-3 §4.20, SPC-2 §5.5.1, SPC-4 §5.5).
func (d *Device) Reset(a Attention) {
	d.stopped, d.reservation = false, reservation{}
	if a == PowerOn {
		// ROD tokens live through a reset of the unit (SPC-4 §5.17.6.7), as that changes no block.
		d.spoilAll()
	}
	d.mode = d.saved
	for i := range d.nexuses {
		d.nexuses[i].prevents, d.nexuses[i].copies = false, nil
	}
	d.AttendAll(a)
}

// Attend makes a pending for n. A nexus that was never opened is not told.
func (d *Device) Attend(n sam.Nexus, a Attention) {
	if int(n) >= len(d.nexuses) || !d.nexuses[n].known || a >= attentions {
		return
	}
	set := d.nexuses[n].attention | 1<<a
	if resets := set & resetAttentions; resets != 0 {
		// SAM-5 §5.14.2: of the reset group only the strongest is reported.
		set = set&^resetAttentions | resets&-resets
	}
	d.nexuses[n].attention = set
}

// AttendAll makes a pending for every nexus.
func (d *Device) AttendAll(a Attention) {
	for n := range d.nexuses {
		d.Attend(sam.Nexus(n), a)
	}
}

// attendOthers makes a pending for every nexus but n.
func (d *Device) attendOthers(n sam.Nexus, a Attention) {
	for i := range d.nexuses {
		if sam.Nexus(i) != n {
			d.Attend(sam.Nexus(i), a)
		}
	}
}

// pending says whether n has a unit attention to report.
func (d *Device) pending(n sam.Nexus) bool {
	return int(n) < len(d.nexuses) && d.nexuses[n].attention != 0
}

// NextAttention is the additional response information of QUERY ASYNCHRONOUS EVENT: the
// sense key and code of the attention that n would be told next, and whether there are
// more (SAM-5 §7.11). It is false when there is none.
func (d *Device) NextAttention(n sam.Nexus) (information [3]byte, pending bool) {
	if !d.pending(n) {
		return information, false
	}
	all := d.nexuses[n].attention
	const one, several = 0x10, 0x20 // UADE DEPTH
	depth := byte(one)
	if bits.OnesCount32(all) > 1 {
		depth = several
	}
	code := attentionCodes[bits.TrailingZeros32(all)]
	return [3]byte{depth | byte(sam.UnitAttention), byte(code >> 8), byte(code)}, true
}

// takeAttention returns the strongest pending attention of n as sense and clears
// it (SAM-5 §5.14.1: reported once).
func (d *Device) takeAttention(n sam.Nexus) sam.Sense {
	a := bits.TrailingZeros32(d.nexuses[n].attention)
	d.clearAttention(n, Attention(a))
	return sam.NewSense(sam.UnitAttention, attentionCodes[a])
}

func (d *Device) clearAttention(n sam.Nexus, a Attention) {
	if d.pending(n) {
		d.nexuses[n].attention &^= 1 << a
	}
}
