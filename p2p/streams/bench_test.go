package streams_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/streams"
)

// The benchmarks of this file show what idle links cost. An operation is a
// second of idleness, so -benchtime=20x watches for 20 seconds.

// BenchmarkIdleLink shows, beside what the carrier hands to libp2p, what
// libp2p's multiplexing and encryption make of it: transport-B counts TCP's or
// UDP's payload.
func BenchmarkIdleLink(b *testing.B) {
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		b.Run(name, func(b *testing.B) { benchmarkIdleLink(b, listen) })
	}
}

func benchmarkIdleLink(b *testing.B, listen string) {
	from, to := newHost(b, listen), newHost(b, listen)
	p := newProxy(b, to)
	c, hf := startOn(b, streams.Config{Host: from, OwnHost: true})
	_, ht := startOn(b, streams.Config{Host: to, OwnHost: true})
	if err := from.Connect(b.Context(), peer.AddrInfo{ID: to.ID(), Addrs: []ma.Multiaddr{p.addr}}); err != nil {
		b.Fatal(err)
	}
	await(b, "LinkUp", hf.ups)
	await(b, "LinkUp", ht.ups)
	for range 100 { // QUIC looks for the largest packets while it sends
		if err := c.Send(b.Context(), wire.PeerID(to.ID()), carrier.News, make([]byte, 1<<10)); err != nil {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	settle(b, c)
	sent, moved := c.Stats().BytesSent, p.bytes.Load()
	seconds := idle(b)
	b.ReportMetric(float64(c.Stats().BytesSent-sent)/seconds, "B/s/side")
	b.ReportMetric(float64(p.bytes.Load()-moved)/2/seconds, "transport-B/s/side")
}

// BenchmarkIdleHub shows what a node with 100 idle neighbours sends.
func BenchmarkIdleHub(b *testing.B) {
	const neighbours = 100
	hub := newHost(b, overTCP)
	c, h := startOn(b, streams.Config{Host: hub, OwnHost: true})
	others := make([]host.Host, neighbours)
	for i := range others {
		others[i] = newHost(b, overTCP)
		startOn(b, streams.Config{Host: others[i], OwnHost: true})
		connect(b, others[i], hub)
		await(b, "LinkUp", h.ups)
	}
	settle(b, c)
	before := c.Stats()
	seconds := idle(b)
	after := c.Stats()
	b.ReportMetric(float64(after.BytesSent-before.BytesSent)/seconds, "B/s")
	if after.LinksDown != 0 {
		b.Errorf("%d links went down", after.LinksDown)
	}
}

// settle waits until the carrier sends signs of life alone.
func settle(b *testing.B, c *streams.Carrier) {
	b.Helper()
	const still = 2 * time.Second // longer than a handshake pauses
	deadline := time.Now().Add(patience)
	for before := c.Stats(); time.Now().Before(deadline); {
		time.Sleep(still)
		after := c.Stats()
		if after.BytesSent-before.BytesSent == after.LivenessBytesSent-before.LivenessBytesSent {
			return
		}
		before = after
	}
	b.Fatal("the carrier does not come to rest")
}

// idle runs the benchmark and returns for how many seconds.
func idle(b *testing.B) float64 {
	b.ResetTimer()
	for range b.N {
		time.Sleep(time.Second)
	}
	return b.Elapsed().Seconds()
}
