package fake

import (
	"slices"
	"syscall"

	"lunar/reactor"
)

// file is a regular file: it grows when written behind its end.
type file struct{ bytes []byte }

// diskOp is a file operation that completes when its time has come.
type diskOp struct {
	op reactor.Op
	at int64
}

// OpenFile opens a new file of size bytes, all of them zero.
func (r *Ring) OpenFile(size int64) (fd int32) {
	return r.open(object{file: &file{make([]byte, size)}})
}

// FileBytes is the content of a file itself, valid until it grows; nil when fd
// is no file.
func (r *Ring) FileBytes(fd int32) []byte {
	if f := r.at(fd).file; f != nil {
		return f.bytes
	}
	return nil
}

// startDisk puts op in the order of completion; those with the same time keep
// the order of submission.
func (r *Ring) startDisk(op *reactor.Op) {
	d := diskOp{op: *op, at: r.now}
	if r.Delay != nil {
		d.at += r.Delay(*op)
	}
	i := len(r.disk)
	for i > 0 && r.disk[i-1].at > d.at {
		i--
	}
	r.disk = slices.Insert(r.disk, i, d)
}

// runDisk completes what is due.
func (r *Ring) runDisk() {
	due := 0
	for ; due < len(r.disk) && r.disk[due].at <= r.now; due++ {
		op := &r.disk[due].op
		result := r.wrongKind(op.FD)
		if f := r.at(op.FD).file; f != nil {
			result = f.do(op)
		}
		r.report(op.Token, result)
	}
	if due > 0 {
		r.disk = slices.Delete(r.disk, 0, due)
	}
}

func (f *file) do(op *reactor.Op) int32 {
	if op.Offset < 0 || op.Length < 0 {
		return -int32(syscall.EINVAL)
	}
	switch op.Code {
	case reactor.Read:
		if op.Offset >= int64(len(f.bytes)) {
			return 0
		}
		return int32(copy(op.Data, f.bytes[op.Offset:]))
	case reactor.Write:
		if end := op.Offset + int64(len(op.Data)); end > int64(len(f.bytes)) {
			f.bytes = append(f.bytes, make([]byte, end-int64(len(f.bytes)))...)
		}
		return int32(copy(f.bytes[op.Offset:], op.Data))
	case reactor.Discard, reactor.Zero:
		size := int64(len(f.bytes))
		clear(f.bytes[min(op.Offset, size):min(op.Offset+op.Length, size)])
	default:
		// Sync: memory is as durable as it gets.
	}
	return 0
}
