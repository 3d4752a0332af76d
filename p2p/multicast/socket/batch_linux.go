package socket

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	readMax  = 16 // messages that one system call receives
	writeMax = 64 // datagrams that one system call sends
	// messageBytes is the largest message: datagrams of one source and length that
	// came in a row are received as one (UDP_GRO).
	messageBytes = 1 << 16
	// controlBytes holds the control messages that wantControl asked for, the
	// largest of which is IPv6's packet information.
	controlBytes = 128
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// space is a batch's memory: what the kernel writes to. Of the buffers, the pages
// that are never written to cost nothing.
type space struct {
	ready    bool
	messages [readMax]mmsghdr
	vectors  [readMax]unix.Iovec
	sources  [readMax]unix.RawSockaddrInet6 // has room for IPv4's
	controls [readMax][controlBytes]byte
	buffers  [readMax][messageBytes]byte
}

// prepare points the headers at the memory; the kernel overwrites their lengths.
func (s *space) prepare() {
	for i := range s.messages {
		h := &s.messages[i].header
		if !s.ready {
			s.vectors[i].Base = &s.buffers[i][0]
			s.vectors[i].SetLen(len(s.buffers[i]))
			h.Iov = &s.vectors[i]
			h.SetIovlen(1)
			h.Name = (*byte)(unsafe.Pointer(&s.sources[i]))
			h.Control = &s.controls[i][0]
		}
		h.Namelen = uint32(unsafe.Sizeof(s.sources[i]))
		h.SetControllen(controlBytes)
		h.Flags = 0
	}
	s.ready = true
}

// reader has the state of a Read, so that its callback is made once.
type reader struct {
	batch *Batch
	n     int
	errno syscall.Errno
	call  func(fd uintptr) bool
}

func (r *reader) init(c *Conn) {
	r.call = func(fd uintptr) bool {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.batch.messages[0])), readMax, unix.MSG_DONTWAIT, 0, 0)
		r.n, r.errno = int(n), errno
		return errno != unix.EAGAIN && errno != unix.EINTR
	}
	// Control fails on a closed socket alone; before 5.0 there is no such option.
	_ = c.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) })
}

func (r *reader) read(c *Conn, b *Batch) error {
	b.prepare()
	r.batch, r.n, r.errno = b, 0, 0
	err := c.raw.Read(r.call)
	r.batch = nil
	if err != nil {
		return err
	}
	if r.errno != 0 {
		return os.NewSyscallError("recvmmsg", r.errno)
	}
	for i := range r.n {
		m := &b.messages[i]
		a, each := c.parse(&b.sources[i], b.controls[i][:m.header.Controllen])
		bytes := b.buffers[i][:m.length]
		if each <= 0 {
			each = len(bytes)
		}
		a.long = m.header.Flags&unix.MSG_TRUNC != 0 || each > DatagramMaxBytes
		for len(bytes) > 0 {
			n := min(each, len(bytes))
			c.admit(b, bytes[:n:n], &a)
			bytes = bytes[n:]
		}
	}
	return nil
}

// parse reads what the kernel says of a message, and how long the datagrams
// are that it consists of; 0: it is one.
func (c *Conn) parse(source *unix.RawSockaddrInet6, control []byte) (a arrival, each int) {
	a = arrival{from: addrPort(source), hops: -1}
	for len(control) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		control = rest
		switch {
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 20:
			a.to = netip.AddrFrom16([16]byte(data))
			a.index = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= 12:
			a.index = int(binary.NativeEndian.Uint32(data))
			a.to = netip.AddrFrom4([4]byte(data[8:])) // the header's destination, not the local address
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4,
			h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL && len(data) >= 4:
			a.hops = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			each = int(int32(binary.NativeEndian.Uint32(data)))
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			c.counters.overrun.Store(binary.NativeEndian.Uint32(data))
		}
	}
	return a, each
}

func addrPort(s *unix.RawSockaddrInet6) netip.AddrPort {
	switch s.Family {
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr), networkOrder(&s.Port))
	case unix.AF_INET:
		s4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		return netip.AddrPortFrom(netip.AddrFrom4(s4.Addr), networkOrder(&s4.Port))
	}
	return netip.AddrPort{}
}

// networkOrder reads a port of a socket address, which is big endian in memory.
func networkOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// peeker has the state of Unread, so that its callback is made once.
type peeker struct {
	length int // of the first message that waits
	call   func(fd uintptr)
}

func (p *peeker) init() {
	p.call = func(fd uintptr) { p.length, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) } // 0 if it fails
}

func (p *peeker) unread(c *Conn) bool {
	p.length = 0
	_ = c.raw.Control(p.call) // fails on a closed socket alone, in which nothing waits
	return p.length > 0
}

// segmentControl is the control message that tells the kernel to cut a message
// into datagrams of a length (UDP_SEGMENT).
type segmentControl struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte // the next header's alignment
}

// writer has the state and the headers of a Write.
type writer struct {
	group    unix.RawSockaddrInet6
	messages [writeMax]mmsghdr
	vectors  [writeMax]unix.Iovec
	controls [writeMax]segmentControl
	counts   [writeMax]int // datagrams of each message
	count, n int           // messages to send, and sent
	errno    syscall.Errno
	call     func(fd uintptr) bool
	whole    bool // the kernel cuts no messages for us
}

func (w *writer) init(c *Conn) {
	length := uint32(unsafe.Sizeof(w.group))
	port := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, c.group.Port()))
	if c.family == IPv6 {
		w.group = unix.RawSockaddrInet6{
			Family: unix.AF_INET6, Port: port, Addr: c.group.Addr().As16(), Scope_id: uint32(c.ifi.Index),
		}
	} else {
		s4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&w.group))
		*s4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: c.group.Addr().As4()}
		length = uint32(unsafe.Sizeof(*s4))
	}
	for i := range w.messages {
		h := &w.messages[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&w.group)), length
		w.controls[i].header = unix.Cmsghdr{Level: unix.SOL_UDP, Type: unix.UDP_SEGMENT}
		w.controls[i].header.SetLen(unix.CmsgLen(2))
	}
	w.call = func(fd uintptr) bool {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&w.messages[0])), uintptr(w.count), unix.MSG_DONTWAIT, 0, 0)
		w.n, w.errno = int(n), errno
		return errno != unix.EAGAIN && errno != unix.EINTR
	}
}

// write sends as many of the first datagrams as the kernel takes at once, up to
// burst of them in a message; an error is that of the one behind them.
func (w *writer) write(c *Conn, datagrams [][]byte, burst int) (sent int, err error) {
	if w.whole {
		burst = 1
	}
	w.gather(datagrams[:min(len(datagrams), writeMax)], burst)
	w.n, w.errno = 0, 0
	err = c.raw.Write(w.call)
	clear(w.vectors[:])
	switch {
	case err != nil:
		return 0, err
	case w.errno != 0 && w.counts[0] > 1 && cannotSegment(w.errno):
		w.whole = true
		return 0, nil
	case w.errno != 0:
		return 0, os.NewSyscallError("sendmmsg", w.errno)
	}
	for _, n := range w.counts[:w.n] {
		sent += n
	}
	return sent, nil
}

// cannotSegment reports whether the error may mean that the kernel, or the
// interface's driver, does not cut messages.
func cannotSegment(errno syscall.Errno) bool {
	return errors.Is(errno, unix.EIO) || errors.Is(errno, unix.EINVAL) || errors.Is(errno, unix.ENOPROTOOPT) ||
		errors.Is(errno, unix.EMSGSIZE)
}

// gather makes messages of datagrams in a row that are of one length; the last
// of a message may be shorter.
func (w *writer) gather(datagrams [][]byte, burst int) {
	w.count = 0
	for at := 0; at < len(datagrams); w.count++ {
		size, n := len(datagrams[at]), 1
		for n < burst && at+n < len(datagrams) && len(datagrams[at+n-1]) == size && len(datagrams[at+n]) <= size {
			n++
		}
		for i, d := range datagrams[at : at+n] {
			w.vectors[at+i].Base = &d[0]
			w.vectors[at+i].SetLen(len(d))
		}
		h := &w.messages[w.count].header
		h.Iov = &w.vectors[at]
		h.SetIovlen(n)
		h.Control = nil
		h.SetControllen(0)
		if n > 1 {
			control := &w.controls[w.count]
			control.size = uint16(size)
			h.Control = (*byte)(unsafe.Pointer(control))
			h.SetControllen(int(unsafe.Sizeof(*control)))
		}
		w.counts[w.count] = n
		at += n
	}
}
