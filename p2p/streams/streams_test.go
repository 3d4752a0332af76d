package streams_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/carrier/carriertest"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/streams"
)

const (
	overTCP  = "/ip4/127.0.0.1/tcp/0"
	overQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
	patience = 20 * time.Second
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// libp2p's hosts leave these behind when they close.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/transport/quicreuse.(*reuse).gc"),
		goleak.IgnoreAnyFunction("github.com/quic-go/quic-go.(*Transport).runSendQueue"),
	)
}

// newHost returns a host on loopback that is closed when the test ends.
func newHost(t testing.TB, listen string, more ...libp2p.Option) host.Host {
	t.Helper()
	options := append([]libp2p.Option{
		libp2p.ListenAddrStrings(listen), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}),
	}, more...)
	h, err := libp2p.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the host: %v", err)
		}
	})
	return h
}

func connect(t testing.TB, from, to host.Host) {
	t.Helper()
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		t.Errorf("connect: %v", err)
	}
}

func newCarrier(h host.Host, secret string) *streams.Carrier {
	return streams.New(streams.Config{Host: h, OwnHost: true, Secret: []byte(secret)})
}

func TestConformance(t *testing.T) {
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		t.Run(name, func(t *testing.T) {
			carriertest.Run(t, func(t *testing.T, n int) *carriertest.Cluster {
				c := &carriertest.Cluster{}
				hosts := make([]host.Host, n)
				for i := range hosts {
					hosts[i] = newHost(t, listen)
					c.Carriers = append(c.Carriers, carrier.Carrier(newCarrier(hosts[i], "secret")))
					c.Peers = append(c.Peers, wire.PeerID(hosts[i].ID()))
				}
				c.Connect = func(i, j int) { connect(t, hosts[i], hosts[j]) }
				c.Disconnect = func(i, j int) {
					if err := hosts[i].Network().ClosePeer(hosts[j].ID()); err != nil {
						t.Errorf("disconnect: %v", err)
					}
				}
				return c
			})
		})
	}
}
