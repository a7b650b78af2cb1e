//go:build system

package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bootSays is what the boot sector of bootSector prints.
const bootSays = "booted from the unit"

// bootSector is a master boot record that prints with the BIOS and halts.
func bootSector() []byte {
	code := []byte{
		0x31, 0xc0, 0x8e, 0xd8, // xor ax, ax; mov ds, ax
		0xbe, 0, 0, // mov si, text
		0xac, 0x08, 0xc0, 0x74, 0x09, // next: lodsb; or al, al; jz end
		0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, 0xeb, 0xf2, // mov ah, 0eh; mov bx, 7; int 10h; jmp next
		0xf4, 0xeb, 0xfd, // end: hlt; jmp end
	}
	code[5], code[6] = byte(len(code)), 0x7c // behind the code, which is loaded at 7c00h
	sector := append(code, "\r\n"+bootSays+"\r\n\x00"...)
	sector = append(sector, make([]byte, 510-len(sector))...)
	return append(sector, 0x55, 0xaa)
}

// TestIPXE_BootsFromAUnit hooks a unit with iPXE, first without CHAP and then with
// mutual CHAP, and boots the sector that lies there.
func TestIPXE_BootsFromAUnit(t *testing.T) {
	d := chapDaemon(t)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run(t, "qemu-io", "-f", "raw", "-c", "write -s "+file("sector", bootSector())+" 0 512", d.chapURL("/iqn.2026-11.lunar:open/0", "", "", "", ""))
	_, port, _ := strings.Cut(d.portal, ":")
	// The host is 10.0.2.2 to a guest with a user network.
	script := fmt.Sprintf(`#!ipxe
dhcp || goto failed
set initiator-iqn iqn.2026-11.lunar:ipxe
sanhook --drive 0x80 iscsi:10.0.2.2::%[1]s:0:iqn.2026-11.lunar:open || goto failed
echo hooked without CHAP
sanunhook --drive 0x80
set username host
set password %[2]s
set reverse-username lunar
set reverse-password %[3]s
sanhook --drive 0x80 iscsi:10.0.2.2::%[1]s:0:iqn.2026-11.lunar:mutual || goto failed
echo hooked with CHAP
sanboot --no-describe --keep --drive 0x80
:failed
echo failed
`, port, hostSecret, lunarSecret)
	says := boot(t, file("script", []byte(script)), filepath.Join(dir, "console"))
	for _, want := range []string{"hooked without CHAP", "hooked with CHAP", bootSays} {
		if !strings.Contains(says, want) {
			t.Errorf("the console does not say %q:\n%s", want, says)
		}
	}
	for end := time.Now().Add(5 * time.Second); strings.Count(d.log.String(), "initiator=iqn.2026-11.lunar:ipxe") == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no session of iPXE in the log:\n%s", d.log)
		}
	}
	if strings.Contains(d.log.String(), "login refused") {
		t.Errorf("a login was refused:\n%s", d.log)
	}
}

// boot runs a script with iPXE in a machine without disks until its console, which is
// written to a file, says how it ended.
func boot(t *testing.T, script, console string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	vm := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-machine", "pc,graphics=off", "-m", "128",
		"-display", "none", "-nodefaults", "-no-reboot", "-serial", "file:"+console,
		"-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile=",
		"-kernel", "/usr/lib/ipxe/ipxe.lkrn", "-initrd", script)
	var errors strings.Builder
	vm.Stderr = &errors
	if err := vm.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = vm.Wait() // it is killed: what counts is what it said
	}()
	for ctx.Err() == nil {
		b, _ := os.ReadFile(console)
		if s := string(b); strings.Contains(s, bootSays) || strings.Contains(s, "\nfailed") {
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	b, _ := os.ReadFile(console)
	return string(b) + errors.String()
}
