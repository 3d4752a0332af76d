package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ReceiveBufferBytes is what each socket asks for: the usual default holds 92
// datagrams of 1,200 B, fewer than a second sender's burst.
const ReceiveBufferBytes = 4 << 20

// hopLimit is what IPv6 datagrams leave with, and must still have.
const hopLimit = 255

// Conn sends to and receives from one group on one interface. One goroutine may
// read while another one writes; Close ends both.
type Conn struct {
	ifi    net.Interface
	family Family
	group  netip.AddrPort // without a zone
	to     netip.AddrPort // the group with its zone
	udp    *net.UDPConn
	raw    syscall.RawConn
	rx     reader
	tx     writer
	peek   peeker

	granted  int // bytes of the receive buffer
	prefixes atomic.Pointer[[]netip.Prefix]
	counters counters
}

// counters count since the socket was opened.
type counters struct {
	received, sent, failed atomic.Uint64
	refused                [refusals]atomic.Uint64
	overrun                atomic.Uint32
}

// Refusal is why a datagram was not handed on.
type Refusal uint8

// The refusals.
const (
	accepted  Refusal = iota
	NotGroup          // sent to another address
	Elsewhere         // came in on another interface
	OffLink           // not proven to be of this link
	TooLong           // longer than any of ours
	refusals
)

// Stats are a socket's counters, since it was opened.
type Stats struct {
	Received, Sent uint64 // datagrams
	SendFailed     uint64 // that the system did not take
	Overrun        uint64 // that the system dropped because they were not read in time, if it tells
	NotGroup       uint64 // refused: sent to another address
	Elsewhere      uint64 // refused: came in on another interface
	OffLink        uint64 // refused: not proven to be of this link
	TooLong        uint64 // refused: longer than any of ours
}

// Add adds what o counted.
func (s *Stats) Add(o Stats) {
	s.Received += o.Received
	s.Sent += o.Sent
	s.SendFailed += o.SendFailed
	s.Overrun += o.Overrun
	s.NotGroup += o.NotGroup
	s.Elsewhere += o.Elsewhere
	s.OffLink += o.OffLink
	s.TooLong += o.TooLong
}

// Open joins the group on the interface. The interface's state of now counts for
// what is on its link, until [Conn.Update].
func Open(i Interface, family Family, g Group) (*Conn, error) {
	ifi, err := net.InterfaceByIndex(i.Index)
	if err != nil {
		return nil, fmt.Errorf("socket: %s: %w", i.Name, err)
	}
	c := &Conn{ifi: *ifi, family: family, group: netip.AddrPortFrom(g.Addr[family], g.Port)}
	c.to = c.group
	if family == IPv6 {
		c.to = netip.AddrPortFrom(g.Addr[family].WithZone(ifi.Name), g.Port)
	}
	c.Update(i)
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("socket: %s on %s: %w", family, i.Name, err)
	}
	return c, nil
}

func (c *Conn) open() error {
	udp, err := listen(c)
	if err != nil {
		return err
	}
	c.udp = udp
	err = c.setUp()
	if err != nil {
		_ = udp.Close() // nothing was written to it
	}
	return err
}

// setUp joins the group, and chooses the way out.
func (c *Conn) setUp() error {
	group := &net.UDPAddr{IP: c.group.Addr().AsSlice()}
	var join, via, loop, reach error
	if c.family == IPv6 {
		p := ipv6.NewPacketConn(c.udp)
		join, via = p.JoinGroup(&c.ifi, group), p.SetMulticastInterface(&c.ifi)
		loop, reach = p.SetMulticastLoopback(true), p.SetMulticastHopLimit(hopLimit)
	} else {
		p := ipv4.NewPacketConn(c.udp)
		join, via = p.JoinGroup(&c.ifi, group), p.SetMulticastInterface(&c.ifi)
		loop, reach = p.SetMulticastLoopback(true), p.SetMulticastTTL(1)
	}
	if err := errors.Join(join, via, loop, reach, wantControl(c)); err != nil {
		return err
	}
	raw, err := c.udp.SyscallConn()
	if err != nil {
		return err
	}
	c.raw = raw
	c.granted = growBuffer(c.udp, raw)
	c.rx.init(c)
	c.tx.init(c)
	c.peek.init()
	return nil
}

// Update tells that the interface's addresses may have changed.
func (c *Conn) Update(i Interface) {
	prefixes := slices.Clone(i.Prefixes)
	c.prefixes.Store(&prefixes)
}

// Rejoin leaves the group and joins it again, so that a switch which forgot its
// members hears of this one. In between, datagrams may be lost.
func (c *Conn) Rejoin() error {
	group := &net.UDPAddr{IP: c.group.Addr().AsSlice()}
	var p interface {
		JoinGroup(*net.Interface, net.Addr) error
		LeaveGroup(*net.Interface, net.Addr) error
	} = ipv4.NewPacketConn(c.udp)
	if c.family == IPv6 {
		p = ipv6.NewPacketConn(c.udp)
	}
	return errors.Join(p.LeaveGroup(&c.ifi, group), p.JoinGroup(&c.ifi, group))
}

// Family returns the family of the addresses.
func (c *Conn) Family() Family { return c.family }

// Group returns where datagrams go, with the zone under IPv6.
func (c *Conn) Group() netip.AddrPort { return c.to }

// ReceiveBuffer returns how many bytes the system granted for datagrams that
// wait to be read; it counts more for a datagram than its length.
func (c *Conn) ReceiveBuffer() int { return c.granted }

// Close ends Read and Write.
func (c *Conn) Close() error { return c.udp.Close() }

// Stats returns the counters.
func (c *Conn) Stats() Stats {
	n := &c.counters
	return Stats{
		Received: n.received.Load(), Sent: n.sent.Load(), SendFailed: n.failed.Load(), Overrun: uint64(n.overrun.Load()),
		NotGroup: n.refused[NotGroup].Load(), Elsewhere: n.refused[Elsewhere].Load(),
		OffLink: n.refused[OffLink].Load(), TooLong: n.refused[TooLong].Load(),
	}
}

// arrival is what the system says of a datagram.
type arrival struct {
	from  netip.AddrPort
	to    netip.Addr // invalid: not told
	index int        // of the interface; 0: not told
	hops  int        // hop limit on arrival; -1: not told
	long  bool       // it did not fit
}

// judge says whether a datagram was sent to the group on this link.
func (c *Conn) judge(a *arrival) Refusal {
	switch {
	case a.long:
		return TooLong
	case a.to != c.group.Addr():
		return NotGroup
	case a.index != c.ifi.Index:
		return Elsewhere
	case c.family == IPv6 && a.hops != hopLimit, c.family == IPv4 && !c.onLink(a.from.Addr()):
		return OffLink
	}
	return accepted
}

// onLink reports whether the address is of a subnet of the interface. What comes
// in on the loopback interface is of this machine, whatever its source.
func (c *Conn) onLink(a netip.Addr) bool {
	if c.ifi.Flags&net.FlagLoopback != 0 {
		return true
	}
	for _, p := range *c.prefixes.Load() {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// admit judges a datagram, counts it, and appends it to the batch if it is in order.
func (c *Conn) admit(b *Batch, bytes []byte, a *arrival) {
	if why := c.judge(a); why != accepted {
		c.counters.refused[why].Add(1)
		return
	}
	c.counters.received.Add(1)
	b.Datagrams = append(b.Datagrams, Datagram{Bytes: bytes, From: a.from})
}
