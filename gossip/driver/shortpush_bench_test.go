package driver

import (
	"context"
	"testing"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

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
