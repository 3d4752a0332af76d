package compare

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/marcopolo/simnet"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// What all networks have in common.
const (
	latency      = 50 * time.Millisecond // one way
	linkBits     = 100_000_000           // a second, up and down, of each node
	meanDegree   = 10
	connectLimit = 30 * time.Second
)

// simulated is so many libp2p hosts on a simulated network, over QUIC: the
// carrier that both systems stand on. It must be made and closed within one
// synctest bubble.
type simulated struct {
	net   *simnet.Simnet
	hosts []host.Host

	mu    sync.Mutex // guards the field below
	conns []*simnet.SimConn
}

// newSimulated makes n hosts, which are not connected yet. Their keys come from the seed.
func newSimulated(t *testing.T, n int, seed uint64) *simulated {
	t.Helper()
	s := &simulated{net: &simnet.Simnet{LatencyFunc: simnet.StaticLatency(latency)}}
	keys := rand.NewChaCha8(chachaSeed(seed, "keys"))
	for i := range n {
		_, key, err := ed25519.GenerateKey(keys)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := crypto.UnmarshalEd25519PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		h, err := libp2p.New(
			libp2p.Identity(identity),
			libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))),
			libp2p.Transport(libp2pquic.NewTransport),
			s.quic(),
			libp2p.ResourceManager(&libp2pnet.NullResourceManager{}),
			libp2p.DisableRelay(),
			libp2p.DisableMetrics(),
			libp2p.DisableIdentifyAddressDiscovery(), // it stalls the bubble's clock
		)
		if err != nil {
			t.Fatal(err)
		}
		s.hosts = append(s.hosts, h)
	}
	s.net.Start()
	return s
}

// quic makes libp2p's QUIC use the simulated network. It does as
// go-libp2p/x/simlibp2p does, which keeps the endpoints to itself: their
// counters are what is measured here.
func (s *simulated) quic() libp2p.Option {
	both := simnet.LinkSettings{BitsPerSecond: linkBits}
	source := &sourceAddr{}
	listen := func(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
		source.ip = addr.IP
		c := s.net.NewEndpoint(addr, simnet.NodeBiDiLinkSettings{Uplink: both, Downlink: both})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns = append(s.conns, c)
		return c, nil
	}
	manager := func(l fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey,
		opts ...quicreuse.Option,
	) (*quicreuse.ConnManager, error) {
		m, err := quicreuse.NewConnManager(reset, token, opts...)
		if err == nil {
			l.Append(fx.StopHook(m.Close)) // libp2p closes only its own
		}
		return m, err
	}
	return libp2p.QUICReuse(manager,
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source, nil }),
		quicreuse.OverrideListenUDP(listen))
}

// sourceAddr makes a host dial from the address that it listens on.
type sourceAddr struct{ ip net.IP }

// PreferredSourceIPForDestination implements [quicreuse.SourceIPSelector].
func (a *sourceAddr) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return a.ip, nil }

// connect connects the hosts as the overlay says, all at once.
func (s *simulated) connect(t *testing.T, overlay [][2]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), connectLimit)
	defer cancel()
	var dials sync.WaitGroup
	for _, e := range overlay {
		to := s.hosts[e[1]]
		dials.Go(func() {
			if err := s.hosts[e[0]].Connect(ctx, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
				t.Errorf("connect %d to %d: %v", e[0], e[1], err)
			}
		})
	}
	dials.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// traffic is what went over the links of all nodes.
type traffic struct {
	bytes   int64 // UDP payload
	packets int64 // datagrams
	missing int64 // datagrams that queues dropped, or that are on their way
}

func (s *simulated) traffic() (sum traffic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		stats := c.Stats()
		sum.bytes += int64(stats.BytesSent)
		sum.packets += int64(stats.PacketsSent)
		sum.missing += int64(stats.PacketsSent - stats.PacketsRcvd)
	}
	return sum
}

func (a traffic) minus(b traffic) traffic {
	return traffic{a.bytes - b.bytes, a.packets - b.packets, a.missing - b.missing}
}

// close ends the hosts first: what they say at parting needs the network.
func (s *simulated) close(t *testing.T) {
	t.Helper()
	for i, h := range s.hosts {
		if err := h.Close(); err != nil {
			t.Errorf("close host %d: %v", i, err)
		}
	}
	s.net.Close()
}

// newOverlay returns the edges of a ring and as many random ones as make the
// mean degree, or all that there are.
func newOverlay(n int, degree int, seed uint64) [][2]int {
	draw := rand.New(rand.NewChaCha8(chachaSeed(seed, "overlay")))
	var edges [][2]int
	known := map[[2]int]bool{}
	add := func(a, b int) {
		e := [2]int{min(a, b), max(a, b)}
		if a != b && !known[e] {
			known[e] = true
			edges = append(edges, e)
		}
	}
	for i := range n {
		add(i, (i+1)%n)
	}
	for len(edges) < min(n*degree/2, n*(n-1)/2) {
		add(draw.IntN(n), draw.IntN(n))
	}
	return edges
}

// chachaSeed derives a stream of chance of its own for each purpose.
func chachaSeed(seed uint64, purpose string) (s [32]byte) {
	copy(s[:], fmt.Sprintf("%d %s", seed, purpose))
	return s
}

// connected reports whether the edges join all of n nodes.
func connected(n int, edges [][2]int) bool {
	seen := []int{0}
	for i := 0; i < len(seen); i++ {
		for _, e := range edges {
			for side := range 2 {
				if e[side] == seen[i] && !slices.Contains(seen, e[1-side]) {
					seen = append(seen, e[1-side])
				}
			}
		}
	}
	return len(seen) == n
}
