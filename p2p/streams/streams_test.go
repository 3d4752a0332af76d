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

func TestConformance(t *testing.T) {
	for name, v := range map[string]struct {
		listen string
		own    bool
	}{"tcp": {overTCP, true}, "quic": {overQUIC, true}, "on the program's host": {overTCP, false}} {
		t.Run(name, func(t *testing.T) {
			carriertest.Run(t, func(t *testing.T, n int) *carriertest.Cluster {
				c := &carriertest.Cluster{}
				hosts := make([]host.Host, n)
				for i := range hosts {
					hosts[i] = newHost(t, v.listen)
					c.Carriers = append(c.Carriers, streams.New(streams.Config{
						Host: hosts[i], OwnHost: v.own, Secret: []byte("secret"),
					}))
					c.Peers = append(c.Peers, wire.PeerID(hosts[i].ID()))
				}
				c.Connect = func(i, j int) { connect(t, hosts[i], hosts[j]) }
				c.Disconnect = func(i, j int) {
					if err := hosts[i].Network().ClosePeer(hosts[j].ID()); err != nil {
						t.Errorf("disconnect: %v", err)
					}
				}
				c.Vanish = func(i int) {
					if err := hosts[i].Close(); err != nil {
						t.Errorf("close the host: %v", err)
					}
				}
				return c
			})
		})
	}
}

func TestWhatIsHandedToLibp2pIsCounted(t *testing.T) {
	a, b := newHost(t, overTCP), newHost(t, overTCP)
	ca, ha := startOn(t, streams.Config{Host: a})
	_, hb := startOn(t, streams.Config{Host: b})
	connect(t, a, b)
	await(t, "LinkUp", ha.ups)
	await(t, "LinkUp", hb.ups)
	const small, large = 10, 100 << 10
	for _, size := range []int{small, large} {
		for _, lane := range []carrier.Lane{carrier.News, carrier.Repair} {
			if err := ca.Send(t.Context(), wire.PeerID(b.ID()), lane, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			await(t, "frame", hb.frames)
		}
	}
	const (
		handshakes = 2 * ((42 + 32) + (42 + 33)) // on two lanes, as opener and as acceptor
		want       = handshakes + 2*(1+small) + 2*(3+large)
	)
	var stats streams.Stats
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if stats = ca.Stats(); stats.BytesSent-stats.LivenessBytesSent == want {
			return // a frame may arrive before its sender has counted it
		}
	}
	t.Errorf("%d bytes sent, %d of liveness; want a difference of %d", stats.BytesSent, stats.LivenessBytesSent, want)
}
