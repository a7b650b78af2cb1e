package pdu

import (
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

const (
	functionMask = 0x7f
	offRefTag    = 20
	offRefCmdSN  = 32
	offTaskData  = 36
	// offAdditional is of the response (RFC 7144 §6.4.1).
	offAdditional = 8
)

// TaskRequest is the Task Management Function Request, opcode 02h (RFC 3720
// §10.5).
type TaskRequest struct{ Request }

// AsTaskRequest views h as a Task Management Function Request.
func AsTaskRequest(h *Header) TaskRequest { return TaskRequest{Request{h}} }

// Function is what is asked.
func (p TaskRequest) Function() sam.Function { return sam.Function(p.Header[offFlags] & functionMask) }

// SetFunction writes byte 1: the function with F, which is always set.
func (p TaskRequest) SetFunction(f sam.Function) { p.Header[offFlags] = FlagFinal | byte(f) }

// ReferencedTag is the ITT of the task meant, or NoTag (§10.5.4).
func (p TaskRequest) ReferencedTag() ITT { return ITT(p.word(offRefTag)) }

// SetReferencedTag writes the referenced task tag.
func (p TaskRequest) SetReferencedTag(t ITT) { p.setWord(offRefTag, uint32(t)) }

// RefCmdSN is the CmdSN of the task meant by ABORT TASK (§10.5.5).
func (p TaskRequest) RefCmdSN() serial.CmdSN { return serial.Cmd(p.word(offRefCmdSN)) }

// SetRefCmdSN writes RefCmdSN.
func (p TaskRequest) SetRefCmdSN(n serial.CmdSN) { p.setWord(offRefCmdSN, n.Uint32()) }

// ExpDataSN is where a reassigned read goes on (§10.5.6).
func (p TaskRequest) ExpDataSN() serial.DataSN { return serial.Data(p.word(offTaskData)) }

// SetExpDataSN writes ExpDataSN.
func (p TaskRequest) SetExpDataSN(n serial.DataSN) { p.setWord(offTaskData, n.Uint32()) }

// TaskResult is the outcome of a task management function (RFC 3720 §10.6.1).
type TaskResult uint8

// Task management outcomes.
const (
	FunctionComplete         TaskResult = 0
	TaskDoesNotExist         TaskResult = 1
	LUNDoesNotExist          TaskResult = 2
	TaskStillAllegiant       TaskResult = 3
	ReassignmentNotSupported TaskResult = 4
	FunctionNotSupported     TaskResult = 5
	AuthorizationFailed      TaskResult = 6
	// FunctionSucceeded is the yes of functions that ask (RFC 7144 §6.4.2).
	FunctionSucceeded TaskResult = 7
	FunctionRejected  TaskResult = 255
)

// TaskResponse is the Task Management Function Response, opcode 22h (RFC 3720
// §10.6).
type TaskResponse struct{ Response }

// AsTaskResponse views h as a Task Management Function Response.
func AsTaskResponse(h *Header) TaskResponse { return TaskResponse{Response{h}} }

// Result is the outcome.
func (p TaskResponse) Result() TaskResult { return TaskResult(p.Header[offResponse]) }

// SetResult writes the outcome.
func (p TaskResponse) SetResult(r TaskResult) { p.Header[offResponse] = byte(r) }

// AdditionalInformation is three bytes that a function which asks may return (RFC 7144
// §6.4.1); SetAdditionalInformation writes them.
func (p TaskResponse) AdditionalInformation() (b [3]byte) {
	copy(b[:], p.Header[offAdditional:])
	return b
}

// SetAdditionalInformation is described with AdditionalInformation.
func (p TaskResponse) SetAdditionalInformation(b [3]byte) { copy(p.Header[offAdditional:], b[:]) }
