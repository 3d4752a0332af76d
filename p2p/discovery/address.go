package discovery

import (
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// ErrAddress says that an address cannot be dialled as a peer's.
var ErrAddress = errors.New("discovery: invalid peer address")

// ParseAddrs returns the peers that the addresses name, in order; several may
// name one. Each must end in /p2p/ID: without it anybody could answer there.
// All that are wrong are reported, in errors that wrap [ErrAddress].
func ParseAddrs(addrs ...string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	var errs []error
	for _, text := range addrs {
		info, err := parseAddr(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i := slices.IndexFunc(infos, func(other peer.AddrInfo) bool { return other.ID == info.ID })
		if i < 0 {
			infos = append(infos, info)
			continue
		}
		infos[i].Addrs = mergeAddrs(infos[i].Addrs, info.Addrs)
	}
	return infos, errors.Join(errs...)
}

func parseAddr(text string) (peer.AddrInfo, error) {
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("%w: %q: %w", ErrAddress, text, err)
	}
	transport, id := peer.SplitAddr(addr)
	switch {
	case id == "":
		return peer.AddrInfo{}, fmt.Errorf("%w: %q does not end in /p2p/ID, so anybody could answer there", ErrAddress, text)
	case len(transport) == 0:
		return peer.AddrInfo{}, fmt.Errorf("%w: %q names a peer but no place", ErrAddress, text)
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}}, nil
}

// mergeAddrs returns first and then those of more that it lacks, addrsMax at most.
func mergeAddrs(first, more []ma.Multiaddr) []ma.Multiaddr {
	merged := slices.Clip(first)
	for _, addr := range more {
		if len(merged) >= addrsMax {
			break
		}
		if !slices.ContainsFunc(merged, addr.Equal) {
			merged = append(merged, addr)
		}
	}
	return merged
}
