//go:build unix && !linux

package socket

import (
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const controlBytes = 128

// errLong does not occur here: a datagram that does not fit is cut off silently.
const errLong = unix.EMSGSIZE

// wantControl asks for each datagram's destination, interface and hop limit.
func wantControl(c *Conn) error {
	if c.family == IPv6 {
		p := ipv6.NewPacketConn(c.udp)
		return p.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface|ipv6.FlagHopLimit, true)
	}
	return ipv4.NewPacketConn(c.udp).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
}

// parseControl reads what the system says of a datagram. Control messages that
// it cannot read leave what they would tell untold, and the datagram is refused.
func parseControl(family Family, control []byte, a *arrival) {
	if family == IPv6 {
		var m ipv6.ControlMessage
		if m.Parse(control) == nil {
			a.to, _ = netip.AddrFromSlice(m.Dst)
			a.index, a.hops = m.IfIndex, m.HopLimit
		}
		return
	}
	var m ipv4.ControlMessage
	if m.Parse(control) == nil {
		a.to, _ = netip.AddrFromSlice(m.Dst.To4())
		a.index = m.IfIndex
	}
}
