package rings

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"lunar/internal/buf"
	"lunar/reactor/uring"
)

func TestNew_ByName(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	recv, err := buf.Alloc(8 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := buf.Free(recv); err != nil {
			t.Error(err)
		}
	})
	for name, want := range map[string]string{"auto": "uring", "uring": "uring", "epoll": "epoll"} {
		r, refused, err := New(name, recv, 4<<10)
		if errors.Is(err, uring.ErrUnavailable) && name == "uring" {
			continue // as it says
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if refused != nil && name == "auto" {
			want = "epoll"
		}
		if r.Name() != want {
			t.Errorf("%s is %s, refused: %v", name, r.Name(), refused)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNew_UnknownName_NamesTheChoices(t *testing.T) {
	if _, _, err := New("iocp", nil, 0); err == nil || !strings.Contains(err.Error(), "use auto, uring or epoll") {
		t.Errorf("%v", err)
	}
}
