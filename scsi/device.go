package scsi

import (
	"math"
	"math/bits"

	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// DefaultMaxTransferBytes is the longest transfer of one command when Config
// names none.
const DefaultMaxTransferBytes = 16 << 20

// minTransferBlocks is what a 6-byte CDB can always ask for, so that no limit
// refuses a command that has no way to ask for less (SBC-2, READ(6)).
const minTransferBlocks = 256

// Config is what a Device is made from. All of it but the size of the medium
// (Resize) stays as it is for the life of the Device.
type Config struct {
	Info     blk.Info
	Identity Identity
	// MaxTransferBytes limits one READ, WRITE, VERIFY or WRITE SAME and is
	// reported in VPD page B0h. Zero means DefaultMaxTransferBytes; it is rounded
	// down to blocks and up to 256 of them.
	MaxTransferBytes int64
	// Keeps says that the state of the device server can be made durable, so that commands
	// may ask for it (Keep).
	Keeps bool
	// Intends says that an Intent can be too, and will be carried out before the unit serves.
	Intends bool
	// Removable says that the medium can be ejected (RMB, SPC-4 §6.6.2).
	Removable bool
	// OptimalTransferBytes is reported in VPD page B0h; zero reports none.
	OptimalTransferBytes int64
	// TokenSeed is what makes ROD tokens that nobody can guess: random, and another one at
	// each start (SPC-4 §5.17.6.5.1).
	TokenSeed [32]byte
	// Protection is the type that the unit is formatted with at first, where Info says that
	// the medium keeps protection information.
	Protection pi.Type
}

// Device is the device server of one logical unit.
type Device struct {
	info     blk.Info
	identity Identity
	absent   bool

	rows  []Opcode
	index *opcodeIndex
	// reserved[i] are the CDB bits that row i refuses on this unit.
	reserved []cdbMask
	// apart are the bits with which a command does not come in as a plain one.
	apart []cdbMask

	blocks      uint64
	blockShift  uint8
	maxBlocks   uint32
	optimBlocks uint32

	// stopped and, of a removable medium, ejected are set by START STOP UNIT (SBC-3 §5.25).
	// starts and loads count how often that was undone.
	stopped, ejected bool
	starts, loads    uint32
	// gone says that the medium cannot be reached, until it can be again.
	gone        bool
	removable   bool
	reservation reservation
	// persistent is what PERSISTENT RESERVE OUT made of the unit, draft what a command
	// makes of the state once it is durable; keeps says that somebody can make it so.
	persistent persistent
	// mode are the mode parameters in force, saved those after a power on.
	mode, saved parameters
	draft       *draft
	// operation is what the unit does in the background. sanitizing: a sanitize operation
	// has not ended well, perhaps before the unit was started; sanitizeFailed: the last
	// one, so that nothing else is served; exits: it allowed for that to be ended.
	operation                         *operation
	sanitizing, sanitizeFailed, exits bool
	keeps                             bool
	// intends says that writes are kept as an Intent where the medium cannot write all or
	// nothing; unsettled, that one could not be dropped: it is done again at the next start,
	// so nothing may be written before.
	intends, unsettled bool
	// protection is the type that the unit is formatted with; said: what was kept says it.
	// formatting: a format operation has not ended well, perhaps before the unit was started.
	protection       pi.Type
	said, formatting bool
	victims          []sam.Nexus
	usage            usage
	// buffer and echo are what WRITE BUFFER wrote, identifying is SET IDENTIFYING
	// INFORMATION.
	buffer, echo []byte
	identifying  string
	// access are the states of target port groups, of those that were ever set.
	access []GroupAccess
	// counted is what was counted when LOG SELECT last reset the counters.
	counted Statistics
	// ahead is how many milliseconds the device clock is before the time of day, since SET
	// TIMESTAMP has set it.
	ahead    int64
	clockSet bool
	// copying counts the third-party copies under way, copies all there were.
	copying int
	copies  uint32
	// tokens are the ROD tokens of the unit, transfers the WRITE USING TOKENs under way.
	tokens    tokens
	transfers [maxCopies]*transfer
	// nexuses is indexed by sam.Nexus.
	nexuses []nexusState
	// scratch is where an answer is built before it is cut to its allocation
	// length, so that a short buffer needs no thought anywhere else.
	scratch []byte
}

// New returns the device server for cfg. Info must describe a medium of whole
// blocks of 512 or 4096 bytes, which every backend checks when it opens.
func New(cfg Config) *Device {
	d := newDevice()
	d.identity, d.keeps, d.removable = cfg.Identity, cfg.Keeps, cfg.Removable
	d.intends = cfg.Keeps && cfg.Intends && cfg.Info.AtomicBytes == 0
	d.tokens.seed = cfg.TokenSeed
	d.describe(cfg.Info)
	if cfg.Info.Protected {
		d.protection = cfg.Protection
	}
	limit := cfg.MaxTransferBytes
	if limit <= 0 {
		limit = DefaultMaxTransferBytes
	}
	if cfg.Info.Protected {
		// SBC-4 §6.6.4: what comes with protection information is held at once.
		limit = min(limit, MaxListBytes/int64(cfg.Info.BlockBytes+pi.Bytes)<<d.blockShift)
	}
	d.maxBlocks = uint32(min(max(limit>>d.blockShift, minTransferBlocks), 1<<32-1))
	d.optimBlocks = uint32(min(cfg.OptimalTransferBytes>>d.blockShift, int64(d.maxBlocks)))
	for i := range d.rows {
		usage := d.rows[i].usage(&d.info)
		d.reserved[i] = reservedBits(usage, d.rows[i].HasAction())
		d.apart[i] = reservedBits(withoutProtection(&d.rows[i], withoutNACA(usage)), d.rows[i].HasAction())
	}
	return d
}

func (d *Device) describe(info blk.Info) {
	if d.intends {
		info.AtomicBytes = maxIntentBytes
	}
	d.info, d.blocks = info, info.Blocks()
	d.blockShift = uint8(bits.TrailingZeros32(info.BlockBytes))
}

// Present says whether the medium can be reached. One that is there again may have
// forgotten what was in its cache, and every nexus is told (28/00).
func (d *Device) Present(is bool) {
	if d.gone && is {
		d.AttendAll(MediumChanged)
		d.spoilAll()
	}
	d.gone = !is
}

// Resize takes another size of the medium, everything else of which is as before.
// Every nexus is told (SBC-3 §4.7: CAPACITY DATA HAS CHANGED). No command runs.
func (d *Device) Resize(info blk.Info) {
	d.describe(info)
	// SBC-4 §4.28.5: what is not there any more cannot be read.
	d.spoil(int64(d.blocks)<<d.blockShift, math.MaxInt64&^int64(info.BlockBytes-1)-int64(d.blocks)<<d.blockShift)
	d.AttendAll(CapacityChanged)
}

// NewAbsent returns the device server for LUNs without a unit. INQUIRY, REPORT
// LUNS and REQUEST SENSE answer; everything else is 05/2500 (SAM-5 §5.11). It keeps no
// ACA: there is no task set, and many LUNs of many nexuses share the one device server.
func NewAbsent() *Device {
	d := newDevice()
	d.absent = true
	for i := range d.rows {
		d.reserved[i] = reservedBits(withoutNACA(d.rows[i].Usage), d.rows[i].HasAction())
	}
	return d
}

func newDevice() *Device {
	n := len(opcodes)
	return &Device{
		rows: opcodes, index: byOpcode, reserved: make([]cdbMask, n), apart: make([]cdbMask, n),
		persistent: persistent{holder: noRegistration},
	}
}

// Begin decodes c, makes every check that needs no data, and sets c.Action as
// package sam documents it. It allocates nothing for READ and WRITE.
func (d *Device) Begin(c *sam.Command) {
	c.DescriptorSense = d.mode.DescriptorSense
	n, known := d.index.find(d.rows, c.CDB[0], actionOf(c))
	var row *Opcode
	if n >= 0 {
		row = &d.rows[n]
	}
	if d.refuseUnit(c, row) {
		return
	}
	if row == nil || !d.serves(row) {
		failOpcode(c, known && row == nil && (c.CDB[0] != opVariable || d.protection == pi.Type2))
		return
	}
	if d.refuseCDB(c, row, n) || d.refuseState(c, row) {
		return
	}
	if row.act != 0 && asksProtection(c) {
		d.beginProtected(c, row)
		return
	}
	row.begin(d, c)
	if c.Action == sam.WriteMedium {
		c.Extent.FUA = c.Extent.FUA || d.mode.Through
		d.spoil(c.Extent.Offset, c.Extent.Bytes)
	}
}

// Plain says whether a READ or WRITE of n meets nothing in the state of the unit: no
// attention to report, no unit that was stopped or that another nexus reserved, no ROD token
// that a write could spoil, no mode parameter that is not its default. While that is so
// BeginPlain answers as Begin would.
func (d *Device) Plain(n sam.Nexus) bool {
	return d.calm() && !d.reservation.excludes(n) &&
		!d.persistent.excludes(d.registrationOf(n), writesOut) && int(n) < len(d.nexuses) && d.nexuses[n].known && !d.pending(n) &&
		(len(d.access) == 0 || d.entered(n))
}

// calm says whether nothing of the unit concerns the reads and writes of whatever nexus.
func (d *Device) calm() bool {
	return !d.absent && !d.stopped && !d.ejected && !d.gone && d.mode.passes() && d.operation == nil && !d.sanitizeFailed && !d.formatting &&
		!d.unsettled && len(d.tokens.alive) == 0
}

// NormACA says whether commands may ask for an auto contingent allegiance, as the
// NORMACA bit of INQUIRY does.
func (d *Device) NormACA() bool { return !d.absent }

// Nexuses is how many nexuses were ever opened: theirs are the numbers below it.
func (d *Device) Nexuses() int { return len(d.nexuses) }

// BeginPlain is Begin for a READ or WRITE of a nexus that is Plain. It reads only
// what does not change over the life of the Device, so that any core may call it. It
// is false, and c as it was, for every other command, for one it would refuse, and for
// one with NACA: should that fail, it is its unit's home that must hear of it.
func (d *Device) BeginPlain(c *sam.Command) bool {
	n, _ := d.index.find(d.rows, c.CDB[0], 0)
	if n < 0 || d.rows[n].flags&plain == 0 {
		return false
	}
	row := &d.rows[n]
	if int(c.CDBBytes) < len(row.Usage) || d.apart[n].and(&c.CDB) != (cdbMask{}) {
		return false
	}
	if row.flags&modifies != 0 && (d.info.ReadOnly || c.ReadOnly) || !d.reaches(c) {
		return false
	}
	row.begin(d, c)
	return true
}

// Execute serves a command whose Begin asked for it. The data from the initiator
// stands in c.Buffer[:c.Received]. With a zero Program the command is finished:
// Status is set and DataInBytes of answer stand at the start of c.Buffer. Any
// other Program has Status GOOD set already, for the unit to replace when a step
// fails (FailMedium).
func (d *Device) Execute(c *sam.Command) Program {
	n, _ := d.index.find(d.rows, c.CDB[0], actionOf(c))
	protected := n >= 0 && d.rows[n].act != 0 && asksProtection(c)
	if n < 0 || d.rows[n].execute == nil && !protected {
		// Begin never asks for it; a command that lost its CDB ends all the same.
		failOpcode(c, false)
		return Program{}
	}
	c.Status = sam.Good
	if d.draft != nil && d.rows[n].Class >= UnitChange {
		// Only a HEAD OF QUEUE command comes while another one's change is being kept.
		c.Defer()
		return Program{}
	}
	if protected {
		p := d.executeProtected(c, &d.rows[n])
		d.spoilFor(c, &p)
		c.Action = sam.Complete
		return p
	}
	p := d.rows[n].execute(d, c)
	d.spoilFor(c, &p)
	c.Action = sam.Complete
	return p
}

// ClassOf returns what the command does, or Neutral when it is unknown and will
// be refused without touching anything.
func ClassOf(c *sam.Command) Class {
	n, _ := byOpcode.find(opcodes, c.CDB[0], actionOf(c))
	if n < 0 {
		return Neutral
	}
	return opcodes[n].Class
}

// ask sets Execute with data in both directions, limited to what the command can
// ever need.
func ask(c *sam.Command, outBytes, inBytes int64) {
	c.Action, c.Status = sam.Execute, sam.Good
	c.DataOutBytes, c.DataInBytes = outBytes, inBytes
}

// answer copies b into the buffer, cut to the allocation length.
//
// SPC-4 §4.3.5.6: truncation is no error, and no length field inside the answer
// is changed by it.
func answer(c *sam.Command, b []byte) {
	c.DataInBytes = int64(copy(c.Buffer[:min(int64(len(c.Buffer)), c.DataInBytes)], b))
	c.DataOutBytes = 0
}
