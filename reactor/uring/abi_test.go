package uring

import (
	"testing"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
)

// TestABI pins what the kernel reads and writes by address.
func TestABI(t *testing.T) {
	var e sqe
	e.PrepOperation(1, 2, 3, 4, 5)
	e.SetOpFlags(6)
	e.SetUserData(7)
	e.SetBufGroup(8)
	e.SetIoprio(9)
	e.SetFlags(10)
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&e)), unsafe.Sizeof(e))
	for at, want := range map[int]byte{0: 1, 1: 10, 2: 9, 4: 2, 8: 5, 16: 3, 24: 4, 28: 6, 32: 7, 40: 8} {
		if raw[at] != want {
			t.Errorf("submission byte %d is %d, want %d", at, raw[at], want)
		}
	}
	var p abi.IOURingParams
	for name, size := range map[string][2]uintptr{
		"submission":   {unsafe.Sizeof(e), 64},
		"completion":   {unsafe.Sizeof(cqe{}), 16},
		"params":       {unsafe.Sizeof(p), 120},
		"sq offsets":   {unsafe.Offsetof(p.SQOffset), 40},
		"cq offsets":   {unsafe.Offsetof(p.CQOffset), 80},
		"msghdr":       {unsafe.Sizeof(msghdr{}), 56},
		"msghdr.iov":   {unsafe.Offsetof(msghdr{}.iov), 16},
		"wait":         {unsafe.Sizeof(geteventsArg{}), 24},
		"buffer":       {unsafe.Sizeof(bufferEntry{}), 16},
		"buffer.id":    {unsafe.Offsetof(bufferEntry{}.id), 12},
		"buffer ring":  {unsafe.Sizeof(bufferRing{}), 40},
		"probe":        {unsafe.Sizeof(probeReply{}), 16 + 256*8},
		"probe.flags":  {unsafe.Offsetof(probeOp{}.flags), 2},
		"wait.timeout": {unsafe.Offsetof(geteventsArg{}.timeout), 16},
	} {
		if size[0] != size[1] {
			t.Errorf("%s: %d, want %d", name, size[0], size[1])
		}
	}
}
