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
)

// NeedsLUN says whether the function acts on one logical unit, so that the LUN
// field of its request is meaningful (RFC 3720 §10.5.3).
func (f Function) NeedsLUN() bool { return f >= AbortTask && f <= LogicalUnitReset }
