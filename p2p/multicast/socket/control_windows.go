package socket

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

const controlBytes = 256

const errLong = windows.WSAEMSGSIZE

// Options of ws2ipdef.h, and the types of the control messages that they bring.
const (
	ipPacketInfo = 19 // IP_PKTINFO and IPV6_PKTINFO
	ipv6HopLimit = 21 // IPV6_HOPLIMIT
)

// wantControl asks for each datagram's destination, interface and hop limit.
func wantControl(c *Conn) error {
	level, options := windows.IPPROTO_IP, []int{ipPacketInfo}
	if c.family == IPv6 {
		level, options = windows.IPPROTO_IPV6, []int{ipPacketInfo, ipv6HopLimit}
	}
	raw, err := c.udp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for _, o := range options {
			set := windows.SetsockoptInt(windows.Handle(fd), level, o, 1)
			failed = errors.Join(failed, os.NewSyscallError("setsockopt", set))
		}
	})
	return errors.Join(err, failed)
}

// header is WSACMSGHDR of ws2def.h; data and the next header are aligned to a word.
type header struct {
	length uintptr // with the header
	level  int32
	kind   int32
}

const word = unsafe.Sizeof(uintptr(0))

// parseControl reads what the system says of a datagram. Control messages that
// it cannot read leave what they would tell untold, and the datagram is refused.
func parseControl(family Family, control []byte, a *arrival) {
	for uintptr(len(control)) >= unsafe.Sizeof(header{}) {
		h := (*header)(unsafe.Pointer(unsafe.SliceData(control)))
		if h.length < unsafe.Sizeof(*h) || h.length > uintptr(len(control)) {
			return
		}
		data := control[unsafe.Sizeof(*h):h.length]
		switch {
		case family == IPv6 && h.level == windows.IPPROTO_IPV6 && h.kind == ipPacketInfo && len(data) >= 20:
			a.to = netip.AddrFrom16([16]byte(data))
			a.index = int(binary.NativeEndian.Uint32(data[16:]))
		case family == IPv4 && h.level == windows.IPPROTO_IP && h.kind == ipPacketInfo && len(data) >= 8:
			a.to = netip.AddrFrom4([4]byte(data))
			a.index = int(binary.NativeEndian.Uint32(data[4:]))
		case family == IPv6 && h.level == windows.IPPROTO_IPV6 && h.kind == ipv6HopLimit && len(data) >= 4:
			a.hops = int(binary.NativeEndian.Uint32(data))
		}
		control = control[min(uintptr(len(control)), (h.length+word-1)&^(word-1)):]
	}
}
