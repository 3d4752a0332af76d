package p2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/busnode/busnode/p2p/streams"
)

const (
	dialTimeout   = 10 * time.Second
	graceOfConns  = 30 * time.Second // before a connection without a link is dropped
	streamsOfPeer = 8                // of ours, each way: two lanes, and room for a link that is replaced
)

// newHost makes a host that listens on TCP and QUIC and accepts nobody whom
// the gater refuses. It serves no relay and no NAT test.
func newHost(s settings, g *gater) (host.Host, error) {
	key, err := hostKey(s.Identity)
	if err != nil {
		return nil, err
	}
	if err := checkFree(s.listen); err != nil {
		return nil, err
	}
	limits, err := newResourceManager(s.ConnectionsMax)
	if err != nil {
		return nil, fmt.Errorf("p2p: resource limits: %w", err)
	}
	trim, err := connmgr.NewConnManager(s.ConnectionsMax*3/4, s.ConnectionsMax, connmgr.WithGracePeriod(graceOfConns))
	if err != nil {
		return nil, fmt.Errorf("p2p: connection limits: %w", err)
	}
	listen := libp2p.ListenAddrStrings(
		"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1")
	if len(s.listen) > 0 {
		listen = libp2p.ListenAddrs(s.listen...)
	}
	h, err := libp2p.New(
		libp2p.Identity(key),
		listen,
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, muxer()),
		libp2p.ResourceManager(limits),
		libp2p.ConnectionManager(trim),
		libp2p.ConnectionGater(g),
		libp2p.WithDialTimeout(dialTimeout),
		libp2p.UserAgent("busnode"),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		return nil, fmt.Errorf("p2p: make the host: %w", err)
	}
	// libp2p is content with one listener. Who named addresses is not.
	if bound := listening(h); len(bound) < len(s.listen) {
		err := fmt.Errorf("%w: of the addresses %v only %v", ErrListen, s.listen, bound)
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// listening returns the addresses at which the host listens, without those of
// relays.
func listening(h host.Host) []ma.Multiaddr {
	return slices.DeleteFunc(h.Network().ListenAddresses(), func(addr ma.Multiaddr) bool {
		_, err := addr.ValueForProtocol(ma.P_CIRCUIT)
		return err == nil
	})
}

// checkFree reports TCP addresses that are in use. libp2p listens with
// SO_REUSEPORT, so two nodes could listen on one port and each would get some
// of the other's connections.
func checkFree(addrs []ma.Multiaddr) error {
	var errs []error
	for _, addr := range addrs {
		if _, err := addr.ValueForProtocol(ma.P_TCP); err != nil {
			continue
		}
		l, err := manet.Listen(addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %s: %w", ErrListen, addr, err))
			continue
		}
		_ = l.Close() // it was a trial
	}
	return errors.Join(errs...)
}

func hostKey(identity ed25519.PrivateKey) (crypto.PrivKey, error) {
	if identity == nil {
		_, fresh, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, fmt.Errorf("p2p: make an identity: %w", err)
		}
		identity = fresh
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(identity)
	if err != nil {
		return nil, fmt.Errorf("%w: identity: %w", ErrConfig, err)
	}
	return key, nil
}

// muxer returns yamux with a faster keepalive than the default's 30 s. It only
// backs up the carrier's detector, which keeps it from ever pinging while the
// peer lives. The write timeout stays at 10 s: a slow uplink needs seconds for
// what the kernel has queued, and is not dead.
func muxer() *yamux.Transport {
	t := *yamux.DefaultTransport
	t.KeepAliveInterval = 3 * time.Second
	return &t
}

// newResourceManager returns limits for so many neighbours, where libp2p's are
// for 64 inbound connections on a small machine and 8 from one address: a
// site behind a NAT shares one. Loopback is exempt from limits per address.
func newResourceManager(connections int) (network.ResourceManager, error) {
	const memoryOfConn = 4 << 20 // four streams' first windows, and room for them to grow
	hard := 2 * connections
	memory := int64(hard)*memoryOfConn/2 + 64<<20
	base := rcmgr.BaseLimit{
		// Those who come by themselves must leave room for those whom we dial.
		Conns: hard, ConnsInbound: hard - connections/2, ConnsOutbound: hard,
		Streams: hard * 32, StreamsInbound: hard * 16, StreamsOutbound: hard * 16,
		Memory: memory, FD: hard + 64,
	}
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	scaling.SystemBaseLimit = base
	scaling.TransientBaseLimit = base
	scaling.TransientBaseLimit.Memory = memory / 4
	// What is configured holds on large machines too.
	scaling.SystemLimitIncrease, scaling.TransientLimitIncrease = rcmgr.BaseLimitIncrease{}, rcmgr.BaseLimitIncrease{}
	ours := rcmgr.BaseLimit{
		Streams: hard * streamsOfPeer, StreamsInbound: hard * streamsOfPeer / 2, StreamsOutbound: hard * streamsOfPeer / 2,
		Memory: memory,
	}
	ofPeer := rcmgr.BaseLimit{
		Streams: 2 * streamsOfPeer, StreamsInbound: streamsOfPeer, StreamsOutbound: streamsOfPeer, Memory: 64 << 20,
	}
	scaling.AddProtocolLimit(streams.NewsID, ours, rcmgr.BaseLimitIncrease{})
	scaling.AddProtocolLimit(streams.RepairID, ours, rcmgr.BaseLimitIncrease{})
	scaling.AddProtocolPeerLimit(streams.NewsID, ofPeer, rcmgr.BaseLimitIncrease{})
	scaling.AddProtocolPeerLimit(streams.RepairID, ofPeer, rcmgr.BaseLimitIncrease{})
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(scaling.AutoScale()),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connections}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connections}, {PrefixLength: 48, ConnCount: hard}}),
		rcmgr.WithConnRateLimiters(connRate(connections)),
	)
}

// connRate limits new connections per address: a whole site may come back at
// once, and a stranger may not go on like that.
func connRate(connections int) *rate.Limiter {
	limit := rate.Limit{RPS: 5, Burst: 2 * connections}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: limit}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: limit}},
			GracePeriod:      time.Minute,
		},
	}
}
