package bus

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// Option configures [Open], which reports all that are wrong at once. The
// errors wrap [ErrConfig].
type Option func(*options) error

// DefaultNetwork is the network that a node is of without [WithNetwork].
const DefaultNetwork = "busnode"

type options struct {
	dataDir    string
	network    string
	networkKey []byte
	host       host.Host
	listen     []string
	peers      []string
	noMDNS     bool
	forward    []string
	log        LogConfig
	gossip     gossip.Config
	multicast  multicastOptions
	allowed    []wire.PeerID // nil: all
	logger     *slog.Logger
	key        ed25519.PrivateKey
	carriers   []carrier.Carrier
}

// newOptions applies opts to the defaults and checks what they say together.
func newOptions(opts []Option) (*options, error) {
	o := &options{
		network: DefaultNetwork,
		gossip:  gossip.DefaultConfig(),
		logger:  slog.Default(),
	}
	var errs []error
	for _, opt := range opts {
		errs = append(errs, opt(o))
	}
	o.log.EventMaxBytes = cmp.Or(o.log.EventMaxBytes, wire.EventMaxBytes)
	o.settleMode()
	errs = append(errs, o.together()...)
	return o, errors.Join(errs...)
}

// together checks options against each other.
func (o *options) together() (errs []error) {
	conflict := func(given bool, what string) {
		if given {
			errs = append(errs, configError("%s", what))
		}
	}
	own := len(o.listen) > 0
	conflict(o.host != nil && own, "WithListen needs a host of the bus's own, not WithHost")
	conflict(o.host != nil && o.key != nil, "WithIdentity and WithHost: the host brings its own identity")
	if len(o.carriers) > 0 {
		conflict(o.host != nil, "WithHost and WithCarrier exclude each other")
		conflict(own, "WithListen and WithCarrier exclude each other")
		conflict(len(o.peers) > 0, "WithPeers and WithCarrier exclude each other")
		conflict(o.networkKey != nil, "WithNetworkKey and WithCarrier exclude each other")
		conflict(o.multicast.open || len(o.multicast.interfaces) > 0,
			"WithMulticast's options and WithCarrier exclude each other")
		conflict(o.allowed != nil, "WithAllowedPeers and WithCarrier exclude each other")
	}
	conflict(o.networkKey != nil && o.multicast.open,
		"MulticastOpen and WithNetworkKey: the network's key is the key of multicast too")
	errs = append(errs, o.peersAllowed()...)
	return errs
}

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
}

// WithDataDir keeps the log, the identity and the last good peers in a
// directory, which is made if it is not there. One process at a time can use
// it; a second one gets [ErrInUse]. Without a directory the log is in memory
// and the identity, unless [WithIdentity] gives one, a new one each time.
func WithDataDir(dir string) Option {
	return func(o *options) error {
		if dir == "" {
			return configError("WithDataDir: no directory given")
		}
		o.dataDir = dir
		return nil
	}
}

// WithNetwork sets the network's name, 1 to 64 bytes of UTF-8 without control characters; the default is
// [DefaultNetwork]. Nodes of different networks refuse each other.
func WithNetwork(name string) Option {
	return func(o *options) error {
		if err := wire.ValidNetwork(name); err != nil {
			return fmt.Errorf("%w: WithNetwork: %w", ErrConfig, err)
		}
		o.network = name
		return nil
	}
}

// WithNetworkKey makes the network private: only nodes with the same 32 bytes
// are let in. See [LoadNetworkKey].
func WithNetworkKey(key []byte) Option {
	return func(o *options) error {
		if len(key) != networkKeyBytes {
			return configError("WithNetworkKey: key of %d bytes, want %d", len(key), networkKeyBytes)
		}
		o.networkKey = slices.Clone(key)
		return nil
	}
}

// WithHost runs on the program's own libp2p host, which must have an Ed25519
// key: the bus adds its protocols, and never closes the host.
func WithHost(h host.Host) Option {
	return func(o *options) error {
		if h == nil {
			return configError("WithHost: nil host")
		}
		o.host = h
		return nil
	}
}

// WithListen sets the multiaddrs to listen on. The default is all interfaces,
// TCP and QUIC, free ports.
func WithListen(addrs ...string) Option {
	return func(o *options) error {
		o.listen = append(o.listen, addrs...)
		return validAddrs("WithListen", addrs)
	}
}

// WithPeers sets peers to connect to and stay connected to: full multiaddrs
// with /p2p/ID. Several may name one peer.
func WithPeers(addrs ...string) Option {
	return func(o *options) error {
		o.peers = append(o.peers, addrs...)
		return validPeerAddrs("WithPeers", addrs)
	}
}

// WithoutMDNS neither looks for peers to connect to on the local network nor
// tells it where this node listens: there is no mDNS, and multicast beacons tell no
// addresses, nor are they taken from others.
func WithoutMDNS() Option {
	return func(o *options) error {
		o.noMDNS = true
		return nil
	}
}

// WithForward makes the node hold the topics that match the filters, for
// others, without a subscription of its own.
func WithForward(filters ...string) Option {
	return func(o *options) error {
		o.forward = append(o.forward, filters...)
		var errs []error
		for _, f := range filters {
			if err := ValidFilter(f); err != nil {
				errs = append(errs, fmt.Errorf("%w: WithForward: %w", ErrConfig, err))
			}
		}
		return errors.Join(errs...)
	}
}

// WithGossip sets how events are spread and repaired, and how peers are found:
// with NoPeerExchange none is told of others, nor listened to about them. The
// default is [gossip.DefaultConfig].
func WithGossip(c gossip.Config) Option {
	return func(o *options) error {
		o.gossip = c
		if err := c.Validate(); err != nil {
			return fmt.Errorf("%w: WithGossip: %w", ErrConfig, err)
		}
		return nil
	}
}

// WithLogger sets the logger; the default is [slog.Default].
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return configError("WithLogger: nil logger")
		}
		o.logger = l
		return nil
	}
}

// WithIdentity sets the node's key, instead of the data directory's or a new one.
// Two nodes of one key at a time are found out and stop publishing with
// [ErrIdentityInUse].
func WithIdentity(key ed25519.PrivateKey) Option {
	return func(o *options) error {
		if len(key) != ed25519.PrivateKeySize {
			return configError("WithIdentity: key of %d bytes, want %d", len(key), ed25519.PrivateKeySize)
		}
		o.key = key
		return nil
	}
}

// WithCarrier moves frames with these carriers instead of libp2p. The node
// starts and closes them. Tests use it through package bustest.
func WithCarrier(carriers ...carrier.Carrier) Option {
	return func(o *options) error {
		if len(carriers) == 0 || slices.Contains(carriers, nil) {
			return configError("WithCarrier: no carrier, or a nil one")
		}
		o.carriers = append(o.carriers, carriers...)
		return nil
	}
}
