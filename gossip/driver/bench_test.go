package driver

import (
	"context"
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

// sinkCarrier takes frames and keeps the last.
type sinkCarrier struct {
	carrier.Carrier
	frame []byte
}

func (*sinkCarrier) Traits() carrier.Traits {
	return carrier.Traits{MTU: wire.FrameMaxBytes, Reliable: true}
}

func (c *sinkCarrier) Send(_ context.Context, _ wire.PeerID, _ carrier.Lane, parts ...[]byte) error {
	c.frame = c.frame[:0]
	for _, p := range parts {
		c.frame = append(c.frame, p...)
	}
	return nil
}

func newSinkOutbox(c *sinkCarrier) *outbox {
	d := &Driver{recent: newRecentCache(1 << 30), reports: reports{signal: make(chan struct{}, 1)}}
	return newOutbox(d, &link{carrier: c, info: carrier.Link{Peer: "peer"}}, carrier.News)
}

// BenchmarkPushOut is a push of 1 KiB from the outbox to the carrier.
func BenchmarkPushOut(b *testing.B) {
	c := &sinkCarrier{}
	f := &outFrame{box: newSinkOutbox(c)}
	batch := sealTest(b, 2, 1024)
	p := parcel{id: batch.ID, batch: batch, size: batch.Size()}
	b.ReportAllocs()
	for b.Loop() {
		f.add(&p)
		f.flush()
	}
	b.ReportMetric(float64(len(c.frame)), "B/push")
}

// BenchmarkPushIn is a push of 1 KiB from the carrier to the inbox, with its signature checked.
func BenchmarkPushIn(b *testing.B) {
	c := &sinkCarrier{}
	cfg := DefaultConfig()
	log := eventlog.NewMemory(eventlog.MemoryConfig{})
	b.Cleanup(func() { _ = log.Close() }) // in memory: nothing is lost
	cfg.Signer, cfg.Network, cfg.Log = wire.NewSigner(testKey(2)), "test", log
	cfg.complete()
	d := newDriver(cfg)
	f := &outFrame{box: newSinkOutbox(c)}
	r := newReceiver(d, c)
	r.LinkUp(carrier.Link{Peer: "peer"})
	<-d.inbox
	batch := sealTest(b, 2, 1024)
	p := parcel{id: batch.ID, batch: batch, size: batch.Size()}
	b.ReportAllocs()
	for b.Loop() {
		f.add(&p)
		f.flush()
		frame := append(make([]byte, 0, len(c.frame)), c.frame...)
		r.Frame("peer", carrier.News, frame)
		<-d.inbox
		d.budget.give("peer", batch.Size())
	}
	if s := &d.counters; s.verified.Load() < uint64(b.N) || s.unverified.Load() > 0 {
		b.Errorf("%d of %d arrived, %d of them false", s.verified.Load(), b.N, s.unverified.Load())
	}
}
