package block

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// node is a device as the kernel has it in sysfs.
type node struct {
	number uint64
	// dir is the directory of the device, disk that of the whole disk: another one when
	// the device is a partition.
	dir, disk string
}

// nodeOf finds a device by its number.
func nodeOf(path string, number uint64) (node, error) {
	link := "/sys/dev/block/" + majorMinor(number)
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		return node{}, fmt.Errorf("open %s: %w; mount sysfs on /sys, which tells what the device can do", path, err)
	}
	n := node{number: number, dir: dir, disk: dir}
	if n.has("partition") {
		n.disk = filepath.Dir(dir)
	}
	return n, nil
}

func majorMinor(number uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number))
}

func (n node) has(name string) bool {
	_, err := os.Stat(filepath.Join(n.dir, name))
	return err == nil
}

// there says whether the kernel still has the device.
func (n node) there() bool { return n.has("dev") }

// text is an attribute without its line end, empty when there is none.
func text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// value is an attribute that is a number, 0 when there is none or it is negative.
func value(dir, name string) int64 {
	v, err := strconv.ParseInt(text(dir, name), 10, 64)
	if err != nil || v < 0 {
		return 0
	}
	return v
}

func (n node) readOnly() bool { return value(n.dir, "ro") != 0 }

// identities are the attributes by which kinds of disks say which one they are: SCSI,
// NVMe, virtio, device mapper, MMC and loop.
var identities = []string{
	"device/wwid", "wwid", "serial", "device/serial", "dm/uuid", "device/cid", "loop/backing_file",
}

// identity is what the device says it is, and of a partition which one; empty when it says
// nothing by which another device could be told from it.
func (n node) identity() string {
	var all []string
	for _, name := range identities {
		if s := text(n.disk, name); s != "" {
			all = append(all, name+" "+s)
		}
	}
	if len(all) == 0 {
		return ""
	}
	if n.dir != n.disk {
		all = append(all, "partition "+text(n.dir, "partition"), "at sector "+text(n.dir, "start"))
	}
	return strings.Join(all, ", ")
}
