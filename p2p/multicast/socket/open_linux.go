package socket

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ipv6MulticastAll is IPV6_MULTICAST_ALL (linux/in6.h), Linux 4.20 and later.
const ipv6MulticastAll = 29

// listen returns a socket that is bound to the group's address, under IPv6 on the
// interface alone. The net package would bind it to the wildcard address.
func listen(c *Conn) (*net.UDPConn, error) {
	domain := unix.AF_INET
	var bind unix.Sockaddr = &unix.SockaddrInet4{Port: int(c.group.Port()), Addr: as4(c)}
	if c.family == IPv6 {
		domain = unix.AF_INET6
		bind = &unix.SockaddrInet6{
			Port: int(c.group.Port()), Addr: c.group.Addr().As16(), ZoneId: uint32(c.ifi.Index),
		}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "udp")
	defer func() { _ = file.Close() }() // the connection has a duplicate
	if err := errors.Join(
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)),
		restrict(fd, c.family),
		os.NewSyscallError("bind", unix.Bind(fd, bind)),
	); err != nil {
		return nil, err
	}
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

func as4(c *Conn) (a [4]byte) {
	if c.family == IPv4 {
		a = c.group.Addr().As4()
	}
	return a
}

// restrict makes the socket hear what it joined itself, not what others did.
func restrict(fd int, family Family) error {
	if family == IPv4 {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0))
	}
	v6only := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	// Before 4.20 there is no such option; the binding and the checks do the same.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, ipv6MulticastAll, 0)
	return os.NewSyscallError("setsockopt", v6only)
}

// wantControl asks for each datagram's destination, interface, hop limit and for
// the number of those that were dropped before it.
func wantControl(c *Conn) error {
	raw, err := c.udp.SyscallConn()
	if err != nil {
		return err
	}
	level, options := unix.IPPROTO_IP, []int{unix.IP_PKTINFO, unix.IP_RECVTTL}
	if c.family == IPv6 {
		level, options = unix.IPPROTO_IPV6, []int{unix.IPV6_RECVPKTINFO, unix.IPV6_RECVHOPLIMIT}
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for _, o := range options {
			failed = errors.Join(failed, os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), level, o, 1)))
		}
		// Without it overruns are not counted.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	})
	return errors.Join(err, failed)
}

// growBuffer asks for a large receive buffer, above the system's limit if the
// process may, and returns what it got.
func growBuffer(udp *net.UDPConn, raw syscall.RawConn) (granted int) {
	_ = udp.SetReadBuffer(ReceiveBufferBytes) // what it got is looked at
	// Control fails on a closed socket alone.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ReceiveBufferBytes) // likewise
		got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		if err == nil {
			granted = got / 2 // the kernel doubles it for its own book-keeping
		}
	})
	return granted
}
