package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// backlog is how many connections the kernel completes before we accept them.
// It bounds the burst when every initiator logs in again after a restart; the
// kernel lowers it to net.core.somaxconn.
const backlog = 4096

// Keepalive finds a dead peer within about two minutes even where the protocol
// above sends nothing.
const (
	keepIdleSeconds     = 60
	keepIntervalSeconds = 15
	keepProbes          = 4
)

// Listen opens a non-blocking, close-on-exec listening socket on addr, which is
// "host:port" with a numeric IPv4 or IPv6 host, empty for every address; port 0
// lets the kernel choose. What is accepted from it has the options of ConfigureStream
// already; Unpace is left to do. With reusePort several reactors may listen on the
// same address and the kernel spreads connections over them. bound is the
// address in use, as "host:port".
func Listen(addr string, reusePort bool) (fd int32, bound string, err error) {
	ap, err := parse(addr)
	if err != nil {
		return -1, "", fmt.Errorf("host: listen on %q: %w", addr, err)
	}
	s, err := listen(ap, reusePort)
	if err != nil {
		return -1, "", fmt.Errorf("host: listen on %s: %w", addr, err)
	}
	if bound, err = LocalAddr(s); err != nil {
		return -1, "", errors.Join(err, CloseFD(s))
	}
	return s, bound, nil
}

// parse reads "host:port"; an empty host is every address of both families.
func parse(addr string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port %q: want a number up to 65535", port)
	}
	ip := netip.IPv6Unspecified()
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return netip.AddrPortFrom(ip, uint16(number)), nil
}

func listen(ap netip.AddrPort, reusePort bool) (int32, error) {
	family := unix.AF_INET6
	if ap.Addr().Is4() {
		family = unix.AF_INET
	}
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := bind(s, ap, reusePort); err != nil {
		_ = unix.Close(s)
		return -1, err
	}
	return int32(s), nil
}

func bind(s int, ap netip.AddrPort, reusePort bool) error {
	// A restart must not wait for connections of the previous run to time out.
	if err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if reusePort {
		if err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fmt.Errorf("set SO_REUSEPORT: %w", err)
		}
	}
	sa, err := sockaddr(ap)
	if err != nil {
		return err
	}
	if err := unix.Bind(s, sa); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := inherited(s, ap.Addr()); err != nil {
		return err
	}
	if err := unix.Listen(s, backlog); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// inherited sets on a listener what every socket accepted from it is to have: Linux
// hands options down, so that a connection costs no system calls for them. Whoever
// comes to a loopback address comes over a short path.
func inherited(s int, at netip.Addr) error {
	if err := setStream(s); err != nil {
		return err
	}
	if at.IsLoopback() && paced(s) {
		unpace(s)
	}
	return nil
}

func sockaddr(ap netip.AddrPort) (unix.Sockaddr, error) {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if zone := ap.Addr().Zone(); zone != "" {
		link, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("zone %q: %w", zone, err)
		}
		sa.ZoneId = uint32(link.Index)
	}
	return sa, nil
}

// IsAddrInUse reports whether Listen failed because somebody else, perhaps our
// own predecessor for a few more milliseconds, holds the address.
func IsAddrInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

// ConfigureStream prepares a connected TCP socket that no listener of ours gave: the
// options of a stream, and no pacing on a short path. Buffer sizes stay with the
// kernel's own tuning.
func ConfigureStream(fd int32) error {
	if err := setStream(int(fd)); err != nil {
		return fmt.Errorf("host: socket %d: %w", fd, err)
	}
	Unpace(fd)
	return nil
}

// setStream sets what every stream has: no delay of small segments, since replies
// are gathered before they are sent, and keepalive.
func setStream(fd int) error {
	for _, o := range []struct {
		name       string
		level, opt int
		value      int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdleSeconds},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepIntervalSeconds},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepProbes},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return nil
}

const (
	// pacing begins the names of the congestion controls that spread segments over
	// time by timers: bbr, bbr2, bbr3.
	pacing = "bbr"
	// shortPathMicros is the round trip, in microseconds, up to which a path is one
	// of a machine or a storage network. Timers are as coarse as that.
	shortPathMicros = 1000
)

// Unpace takes a connection over a short path off a congestion control that paces:
// there it finds nothing to measure, and a timer for every few segments costs a third
// of the throughput of large reads (adr/0013). Where the kernel refuses, all stays as
// it is.
func Unpace(fd int32) {
	if !paced(int(fd)) {
		return
	}
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.Rtt > shortPathMicros {
		return
	}
	unpace(int(fd))
}

func paced(fd int) bool {
	name, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	return err == nil && strings.HasPrefix(name, pacing)
}

func unpace(fd int) {
	for _, other := range []string{"cubic", "reno"} {
		if unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, other) == nil {
			return
		}
	}
}

// LocalAddr is our side of fd as "host:port".
func LocalAddr(fd int32) (string, error) {
	sa, err := unix.Getsockname(int(fd))
	if err != nil {
		return "", fmt.Errorf("host: local address of socket %d: %w", fd, err)
	}
	return format(sa), nil
}

// PeerAddr is the other side of fd as "host:port", or "" when fd has none, for
// instance because the peer is already gone.
func PeerAddr(fd int32) string {
	sa, err := unix.Getpeername(int(fd))
	if err != nil {
		return ""
	}
	return format(sa)
}

// PeerIP is the address of the other side of fd, an IPv4 one as such; it is not
// valid when fd has none.
func PeerIP(fd int32) netip.Addr {
	sa, err := unix.Getpeername(int(fd))
	if err != nil {
		return netip.Addr{}
	}
	return addrPort(sa).Addr()
}

// format writes an address as the peer would; an IPv4 peer of an IPv6 socket is
// shown as IPv4.
func format(sa unix.Sockaddr) string {
	if a := addrPort(sa); a.IsValid() {
		return a.String()
	}
	return ""
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(zone(a.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}

func zone(id uint32) string {
	if link, err := net.InterfaceByIndex(int(id)); err == nil {
		return link.Name
	}
	return strconv.Itoa(int(id))
}

// CloseFD closes a descriptor that no ring has seen, or whose ring is closed.
func CloseFD(fd int32) error {
	if err := unix.Close(int(fd)); err != nil {
		return fmt.Errorf("host: close descriptor %d: %w", fd, err)
	}
	return nil
}
