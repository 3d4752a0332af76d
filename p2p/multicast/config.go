package multicast

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// ErrConfig says that a configuration cannot be used.
var ErrConfig = errors.New("multicast: invalid configuration")

// Config says who speaks to whom, and where.
type Config struct {
	// Key is the node's; it signs the beacons. Required.
	Key ed25519.PrivateKey
	// Network is the network's name. Required. With NetworkKey, it chooses the
	// group that datagrams are sent to, which networks may share by chance.
	Network string
	// NetworkKey is the network's key, from which the group's key comes; nil: none.
	NetworkKey []byte
	// Open makes a network without a key use one that comes from its name: then
	// what is sent is authentic, for it is signed, and anybody can read it.
	Open bool
	// Interfaces are names, with * and ? as in path.Match. None: all that are not
	// virtual, loopback, point to point or without an address.
	Interfaces []string
	// Rates limit what is sent on each segment. Zero: by what the interface is,
	// segment.RatesOf, for multicast in the air takes far more of it than on a wire.
	Rates segment.Rates
	// Admit says whether a peer may be a member; nil admits everybody who holds
	// the group's key. It is called from several goroutines and must not block; see
	// [Carrier.Readmit].
	Admit func(wire.PeerID) bool
	// Addrs are where this node listens for streams, which its beacons tell; see
	// also Carrier.SetAddrs.
	Addrs  []ma.Multiaddr
	Logger *slog.Logger // nil: slog.Default()
}

// check returns all that is wrong with the configuration.
func (c *Config) check() error {
	var errs []error
	if len(c.Key) != ed25519.PrivateKeySize {
		errs = append(errs, fmt.Errorf("key of %d bytes, want %d", len(c.Key), ed25519.PrivateKeySize))
	}
	if err := wire.ValidNetwork(c.Network); err != nil {
		errs = append(errs, err)
	}
	if c.Open && len(c.NetworkKey) > 0 {
		errs = append(errs, errors.New("a network with a key is not open"))
	}
	if r := c.Rates; r != (segment.Rates{}) && (r.Start <= 0 || r.Max < r.Start) {
		errs = append(errs, fmt.Errorf("rates from %d to %d bit/s", r.Start, r.Max))
	}
	for _, pattern := range c.Interfaces {
		if _, err := path.Match(pattern, ""); err != nil {
			errs = append(errs, fmt.Errorf("interface %q: %w", pattern, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// roots returns the keys that the configuration gives: one or none.
func (c *Config) roots() []datagram.Root {
	switch {
	case len(c.NetworkKey) > 0:
		return []datagram.Root{datagram.RootOf(c.Network, c.NetworkKey)}
	case c.Open:
		return []datagram.Root{datagram.OpenRootOf(c.Network)}
	}
	return nil
}

// group returns where the network's datagrams go. It does not follow from the
// group's key, which may change.
func (c *Config) group() socket.Group {
	seed, err := hkdf.Key(sha256.New, c.NetworkKey, []byte(c.Network), "busnode 1 multicast group", 16)
	if err != nil {
		panic(err) // only for a length above 255 hashes
	}
	return socket.GroupOf([16]byte(seed))
}
