package ringtest

import (
	"bytes"
	"syscall"

	"lunar/reactor"
)

var fileCases = []testCase{
	{name: "ReadAndWrite", run: readAndWrite},
	{name: "ReadEndsAtTheEnd", run: readEnds},
	{name: "SyncAndDurableWrite", run: syncAndDurable},
	{name: "DiscardAndZero", run: discardAndZero},
	{name: "AsyncDoesTheSame", run: asyncDoesTheSame},
	{name: "ManyAtOnce", run: manyAtOnce},
	{name: "BadDescriptorIsAnError", run: badDescriptor},
}

const fileBytes = 64 << 10

func readAndWrite(r *rig) {
	want := pattern(fileBytes)
	fd := r.File(r, want)
	data := memory(r, 8192)
	if c := r.do(reactor.Op{Code: reactor.Read, FD: fd, Offset: 4096, Data: data}); c.Result != 8192 || c.Buffer != reactor.NoBuffer {
		r.Errorf("read: %+v", c)
	}
	if !bytes.Equal(data, want[4096:12288]) {
		r.Error("read something else")
	}
	if c := r.do(reactor.Op{Code: reactor.Write, FD: fd, Offset: 20000, Data: data}); c.Result != 8192 {
		r.Errorf("write: %+v", c)
	}
	copy(want[20000:], data)
	if !bytes.Equal(r.Content(r, fd), want) {
		r.Error("wrote something else")
	}
	r.finish(fd)
}

func readEnds(r *rig) {
	want := pattern(5000)
	fd := r.File(r, want)
	data := memory(r, 4096)
	if c := r.do(reactor.Op{Code: reactor.Read, FD: fd, Offset: 4096, Data: data}); c.Result != 904 || !bytes.Equal(data[:904], want[4096:]) {
		r.Errorf("across the end: %+v", c)
	}
	if c := r.do(reactor.Op{Code: reactor.Read, FD: fd, Offset: 8192, Data: data}); c.Result != 0 {
		r.Errorf("behind the end: %+v", c)
	}
	r.finish(fd)
}

func syncAndDurable(r *rig) {
	fd := r.File(r, make([]byte, fileBytes))
	data := memory(r, 4096)
	copy(data, "durable")
	if c := r.do(reactor.Op{Code: reactor.Write, FD: fd, Data: data, Flags: reactor.DSync}); c.Result != 4096 {
		r.Errorf("durable write: %+v", c)
	}
	if c := r.do(reactor.Op{Code: reactor.Sync, FD: fd}); c.Result != 0 {
		r.Errorf("sync: %+v", c)
	}
	if !bytes.HasPrefix(r.Content(r, fd), []byte("durable")) {
		r.Error("the write is not there")
	}
	r.finish(fd)
}

func discardAndZero(r *rig) {
	want := pattern(fileBytes)
	fd := r.File(r, want)
	if c := r.do(reactor.Op{Code: reactor.Discard, FD: fd, Offset: 8192, Length: 4096}); c.Result != 0 {
		r.Errorf("discard: %+v", c)
	}
	clear(want[8192:12288])
	// Behind the end nothing changes: the file keeps its size.
	if c := r.do(reactor.Op{Code: reactor.Discard, FD: fd, Offset: fileBytes, Length: 4096}); c.Result != 0 {
		r.Errorf("discard behind the end: %+v", c)
	}
	switch c := r.do(reactor.Op{Code: reactor.Zero, FD: fd, Offset: 16384, Length: 8192}); c.Result {
	case 0:
		clear(want[16384:24576])
	case -int32(syscall.EOPNOTSUPP):
		r.Log("this file system cannot zero a range; the owner writes zeros instead")
	default:
		r.Errorf("zero: %+v", c)
	}
	if !bytes.Equal(r.Content(r, fd), want) {
		r.Error("the wrong ranges are zero")
	}
	r.finish(fd)
}

func asyncDoesTheSame(r *rig) {
	fd := r.File(r, make([]byte, fileBytes))
	out, in := memory(r, 4096), memory(r, 4096)
	copy(out, "asynchronous")
	for _, op := range []reactor.Op{
		{Code: reactor.Write, Data: out}, {Code: reactor.Sync}, {Code: reactor.Read, Data: in},
	} {
		op.FD, op.Flags = fd, reactor.Async
		if c := r.do(op); c.Result != int32(len(op.Data)) {
			r.Errorf("operation %d: %+v", op.Code, c)
		}
	}
	if !bytes.Equal(in, out) {
		r.Error("read something else than was written")
	}
	r.finish(fd)
}

// manyAtOnce starts far more operations in one turn than a ring of the suite
// has entries.
func manyAtOnce(r *rig) {
	const count, each = 2000, 16
	want := pattern(count * each)
	fd := r.File(r, want)
	data := memory(r, count*each)
	tokens := make([]reactor.Token, count)
	for i := range tokens {
		tokens[i] = r.submit(reactor.Op{Code: reactor.Read, FD: fd, Offset: int64(i * each), Data: data[i*each : (i+1)*each]})
	}
	for i, token := range tokens {
		if c := r.last(token); c.Result != each {
			r.Fatalf("read %d: %+v", i, c)
		}
	}
	if !bytes.Equal(data, want) {
		r.Error("read something else")
	}
	r.finish(fd)
}

func badDescriptor(r *rig) {
	data := memory(r, 16)
	const none = 1 << 15
	for _, op := range []reactor.Op{
		{Code: reactor.Read, Data: data},
		{Code: reactor.Write, Data: data},
		{Code: reactor.Sync},
		{Code: reactor.Recv},
		{Code: reactor.Recv, Data: data},
		{Code: reactor.Send},
		{Code: reactor.Accept},
		{Code: reactor.Shutdown},
		{Code: reactor.Close},
		{Code: reactor.Discard, Length: 16},
		{Code: reactor.Zero, Length: 16},
	} {
		op.FD = none
		if c := r.do(op); c.Result != -int32(syscall.EBADF) || c.Buffer != reactor.NoBuffer {
			r.Errorf("operation %d: %+v, want EBADF", op.Code, c)
		}
	}
	r.finish()
}
