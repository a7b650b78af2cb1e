package block

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holder says who keeps the device, or a part or the whole of it, from being opened by us,
// and what to do about it; empty when that cannot be seen.
func (n node) holder() string {
	devices := n.related()
	if at := mountOf(devices); at != "" {
		return fmt.Sprintf("it is mounted on %s; unmount it (umount %s), or give this unit another device", at, at)
	}
	if path := swapOf(devices); path != "" {
		return fmt.Sprintf("it is used for swapping; stop that (swapoff %s), or give this unit another device", path)
	}
	for dir := range devices {
		entries, err := os.ReadDir(filepath.Join("/sys/dev/block", majorMinor(dir), "holders"))
		if err != nil || len(entries) == 0 {
			continue
		}
		return fmt.Sprintf("it is part of %s; stop that (dmsetup, vgchange, mdadm), or give this unit another device", entries[0].Name())
	}
	return ""
}

// related are the device, its partitions, and the disk it is a partition of.
func (n node) related() map[uint64]bool {
	all := map[uint64]bool{n.number: true}
	if n.dir != n.disk {
		all[numberIn(n.disk)] = true
	}
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return all
	}
	for _, e := range entries {
		part := filepath.Join(n.dir, e.Name())
		if text(part, "partition") != "" {
			all[numberIn(part)] = true
		}
	}
	return all
}

// numberIn is the number of the device of a directory in sysfs.
func numberIn(dir string) uint64 {
	major, minor, _ := strings.Cut(text(dir, "dev"), ":")
	a, err := strconv.ParseUint(major, 10, 32)
	if err != nil {
		return 0
	}
	b, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return 0
	}
	return unix.Mkdev(uint32(a), uint32(b))
}

// leadsTo says whether a path is one of the devices.
func leadsTo(path string, devices map[uint64]bool) bool {
	var st unix.Stat_t
	return strings.HasPrefix(path, "/") && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && devices[st.Rdev]
}

// mountOf is where one of the devices is mounted. File systems on several devices have a
// number of their own and name one device (proc_pid_mountinfo(5)).
func mountOf(devices map[uint64]bool) string {
	for fields := range lines("/proc/self/mountinfo") {
		tail := 0
		for i := range fields {
			if fields[i] == "-" {
				tail = i
			}
		}
		if len(fields) < 5 || tail == 0 || len(fields) < tail+3 {
			continue
		}
		number := false
		for d := range devices {
			number = number || fields[2] == majorMinor(d)
		}
		if number || leadsTo(unescape(fields[tail+2]), devices) {
			return unescape(fields[4])
		}
	}
	return ""
}

// swapOf is the path under which one of the devices is used for swapping.
func swapOf(devices map[uint64]bool) string {
	for fields := range lines("/proc/swaps") {
		if len(fields) > 0 && leadsTo(unescape(fields[0]), devices) {
			return unescape(fields[0])
		}
	}
	return ""
}

// lines are the words of each line of a file, none when it cannot be read.
func lines(path string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		f, err := os.Open(path)
		if err != nil {
			return
		}
		defer func() { _ = f.Close() }() // read only: nothing to lose
		for s := bufio.NewScanner(f); s.Scan(); {
			if !yield(strings.Fields(s.Text())) {
				return
			}
		}
	}
}

// unescape turns the octal escapes of these files into what they stand for.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
