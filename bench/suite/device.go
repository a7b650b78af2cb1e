package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lunar/bench"
)

// onDevice is the server of a unit on a block device, and contestant of its cells;
// deviceLimit is fio on the same device, and deviceFloor the floor reading it.
const onDevice, deviceLimit, deviceFloor = "lunar-block", "fio-block", "floor-block"

// deviceServer is an instance of this program's target with a block device: a loop device
// that goes past the page cache, on the disk that file units are on.
func (r *run) deviceServer(ctx context.Context) (*server, error) {
	out, err := bounded(ctx, "losetup", "--find", "--show", "--direct-io=on", r.files[onDevice]).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("make a loop device, which root may: %w: %s", err, lastLine(string(out)))
	}
	device := strings.TrimSpace(string(out))
	detach := func() {
		// Not of ctx, which may have ended.
		if err := bounded(context.Background(), "losetup", "--detach", device).Run(); err != nil {
			r.say("detach %s: %v", device, err)
		}
	}
	s, err := r.serve(ctx, daemon{name: onDevice, reactors: "0,", ring: "auto", poll: "sleep", luns: []string{"block:path=" + device}})
	if err != nil {
		detach()
		return nil, err
	}
	r.device = device
	stop := s.stop
	s.stop = func() { stop(); detach() }
	return s, nil
}

// deviceFio is fio on the device that the target serves: the target keeps mounts away, and
// not those who open a device beside it.
func (r *run) deviceFio(context.Context) (*server, error) {
	if r.device == "" {
		return nil, errors.New("there is no device: " + onDevice + " did not start")
	}
	return &server{file: r.device, stop: func() {}}, nil
}

// deviceEcho is a floor that reads the device before it answers: the limit of the device behind a
// network.
func (r *run) deviceEcho(ctx context.Context) (*server, error) {
	if r.device == "" {
		return nil, errors.New("there is no device: " + onDevice + " did not start")
	}
	c, stop, err := bench.StartFloor(ctx, bench.FloorConfig{
		Ring: "auto", Poll: "sleep", CPU: r.cfg.TargetCPU, Bytes: r.cfg.FileBytes, Device: r.device,
	})
	if err != nil {
		return nil, err
	}
	return &server{pid: c.PID, echo: c.Echo, size: r.cfg.FileBytes, stop: stop}, nil
}
