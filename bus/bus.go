package bus

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/driver"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// Bus is a node of the event bus. Its methods are safe for concurrent use.
type Bus struct {
	// Constant after Open.
	opts    *options
	self    PeerID
	log     eventlog.Log
	driver  *driver.Driver
	net     *network
	cursors *cursorWriter
	authors *authorNames
	topics  *topicBook
	done    chan struct{}  // closed when Close begins
	running sync.WaitGroup // goroutines of the bus

	shutting sync.Once
	closeErr error // set under shutting

	mu       sync.Mutex // guards the fields below
	readers  map[*reader]struct{}
	durables map[string]struct{} // durable names that are open
}

// Open starts a node. ctx bounds Open alone: the node lives until
// [Bus.Shutdown] or [Bus.Close].
//
// Without options it has a log in memory, a new identity, listens on free TCP and
// QUIC ports of all interfaces, and finds the nodes of the network
// [DefaultNetwork] that are on the local network.
//
// The error wraps [ErrConfig], with all wrong options joined, [ErrInUse] for a
// data directory that another process uses, or what a part failed with.
func Open(ctx context.Context, opts ...Option) (*Bus, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	b := &Bus{
		opts:     o,
		authors:  newAuthorNames(),
		topics:   newTopicBook(),
		done:     make(chan struct{}),
		readers:  map[*reader]struct{}{},
		durables: map[string]struct{}{},
	}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("bus: open: %w", translate(err)), b.Close())
	}
	return b, nil
}

// start builds the node from the bottom up. What it built, Close ends.
func (b *Bus) start(ctx context.Context) (err error) {
	o := b.opts
	if b.log, err = openLog(o); err != nil {
		return err
	}
	b.cursors = newCursorWriter(b.log)
	if b.net, err = openNetwork(o); err != nil {
		return err
	}
	b.self = authorIDOf(b.net.signer.Author())
	cfg := driver.DefaultConfig()
	cfg.Signer = b.net.signer
	cfg.Network = o.network
	cfg.Gossip = o.gossip
	cfg.Log = b.log
	cfg.Carriers = b.net.carriers
	cfg.Logger = o.logger
	cfg.EventMaxBytes = o.log.EventMaxBytes
	cfg.Limits = o.log.limits()
	if b.driver, err = driver.Start(ctx, cfg); err != nil {
		return err
	}
	for _, d := range b.log.Durables() {
		if err := b.driver.AddInterest(d.Filter); err != nil {
			return err
		}
	}
	for _, filter := range o.forward {
		if err := b.driver.AddInterest(filter); err != nil {
			return err
		}
	}
	b.running.Go(b.followTopics)
	return nil
}

func openLog(o *options) (eventlog.Log, error) {
	if o.dataDir == "" {
		return eventlog.NewMemory(eventlog.MemoryConfig{Logger: o.logger}), nil
	}
	log, err := eventlog.Open(filepath.Join(o.dataDir, "log"), eventlog.Config{Sync: o.log.sync(), Logger: o.logger})
	if err != nil {
		return nil, err // not log: an interface with a nil pointer is not nil
	}
	return log, nil
}

// ID returns the node's peer ID, the author of what it publishes.
func (b *Bus) ID() PeerID { return b.self }

// Network returns the network's name.
func (b *Bus) Network() string { return b.opts.network }

// WaitHeld waits until so many other nodes are known to hold the event, and
// with it all that its author published on the topic before. The error wraps
// [ErrNotFound], [ErrClosed] or ctx's cause.
func (b *Bus) WaitHeld(ctx context.Context, id EventID, nodes int) error {
	w, err := id.wire()
	if err != nil {
		return err
	}
	return translate(b.driver.WaitHeld(ctx, w, nodes))
}

// Flush waits until the log holds, as durably as [LogConfig] says, all that this
// node published so far, and returns the first error since the last Flush.
func (b *Bus) Flush(ctx context.Context) error {
	if b.isClosed() {
		return ErrClosed
	}
	return translate(b.driver.Flush(ctx))
}

// Shutdown takes no more events, waits until one neighbour holds all that was
// published in this run, or until ctx is done, and closes the bus. It returns ctx's cause if
// that came first. After Close it returns [ErrClosed].
func (b *Bus) Shutdown(ctx context.Context) error {
	if b.isClosed() {
		return ErrClosed
	}
	err := translate(b.driver.Shutdown(ctx))
	return errors.Join(err, b.Close())
}

// Close ends the node and all its subscriptions, writes what was acknowledged,
// and waits until nothing of it runs. Afterwards everything returns
// [ErrClosed]. It is idempotent.
func (b *Bus) Close() error {
	b.shutting.Do(func() { b.closeErr = b.close() })
	return b.closeErr
}

// close ends the parts from the top down, those that start has built.
func (b *Bus) close() error {
	close(b.done)
	for _, r := range b.openReaders() {
		r.close()
	}
	var errs []error
	if b.cursors != nil {
		b.cursors.close()
	}
	if b.driver != nil {
		errs = append(errs, b.driver.Close())
	}
	b.running.Wait()
	if b.net != nil {
		errs = append(errs, b.net.close())
	}
	if b.log != nil {
		errs = append(errs, b.log.Close())
	}
	if b.cursors != nil {
		errs = append(errs, b.cursors.failure())
	}
	return errors.Join(errs...)
}

func (b *Bus) isClosed() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

func (b *Bus) openReaders() []*reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	readers := make([]*reader, 0, len(b.readers))
	for r := range b.readers {
		readers = append(readers, r)
	}
	return readers
}

// openReader makes the reader of a subscription: interest first, so that
// nothing that arrives after "now" was read is missed.
func (b *Bus) openReader(ctx context.Context, filter string, o subscribeOptions) (*reader, error) {
	r := newReader(b, filter, o)
	if r.wild && o.from.kind == fromOffset {
		return nil, configError("FromOffset needs a plain topic, not the filter %q", filter)
	}
	if o.named {
		if err := validDurable(o.durable); err != nil {
			return nil, err
		}
		if err := b.reserve(o.durable); err != nil {
			return nil, err
		}
	}
	if err := b.driver.AddInterest(filter); err != nil {
		b.unreserve(o.durable)
		return nil, translate(err)
	}
	b.mu.Lock()
	b.readers[r] = struct{}{}
	b.mu.Unlock()
	if err := r.begin(ctx); err != nil {
		r.close()
		return nil, err
	}
	if b.isClosed() { // close may have listed the readers before this one
		r.close()
		return nil, ErrClosed
	}
	return r, nil
}

// begin sets the reader's starting places.
func (r *reader) begin(ctx context.Context) error {
	topics := []string{r.filter}
	if r.wild {
		topics = r.bus.topics.follow(r)
		for _, t := range r.log.Topics() {
			topics = append(topics, t.Name)
		}
	}
	resumes := false
	if r.durable != "" {
		filter, known := r.bus.durableFilter(r.durable)
		if known && filter != r.filter {
			return configError("durable name %q is bound to %q, not %q", r.durable, filter, r.filter)
		}
		resumes = known
	}
	starts := map[string]uint64{}
	for _, topic := range topics {
		if !wire.Match(r.filter, topic) {
			continue
		}
		if resumes {
			r.add(topic, r.laterStart(topic))
			continue
		}
		start, err := startOf(r.log, topic, r.from)
		if err != nil {
			return err
		}
		starts[topic] = start
		r.add(topic, start)
	}
	if r.durable == "" || resumes {
		return nil
	}
	return r.bus.declare(ctx, r.durable, r.filter, starts)
}

// closed lets go of what a reader held.
func (b *Bus) closed(r *reader) {
	b.topics.unfollow(r)
	if r.durable != "" {
		b.cursors.flush()
		b.unreserve(r.durable)
	}
	b.mu.Lock()
	delete(b.readers, r)
	b.mu.Unlock()
	if err := b.driver.RemoveInterest(r.filter); err != nil && !errors.Is(err, driver.ErrClosed) {
		b.opts.logger.Error("interest not removed", "filter", r.filter, "err", err)
	}
}

// followTopics learns of topics that become known, until the bus is closed.
func (b *Bus) followTopics() {
	for {
		notices, err := b.driver.Watch(context.Background())
		if err != nil {
			return // the driver is closed, as it is when notices end for good
		}
		for _, t := range b.log.Topics() {
			b.topics.learn(t.Name)
		}
		for _, p := range b.driver.Peers() {
			for _, topic := range p.Topics {
				b.topics.learn(topic)
			}
		}
		for n := range notices {
			if n.Kind == gossip.NoticeTopic {
				b.topics.learn(n.Topic)
			}
		}
	}
}

// damaged asks for a batch that the log lost to be fetched again.
func (b *Bus) damaged(id wire.BatchID) { b.driver.Lost(id) }
