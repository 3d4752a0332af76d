package socket

import (
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Kind says what an interface is, as far as the system tells. It decides how
// fast to send: multicast in the air goes at the lowest rate.
type Kind uint8

// The kinds of interfaces.
const (
	Unknown Kind = iota
	Wired
	Wireless
	Loopback
)

func (k Kind) String() string {
	switch k {
	case Wired:
		return "wired"
	case Wireless:
		return "wireless"
	case Loopback:
		return "loopback"
	default:
		return "unknown"
	}
}

// Interface is a network interface as multicast sees it.
type Interface struct {
	Index    int
	Name     string
	Kind     Kind
	MTU      int            // bytes of an IP packet
	Prefixes []netip.Prefix // its addresses, each with its subnet, in order
	V4, V6   bool           // it can send: it has an address, under IPv6 a link-local one that is not tentative
	// Skipped says why it is not used unless it is asked for by name; empty: it is used.
	Skipped string
}

// Equal reports whether both are one interface in one state.
func (i Interface) Equal(o Interface) bool {
	return i.Index == o.Index && i.Name == o.Name && i.Kind == o.Kind && i.MTU == o.MTU &&
		i.V4 == o.V4 && i.V6 == o.V6 && i.Skipped == o.Skipped && slices.Equal(i.Prefixes, o.Prefixes)
}

// Owns reports whether the address is the interface's own.
func (i Interface) Owns(a netip.Addr) bool {
	return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

// virtualNames are those of interfaces that lead into this machine or through a
// tunnel: what is sent there reaches nobody else, or others over and over.
var virtualNames = []string{
	"docker*", "br-*", "veth*", "virbr*", "cni*", "flannel*", "cali*", "lxc*", "lxdbr*", "vmnet*", "vboxnet*",
	"tun*", "tap*", "wg*", "utun*", "tailscale*", "zt*", "ipsec*", "ppp*", "awdl*", "llw*", "bridge*", "anpi*",
	"vEthernet*",
}

// Interfaces returns all interfaces that are up, by index, with the reason why
// one is not used by itself.
func Interfaces() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	settled := linkLocals()
	var found []Interface
	for _, ifi := range all {
		if ifi.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it vanished meanwhile
		}
		found = append(found, interfaceOf(ifi, prefixesOf(addrs), settled))
	}
	slices.SortFunc(found, func(a, b Interface) int { return a.Index - b.Index })
	return found, nil
}

func interfaceOf(ifi net.Interface, prefixes []netip.Prefix, settled func(index int) bool) Interface {
	i := Interface{Index: ifi.Index, Name: ifi.Name, MTU: ifi.MTU, Prefixes: prefixes, Kind: kindOf(ifi)}
	for _, p := range prefixes {
		switch {
		case p.Addr().Is4():
			i.V4 = true
		case p.Addr().IsLinkLocalUnicast() && settled(ifi.Index):
			i.V6 = true
		}
	}
	i.Skipped = skipped(ifi, i)
	return i
}

func skipped(ifi net.Interface, i Interface) string {
	switch {
	case ifi.Flags&net.FlagLoopback != 0:
		return "loopback"
	case ifi.Flags&net.FlagMulticast == 0:
		return "without multicast"
	case ifi.Flags&net.FlagPointToPoint != 0:
		return "point to point"
	case ifi.Flags&net.FlagRunning == 0:
		return "without a carrier"
	case isVirtual(ifi.Name):
		return "virtual"
	case !i.V4 && !i.V6:
		return "without an address"
	}
	return ""
}

func isVirtual(name string) bool {
	return slices.ContainsFunc(virtualNames, func(pattern string) bool {
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
		return ok && err == nil
	})
}

func prefixesOf(addrs []net.Addr) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		addr = addr.Unmap()
		bits, _ := n.Mask.Size()
		prefixes = append(prefixes, netip.PrefixFrom(addr, min(bits, addr.BitLen())))
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return prefixes
}

// Select returns those that are to be used: all that are not skipped, or, if
// names are given, those that a name fits (path.Match: * and ?) and that have an address.
func Select(all []Interface, names []string) []Interface {
	var chosen []Interface
	for _, i := range all {
		named := slices.ContainsFunc(names, func(n string) bool {
			ok, err := path.Match(n, i.Name)
			return ok && err == nil
		})
		if named && (i.V4 || i.V6) || len(names) == 0 && i.Skipped == "" {
			chosen = append(chosen, i)
		}
	}
	return chosen
}
