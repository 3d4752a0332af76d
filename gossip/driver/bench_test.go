package driver

import (
	"io"
	"log/slog"
	"testing"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

func benchNode(b *testing.B, net *carrier.Network, n byte) (*Driver, eventlog.Log) {
	b.Helper()
	log := eventlog.NewMemory(eventlog.MemoryConfig{})
	cfg := DefaultConfig()
	cfg.Signer = wire.NewSigner(testKey(n))
	cfg.Network = "bench"
	cfg.Log = log
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	if net != nil {
		cfg.Carriers = []carrier.Carrier{net.Join(peerOf(testKey(n)))}
	}
	d, err := Start(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	return d, log
}

// BenchmarkPublishAsync is one event of 128 B from the call to the log.
func BenchmarkPublishAsync(b *testing.B) {
	d, _ := benchNode(b, nil, 1)
	ev := wire.Event{Payload: make([]byte, 128)}
	ctx := b.Context()
	b.ReportAllocs()
	b.SetBytes(128)
	for b.Loop() {
		if _, err := d.PublishAsync(ctx, testTopic, ev); err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	s := d.Stats()
	b.ReportMetric(float64(s.Published)/float64(s.PublishedBatches), "events/batch")
}

// BenchmarkEndToEnd is one event of 128 B from the call at one node to the log
// of another, over the in-memory carrier.
func BenchmarkEndToEnd(b *testing.B) {
	net := carrier.NewNetwork(1)
	net.ConnectAll()
	from, _ := benchNode(b, net, 1)
	to, log := benchNode(b, net, 2)
	if err := to.AddInterest(">"); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	id, err := from.Publish(ctx, testTopic, wire.Event{})
	if err != nil {
		b.Fatal(err)
	}
	if err := from.WaitHeld(ctx, id, 1); err != nil {
		b.Fatal(err)
	}
	ev := wire.Event{Payload: make([]byte, 128)}
	b.ReportAllocs()
	b.SetBytes(128)
	n := uint64(1)
	for b.Loop() {
		if _, err := from.PublishAsync(ctx, testTopic, ev); err != nil {
			b.Fatal(err)
		}
		n++
	}
	for {
		info, _ := log.Topic(testTopic)
		if info.Next >= n {
			break
		}
		<-log.Changed(testTopic, info.Next)
	}
	b.StopTimer()
	s, t := from.Stats(), to.Stats()
	b.ReportMetric(float64(s.Published)/float64(s.PublishedBatches), "events/batch")
	b.ReportMetric(float64(t.Gossip.Repaired), "repaired")
	b.ReportMetric(float64(s.OutboxFull), "outboxfull")
}
