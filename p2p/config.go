package p2p

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/discovery"
)

// ConnectionsMax is the default of [Config.ConnectionsMax].
const ConnectionsMax = 192

// Config says how a node is on the network. The zero value is a node with a
// new identity on the default network.
type Config struct {
	// Host is the program's own host, or nil for a new one. Its key must be an
	// Ed25519 key in its peerstore.
	Host host.Host
	// Identity is the key of a new host; nil: a new key.
	Identity ed25519.PrivateKey
	// Listen are the multiaddresses of a new host; none: all interfaces, TCP
	// and QUIC, free ports.
	Listen []string
	// Peers are full multiaddresses (…/p2p/ID) of peers to keep connected to.
	// Several may name one peer.
	Peers []string
	// Network is the network's name, 1 to 64 bytes; empty: DefaultNetwork.
	Network string
	// NetworkKey makes the network private: 32 bytes, or none.
	NetworkKey []byte
	// Admits says which peers to have connections and links with; nil: all that
	// prove to be of the network. It is asked often and must not block; see
	// [Host.Readmit].
	Admits func(wire.PeerID) bool
	// NoMDNS leaves out discovery on the local network.
	NoMDNS bool
	// PeersFile keeps the last good peers between runs; empty: they are forgotten.
	PeersFile string
	// ConnectionsMax is the number of connections above which a new host drops
	// those that carry no link. 0: 192. Twice as many are the hard limit, and
	// one and a half times for those that others open.
	ConnectionsMax int
	Logger         *slog.Logger // nil: slog.Default()
}

// ErrConfig says that a configuration cannot be used.
var ErrConfig = errors.New("p2p: invalid configuration")

// settings are a checked Config.
type settings struct {
	Config
	static []peer.AddrInfo
	listen []ma.Multiaddr
}

// check returns the settings, or all that is wrong with the configuration.
func (c Config) check() (settings, error) {
	s := settings{Config: c}
	s.Network = cmp.Or(c.Network, DefaultNetwork)
	s.ConnectionsMax = cmp.Or(c.ConnectionsMax, ConnectionsMax)
	s.Logger = cmp.Or(c.Logger, slog.Default())
	var err error
	errs := []error{checkNetwork(s.Network, s.NetworkKey)}
	s.static, err = discovery.ParseAddrs(c.Peers...)
	errs = append(errs, err)
	for _, text := range c.Listen {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("listen address %q: %w", text, err))
			continue
		}
		s.listen = append(s.listen, addr)
	}
	if c.Host != nil && (len(c.Listen) > 0 || c.Identity != nil) {
		errs = append(errs, errors.New("a given host brings its own listen addresses and identity"))
	}
	if c.Identity != nil && len(c.Identity) != ed25519.PrivateKeySize {
		errs = append(errs, fmt.Errorf("identity of %d bytes, want %d", len(c.Identity), ed25519.PrivateKeySize))
	}
	if c.ConnectionsMax < 0 {
		errs = append(errs, fmt.Errorf("ConnectionsMax %d is negative", c.ConnectionsMax))
	}
	if err := errors.Join(errs...); err != nil {
		return settings{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return s, nil
}
