package sam

// Function is a task management function (SAM-5 §7), in the coding of the Task
// Management Function Request (RFC 3720 §10.5.1).
type Function uint8

// Task management functions.
const (
	AbortTask        Function = 1
	AbortTaskSet     Function = 2
	ClearACA         Function = 3
	ClearTaskSet     Function = 4
	LogicalUnitReset Function = 5
	TargetWarmReset  Function = 6
	TargetColdReset  Function = 7
	TaskReassign     Function = 8
	// The rest are of RFC 7144 §6.3.
	QueryTask              Function = 9
	QueryTaskSet           Function = 10
	NexusReset             Function = 11 // I_T NEXUS RESET
	QueryAsynchronousEvent Function = 12
)

// NeedsLUN says whether the function acts on one logical unit, so that the LUN
// field of its request is meaningful (RFC 3720 §10.5.3, RFC 7144 §6.3.1).
func (f Function) NeedsLUN() bool {
	return f >= AbortTask && f <= LogicalUnitReset || f == QueryTask || f == QueryTaskSet || f == QueryAsynchronousEvent
}

// EndsMany says whether the function may end more than one command (RFC 7143 §4.2.3.1).
func (f Function) EndsMany() bool {
	return f == AbortTaskSet || f >= ClearTaskSet && f <= TargetColdReset
}

// Asks says whether the function only asks: it ends nothing (RFC 7144 §6.3).
func (f Function) Asks() bool {
	return f == QueryTask || f == QueryTaskSet || f == QueryAsynchronousEvent
}
