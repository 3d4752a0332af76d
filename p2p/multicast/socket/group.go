package socket

import (
	"encoding/binary"
	"net/netip"
)

// Port is the UDP port of all groups, one for the sake of firewalls.
const Port = 47474

// Family is a family of addresses.
type Family uint8

// The families, the preferred one first: no subnet and no reverse path filter
// stands in the way of IPv6's link-local addresses.
const (
	IPv6 Family = iota
	IPv4
	Families = 2
)

func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// Group is where a network's datagrams go on each link.
type Group struct {
	Addr [Families]netip.Addr // by Family, without a zone
	Port uint16
}

// GroupOf returns the group that a network's seed chooses: a transient group of
// the link under IPv6 (ff12::/16, with an identifier above 2^31 as RFC 3307 wants
// it), one of the local scope under IPv4 (239.255.0.0/16, RFC 2365). Two networks
// may share one by chance; their keys tell them apart.
func GroupOf(seed [16]byte) Group {
	v6 := [16]byte{0: 0xff, 1: 0x12}
	copy(v6[8:], seed[:8])
	v6[12] |= 0x80
	// The last 256 addresses and those that end in 0 and 255 have other uses (SSDP).
	n := binary.BigEndian.Uint32(seed[8:])
	v4 := [4]byte{239, 255, byte(n / 254 % 254), byte(1 + n%254)}
	return Group{Addr: [Families]netip.Addr{IPv6: netip.AddrFrom16(v6), IPv4: netip.AddrFrom4(v4)}, Port: Port}
}
