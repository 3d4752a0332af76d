package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/busnode/busnode/bus"
)

// benchStall is how long nothing may arrive before what is missing counts as lost.
const benchStall = 10 * time.Second

// run publishes everything and waits until it has arrived.
func (b *bench) run(ctx context.Context) (*benchResult, error) {
	topic, err := bus.TopicOf(b.from, benchTopic, bus.Bytes{})
	if err != nil {
		return nil, err
	}
	target, err := bus.TopicOf(b.to, benchTopic, bus.Bytes{})
	if err != nil {
		return nil, err
	}
	sub, err := target.Subscribe(ctx, bus.FromStart())
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	b.show.begin("publishing %d events of %d bytes", b.flags.events, b.flags.payload)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := newConsumer(b.flags.events)
	batchesBefore := b.from.Stats().Log.Batches
	cpuBefore, start := cpuTime(), time.Now()
	var consuming sync.WaitGroup
	consuming.Go(func() { c.consume(ctx, sub, cancel) })
	watching := make(chan struct{})
	consuming.Go(func() { b.watch(ctx, c, watching, cancel) })
	err = b.publishAll(ctx, topic)
	if err != nil {
		cancel(err)
	}
	close(watching)
	consuming.Wait()
	if err = cmp.Or(err, failure(ctx)); err != nil {
		return nil, err
	}
	r := c.result(c.last.Sub(start), cpuTime()-cpuBefore, int64(b.flags.payload))
	r.Batches = b.from.Stats().Log.Batches - batchesBefore
	return r, nil
}

// failure returns why the run ended, unless that makes a result.
func failure(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errAllArrived) || errors.Is(cause, errStalled) {
		return nil
	}
	return cause
}

var (
	errAllArrived = errors.New("all events have arrived")
	errStalled    = errors.New("nothing arrives any more")
)

// publishAll publishes from as many goroutines as asked for, and waits until
// the log holds all.
func (b *bench) publishAll(ctx context.Context, topic bus.Topic[[]byte]) error {
	errs := make([]error, b.flags.publishers)
	var publishing sync.WaitGroup
	for i := range errs {
		share := b.flags.events / b.flags.publishers
		if i < b.flags.events%b.flags.publishers {
			share++
		}
		publishing.Go(func() { errs[i] = publishShare(ctx, topic, share, int(b.flags.payload), uint64(i)) })
	}
	publishing.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return b.from.Flush(ctx)
}

// publishShare publishes the same random bytes again and again: nothing
// that packs well within a batch's single event, nor anything that costs time to make.
func publishShare(ctx context.Context, topic bus.Topic[[]byte], events, size int, seed uint64) error {
	payload := make([]byte, size)
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	for range events {
		if _, err := topic.PublishAsync(ctx, payload); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// watch shows progress and ends a run in which nothing arrives any more.
func (b *bench) watch(ctx context.Context, c *consumer, published <-chan struct{}, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	var before int64
	stalled := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		arrived := c.arrived.Load()
		b.show.held("arrived", int(arrived), b.flags.events)
		if arrived != before || !isClosed(published) {
			before, stalled = arrived, time.Now()
		}
		if time.Since(stalled) > benchStall {
			cancel(errStalled)
			return
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// consumer checks what a subscription is handed: all events of one author,
// whose sequence numbers run from 1. Only its own goroutine touches it, but
// for arrived; the others wait for its end.
type consumer struct {
	want       int
	epoch      uint64
	next       uint64 // sequence expected
	seen       []uint64
	distinct   int
	duplicates int
	disorder   int
	last       time.Time
	latency    *hdrhistogram.Histogram // microseconds
	stride     int                     // every stride-th event's latency is taken
	arrived    atomic.Int64            // about so many; for the display
}

const (
	latencySamples = 100_000
	latencyMax     = int64(10 * time.Minute / time.Microsecond)
	arrivedEvery   = 1 << 10
)

func newConsumer(events int) *consumer {
	return &consumer{
		want: events, next: 1, seen: make([]uint64, events/64+1),
		latency: hdrhistogram.New(1, latencyMax, 3), stride: max(1, events/latencySamples),
	}
}

// consume reads until all events have come, or until ctx is done.
func (c *consumer) consume(ctx context.Context, sub *bus.Subscription[[]byte], cancel context.CancelCauseFunc) {
	defer func() { c.last = time.Now() }()
	n := 0
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			if errors.Is(err, bus.ErrGap) || errors.Is(err, bus.ErrLagged) {
				continue // the loss shows in the sum
			}
			cancel(err)
			return
		}
		n++
		if n%c.stride == 0 {
			c.sample(ev.Time)
		}
		if n%arrivedEvery == 0 {
			c.arrived.Store(int64(n))
		}
		c.check(ev.ID.Epoch, ev.ID.Seq)
		if c.distinct == c.want {
			cancel(errAllArrived)
			return
		}
	}
}

func (c *consumer) sample(published time.Time) {
	us := max(1, min(int64(time.Since(published)/time.Microsecond), latencyMax))
	_ = c.latency.RecordValue(us) // within the bounds
}

func (c *consumer) check(epoch, seq uint64) {
	if c.epoch == 0 {
		c.epoch = epoch
	}
	if epoch != c.epoch || seq < 1 || seq > uint64(c.want) {
		c.duplicates++ // an event that nobody published is one too many
		return
	}
	word, bit := &c.seen[seq/64], uint64(1)<<(seq%64)
	if *word&bit != 0 {
		c.duplicates++
		return
	}
	*word |= bit
	c.distinct++
	if seq < c.next {
		c.disorder++
		return
	}
	c.next = seq + 1
}

func (c *consumer) result(took, cpu time.Duration, payload int64) *benchResult {
	rate := float64(c.distinct) / max(took.Seconds(), 1e-9)
	return &benchResult{
		Published: c.want, Delivered: c.distinct, Lost: c.want - c.distinct,
		Duplicates: c.duplicates, OutOfOrder: c.disorder,
		EventsPerS: round(rate), MBPerS: round(rate*float64(payload)/1e6*1000) / 1000,
		CPUSPerMillion: round(cpu.Seconds()/float64(c.want)*1e6*1000) / 1000,
		P50Ms:          float64(c.latency.ValueAtQuantile(50)) / 1000,
		P99Ms:          float64(c.latency.ValueAtQuantile(99)) / 1000,
	}
}

func round(f float64) float64 { return float64(int64(f + 0.5)) }
