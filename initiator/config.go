package initiator

import (
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"lunar/initiator/drive"
	"lunar/iscsi/auth"
)

// DefaultInitiator is the initiator name used when Config names none.
const DefaultInitiator = "iqn.2026-01.lunar:initiator"

// Limits of a Config.
const (
	// MaxQueueDepth is the most requests one session can have in progress.
	MaxQueueDepth     = 4096
	defaultQueueDepth = 128
	defaultPort       = "3260" // RFC 3720 §13 [R-13-1]
	// maxConnections bounds the connections of a session, maxLevel its recovery level.
	maxConnections = 32
	maxLevel       = 2
	defaultRetain  = 20
	defaultProbe   = time.Second
)

// Config says where to log in and what to offer. Zero values of the offers mean
// the values named beside them; lengths are in bytes.
type Config struct {
	// Portal is host or host:port; the port defaults to 3260. Target is its iSCSI
	// name, empty for Discovery. Initiator defaults to DefaultInitiator.
	Portal, Target, Initiator string
	// ISID names the initiator port; zero draws one of type random (T=2, RFC 3720
	// §10.12.5). The same ISID logging in again reinstates the session.
	ISID [6]byte
	// HeaderDigest and DataDigest offer "CRC32C,None" instead of "None".
	HeaderDigest, DataDigest bool
	// ImmediateData defaults to Yes and InitialR2T to No: whatever may be sent with
	// a command is.
	ImmediateData, InitialR2T *bool
	// FirstBurst defaults to 65536, MaxBurst and MaxRecvDataSegmentLength to
	// 262144.
	FirstBurst, MaxBurst, MaxRecvDataSegmentLength uint32
	// MaxOutstandingR2T defaults to 1.
	MaxOutstandingR2T uint16
	// Connections is how many connections the session has, 1 unless told and 32 at most;
	// the target may allow fewer. Commands go over the least busy one.
	Connections int
	// MaxConnections is how many the session may come to have by Add; it is Connections
	// unless told.
	MaxConnections int
	// RecoveryLevel is the ErrorRecoveryLevel to ask for, 0 to 2 (RFC 3720 §6.1.5). The
	// target may agree to less; Params says what holds.
	RecoveryLevel uint8
	// TaskReporting is what to ask for of the reporting of ended tasks, RFC3720 unless
	// told; the target may agree to less.
	TaskReporting TaskReporting
	// Time2Wait and Time2Retain are offered as DefaultTime2Wait and DefaultTime2Retain,
	// in seconds: how long to wait after the loss of a connection before it is recovered,
	// and how long after that its commands are kept (§12.15, §12.16). Time2Retain is 20
	// at level 2 unless told, else 0.
	Time2Wait, Time2Retain uint16
	// Reconnect, when set, has a session that has died log in again and repeat what was in
	// progress. Without it the loss of what the recovery level cannot bring back ends the
	// session, and each command with an error: the caller decides.
	Reconnect *Reconnect
	// Probe is how often a connection that owes answers is asked whether it lives and what
	// it has sent, and how soon something lost is missed; one second unless told at levels
	// 1 and 2. Without it a session of level 0 waits for answers as long as TCP does. A
	// connection that is silent for 20 times as long is given up.
	Probe time.Duration
	// QueueDepth is how many requests may be in progress, 128 unless told; memory
	// and buffers of the session follow it.
	QueueDepth int
	// FirstCmdSN is the CmdSN of the login and the first command; 0 is as good as
	// any other.
	FirstCmdSN uint32
	// Lenient takes what targets in the field get wrong without harm; without it each
	// of these ends the login or the session:
	//   - Data-In sequences longer than MaxBurstLength (RFC 3720 §12.13),
	//   - a SCSI Response that does not count the Data-In before it (§10.4.8),
	//   - TSIH 0 in the last Login Response (§10.13.3),
	//   - a StatSN that came before, as of a target that numbers a response by the
	//     ExpStatSN of its request (§3.2.2.2); one that runs ahead is a loss here too,
	//   - a Yes or No in answer to ours that the rule of the key does not make of it,
	//     such as ImmediateData=Yes to No: what the rule makes of both values holds, so
	//     that no data is sent unasked (§12.10, §12.11).
	Lenient bool
	// Loop, when set, moves the session's bytes and calls Done on its goroutine;
	// otherwise the session has goroutines of its own. It must outlive the session.
	Loop *drive.Loop
	// CHAP are the credentials of the login; without a user none is offered. It holds
	// for discovery sessions too.
	CHAP CHAP
	// Algorithms are those of CHAP that are offered, in this order; nil means all, the
	// strongest first. Some targets, tgt among them, take 7 for SHA-1 and refuse the
	// login: offer them MD5 alone.
	Algorithms []auth.Algorithm
	// ShortSecrets allows secrets of less than 96 bits, to be used only where IPsec
	// encrypts the connection (RFC 3720 §8.2.1 [R-8.2.1-5]).
	ShortSecrets bool
	// Discovery asks for a discovery session, which runs no SCSI commands.
	Discovery bool
	// Mangle, when set, judges every PDU of the full feature phase before it is sent, on
	// any connection.
	Mangle func(*Outgoing) Verdict
	// MangleIn, when set, judges every PDU of the full feature phase that is received:
	// Drop loses it, CorruptData has its data digest be wrong, all else takes it. It is
	// for tests of recovery, and may be called by several goroutines at once.
	MangleIn func(*Incoming) Verdict
	// Event, when set, is told of Async Messages and of Rejects that belong to no
	// command. It must neither block nor close the session.
	Event func(error)
}

// filled returns c with every default written out, or what is wrong with it.
func (c Config) filled() (Config, error) {
	if c.Portal == "" {
		return c, fmt.Errorf("initiator: no portal; give host:port of the target")
	}
	if c.Target == "" && !c.Discovery {
		return c, fmt.Errorf("initiator: no target name for portal %s; Discover lists them", c.Portal)
	}
	c.Portal = withPort(c.Portal)
	if c.Initiator == "" {
		c.Initiator = DefaultInitiator
	}
	if c.ISID == ([6]byte{}) {
		c.ISID = randomISID()
	}
	c.ImmediateData = orBool(c.ImmediateData, true)
	c.InitialR2T = orBool(c.InitialR2T, false)
	c.FirstBurst = or(c.FirstBurst, 65536)
	c.MaxBurst = or(c.MaxBurst, 262144)
	c.MaxRecvDataSegmentLength = or(c.MaxRecvDataSegmentLength, 262144)
	c.MaxOutstandingR2T = or(c.MaxOutstandingR2T, 1)
	c.QueueDepth = or(c.QueueDepth, defaultQueueDepth)
	c.Connections = or(c.Connections, 1)
	c.Reconnect = c.Reconnect.filled()
	c.MaxConnections = or(c.MaxConnections, c.Connections)
	if c.RecoveryLevel == maxLevel {
		c.Time2Retain = or(c.Time2Retain, defaultRetain)
	}
	return c, c.check()
}

func (c *Config) check() error {
	if c.QueueDepth < 1 || c.QueueDepth > MaxQueueDepth {
		return fmt.Errorf("initiator: queue depth %d is not in 1..%d", c.QueueDepth, MaxQueueDepth)
	}
	if c.Connections < 1 || c.Connections > c.MaxConnections || c.MaxConnections > maxConnections {
		return fmt.Errorf("initiator: %d connections, at most %d, are not within 1..%d", c.Connections, c.MaxConnections, maxConnections)
	}
	if c.RecoveryLevel > maxLevel {
		return fmt.Errorf("initiator: recovery level %d is not 0..%d", c.RecoveryLevel, maxLevel)
	}
	if int(c.TaskReporting) >= len(reportings) {
		return fmt.Errorf("initiator: task reporting %d is not 0..%d", c.TaskReporting, len(reportings)-1)
	}
	if r := c.Reconnect; r != nil && (r.Attempts < 0 || r.Delay < 0) || c.Probe < 0 {
		return fmt.Errorf("initiator: attempts, delays and intervals of probes are not negative")
	}
	for _, v := range []uint32{c.FirstBurst, c.MaxBurst, c.MaxRecvDataSegmentLength} {
		if v < minLength || v > maxLength { // RFC 3720 §12.12-12.14
			return fmt.Errorf("initiator: length %d is not in %d..%d", v, minLength, maxLength)
		}
	}
	// RFC 3720 §12.14: FirstBurstLength does not exceed MaxBurstLength.
	if c.FirstBurst > c.MaxBurst {
		return fmt.Errorf("initiator: FirstBurst %d exceeds MaxBurst %d", c.FirstBurst, c.MaxBurst)
	}
	return c.CHAP.check(c.Algorithms, c.ShortSecrets)
}

// randomISID draws an ISID of the random type (RFC 3720 §10.12.5: T=2, three
// random bytes and a qualifier).
func randomISID() (isid [6]byte) {
	_, _ = rand.Read(isid[1:]) // documented never to fail
	isid[0] = 0x80
	return isid
}

func withPort(portal string) string {
	if _, _, err := net.SplitHostPort(portal); err == nil {
		return portal
	}
	if len(portal) > 1 && portal[0] == '[' && portal[len(portal)-1] == ']' {
		portal = portal[1 : len(portal)-1]
	}
	return net.JoinHostPort(portal, defaultPort)
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func orBool(v *bool, fallback bool) *bool {
	if v == nil {
		return &fallback
	}
	return v
}
