// Package driver runs a gossip core: it owns the core, the clock, the queues
// and the goroutines, and moves batches between publishers, the log, the core
// and the carriers.
//
//	Publish → sequencer → sealer → log ─reports─┐
//	                                            ├→ loop: the one goroutine that touches the core
//	carrier → Frame: parse, join, verify ─inbox─┘        ├→ log (persist, release)
//	                                                     └→ outbox per peer and lane → carrier
//
// Nothing in the loop blocks: the log takes what it is handed and reports
// later, outboxes are bounded and drop pushes (which become lazy word), replies
// go to channels with room for them. Publishing never waits for the network:
// only for the log.
package driver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// Errors that callers test with [errors.Is]. A full disk shows as [eventlog.ErrFull].
var (
	ErrClosed        = errors.New("driver: closed")
	ErrConfig        = errors.New("driver: invalid config")
	ErrTopic         = errors.New("driver: invalid topic")
	ErrTooLarge      = errors.New("driver: event too large")
	ErrBacklog       = errors.New("driver: the log is full of own events that no other node holds")
	ErrClock         = errors.New("driver: this node's clock is off its peers'")
	ErrIdentityInUse = errors.New("driver: another process publishes with this node's key")
)

// Driver runs one core. Its methods are safe for concurrent use.
type Driver struct {
	// Constant after Start.
	cfg      Config
	logger   *slog.Logger
	self     wire.Author
	born     time.Time // where the core's clock begins
	clock    *hybridClock
	journal  *journal
	seq      *sequencer
	recent   *recentCache
	budget   *budget
	assembly *assembler
	verify   chan struct{}  // a slot for each verification at once
	dialer   carrier.Dialer // connects to peers by their records; nil: none of the carriers does
	unheld   *unheldMarks
	retain   *retainer

	inbox   chan input
	reports reports
	stop    chan struct{} // closed by Close
	ended   sync.WaitGroup
	drained chan struct{} // closed when the sealer has ended

	counters counters

	// Loop only.
	core       *gossip.Core
	links      map[wire.PeerID][]*link // of each peer, the one in use first
	boxes      map[boxKey]*outbox      // that run, or did until just now
	arrived    map[wire.BatchID]arrival
	stores     []*store // handed to the log or waiting to be, oldest first
	waiters    map[heldKey][]*heldQuery
	awaited    map[string]wire.Mark // own topics whose newest batch of this run no other node holds
	allHeld    []*allHeldQuery
	watchers   []*watcher
	logTrouble bool // the log refused a write, and has not taken one since

	mu     sync.Mutex // guards the fields below
	closed bool
	over   chan struct{} // closed when Close is done
	rested chan struct{} // closed when the loop has ended
	err    error         // of Close
	last   gossip.Stats  // of the core when the loop ended
}

// Start runs a core over the log and the carriers until Close. ctx bounds
// Start alone. It takes over the carriers, and closes them if it fails.
// The error wraps [ErrConfig], a carrier's, or ctx's cause.
func Start(ctx context.Context, cfg Config) (*Driver, error) {
	cfg.complete()
	if err := cfg.Validate(); err != nil {
		return nil, errors.Join(err, closeAll(&cfg))
	}
	d := newDriver(cfg)
	if err := d.newCore(); err != nil {
		return nil, errors.Join(err, closeAll(&cfg))
	}
	if err := d.restore(ctx); err != nil {
		return nil, errors.Join(err, closeAll(&cfg))
	}
	d.ended.Go(d.run)
	d.ended.Go(func() { d.journal.run(d.stop) })
	d.ended.Go(func() { d.retain.run(d) })
	go func() {
		defer close(d.drained)
		s := &sealer{seq: d.seq, signer: cfg.Signer, network: cfg.Network, compress: cfg.Compress, publish: d.reportPublished}
		s.run()
	}()
	for _, c := range cfg.Carriers {
		if err := c.Start(newReceiver(d, c)); err != nil {
			return nil, errors.Join(fmt.Errorf("driver: start carrier %s: %w", c.Traits().Name, err), d.Close())
		}
	}
	if d.exchanges() {
		d.ended.Go(d.followRecord)
	}
	return d, nil
}

func newDriver(cfg Config) *Driver {
	floor := cfg.Log.NewestTime()
	if !cfg.BuildTime.IsZero() {
		floor = max(floor, wire.TimeOf(cfg.BuildTime))
	}
	d := &Driver{
		cfg: cfg, logger: cfg.Logger.With("component", "driver"), self: cfg.Signer.Author(), born: time.Now(),
		clock:   newClock(floor),
		journal: newJournal(cfg.Log),
		recent:  newRecentCache(recentMaxBytes),
		budget:  newBudget(arrivedMaxBytes),
		// The core hears of what stalled before its own patience ends.
		assembly: newAssembler(cfg.Gossip.WantTimeout*3/4, assembliesMaxBytes),
		verify:   newVerifySlots(),
		dialer:   dialerOf(cfg.Carriers),
		unheld:   &unheldMarks{acked: map[string]wire.Mark{}},
		retain:   newRetainer(cfg),
		inbox:    make(chan input, inboxCap),
		reports:  reports{signal: make(chan struct{}, 1)},
		stop:     make(chan struct{}),
		drained:  make(chan struct{}),
		links:    map[wire.PeerID][]*link{},
		boxes:    map[boxKey]*outbox{},
		arrived:  map[wire.BatchID]arrival{},
		waiters:  map[heldKey][]*heldQuery{},
		awaited:  map[string]wire.Mark{},
		over:     make(chan struct{}),
		rested:   make(chan struct{}),
	}
	d.seq = newSequencer(&d.cfg, d.clock, d.journal, &d.counters)
	d.journal.onFail, d.journal.onRetry = d.logFailed, d.logRetry
	return d
}

func (d *Driver) newCore() error {
	seed := d.cfg.Seed
	if seed == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails, see its documentation
		seed = binary.BigEndian.Uint64(b[:])
	}
	core, err := gossip.New(d.self, d.cfg.Gossip, seed, d.now(), d.clock.wall())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	d.core = core
	return nil
}

// restore tells the core what the log holds.
func (d *Driver) restore(ctx context.Context) error {
	log := d.cfg.Log
	log.EachTrimmed(func(topic string, author wire.Author, upto wire.Mark, newest wire.Time) bool {
		d.core.RestoreTrimmed(topic, author, upto, newest)
		if author == d.self { // what retention took of our own is not to be numbered again
			d.seq.observeOwn(&wire.Header{
				Topic: topic, Epoch: upto.Epoch, First: upto.Seq, Count: 1, Time: max(upto.Epoch.Time(), 1),
			})
		}
		return true
	})
	log.Each(func(m *eventlog.Meta) bool {
		h := &m.Header
		d.core.Restore(gossip.Meta{ID: m.ID, Header: h, Released: m.Released, Verdict: m.Verdict, Lost: m.Lost})
		if h.Author == d.self {
			d.seq.observeOwn(h)
		}
		return ctx.Err() == nil
	})
	log.EachGap(func(g eventlog.Gap) bool {
		d.core.RestoreGap(gossip.Gap(g))
		return true
	})
	d.core.Restored()
	return context.Cause(ctx)
}

// now returns the core's instant. It begins above 0, which a core may take for
// "not set".
func (d *Driver) now() gossip.Time { return gossip.Time(time.Second + time.Since(d.born)) }

// run is the loop. It owns the core, and nothing in it blocks.
func (d *Driver) run() {
	timer := time.NewTimer(0)
	defer d.end(timer)
	for {
		// 1. Wait for an input, a report, the core's deadline or the end.
		var in input
		select {
		case in = <-d.inbox:
		case <-d.reports.signal:
		case <-timer.C:
		case <-d.stop:
			return
		}
		// 2. Let the core do what is due before it hears what came in just now.
		d.assembly.sweep(time.Now())
		d.tellPartials()
		d.core.Tick(d.now(), d.clock.wall())
		// 3. Apply the input and others that wait, up to batchMax, and all reports.
		d.applyAll(in)
		// 4. Carry out what the core wants.
		more := d.carryOut(d.core.Take())
		// 5. Sleep until the one deadline, unless carrying out gave the core work.
		timer.Reset(d.untilDeadline(more))
	}
}

// applyAll applies the input, if there is one, others that wait, up to
// batchMax, and all reports: before each input, for a report is older than an
// input that came after it, and whoever waited for what it tells goes on at once.
func (d *Driver) applyAll(in input) {
	for n := 1; ; n++ {
		for _, r := range d.reports.take() {
			r.apply(d)
		}
		if in != nil {
			in.apply(d)
		}
		if n == batchMax {
			return
		}
		select {
		case in = <-d.inbox:
		default:
			return
		}
	}
}

func (d *Driver) untilDeadline(more bool) time.Duration {
	if more {
		return 0
	}
	wait := time.Hour
	if at := d.core.NextDeadline(); at != gossip.Never {
		wait = time.Duration(at - d.now())
	}
	if at := d.assembly.next(); !at.IsZero() {
		wait = min(wait, time.Until(at))
	}
	return max(0, wait)
}

// carryOut does what the core wants, in the order that [gossip.Output] states,
// and reports whether the core was told something on the way.
func (d *Driver) carryOut(out gossip.Output) bool {
	d.persist(&out)
	more := d.send(out.Send)
	d.meet(&out)
	d.announce(out.Presence)
	for _, x := range out.Disconnect {
		if x.Surplus {
			d.release(x)
			continue
		}
		d.disconnect(x.Peer, x.Reason)
	}
	for _, n := range out.Notices {
		d.notice(n)
	}
	return more
}

// end leaves the loop's last figures and lets go of all who wait for it.
func (d *Driver) end(timer *time.Timer) {
	timer.Stop()
	for len(d.watchers) > 0 {
		d.dropWatcher(d.watchers[0])
	}
	for _, ls := range d.links {
		ls[0].close()
	}
	d.mu.Lock()
	d.last = d.core.Stats()
	d.mu.Unlock()
	close(d.rested)
}

// Shutdown refuses new events, waits until all that were published are durable
// and some other node holds them, at most until ctx is done, and closes the
// driver. The error wraps ctx's cause if it did not get that far.
func (d *Driver) Shutdown(ctx context.Context) error {
	d.seq.refuse(causeClosed, ErrClosed)
	err := d.WaitAllHeld(ctx)
	if errors.Is(err, ErrClosed) {
		err = nil // by somebody else meanwhile
	}
	if err != nil {
		err = fmt.Errorf("driver: shut down before another node held all: %w", err)
	}
	return errors.Join(err, d.Close())
}

// Close stops the driver: what was published is handed to the log, carriers are
// closed, goroutines have ended when it returns. It is idempotent. It waits for
// the log's answers, not for the network. The error is a carrier's, or that of
// an event of [Driver.PublishAsync] that the log did not take.
func (d *Driver) Close() error {
	d.mu.Lock()
	first := !d.closed
	d.closed = true
	d.mu.Unlock()
	if first {
		d.seq.drain(ErrClosed)
		<-d.drained
		_ = d.seq.settled(context.Background()) // fails with its context alone
		close(d.stop)
		err := errors.Join(d.seq.takeAsyncErr(), closeAll(&d.cfg))
		d.ended.Wait()
		d.journal.wait(nil) // no callback of the log comes after this
		d.mu.Lock()
		d.err = err
		d.mu.Unlock()
		close(d.over)
	}
	<-d.over
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// spawn runs f on a goroutine that Close waits for. It is called on the loop
// only, whose own place in d.ended keeps Close waiting.
func (d *Driver) spawn(f func()) { d.ended.Go(f) }

// closeAll closes the carriers, all at once.
func closeAll(cfg *Config) error {
	errs := make([]error, len(cfg.Carriers))
	var wg sync.WaitGroup
	for i, c := range cfg.Carriers {
		wg.Go(func() {
			if err := c.Close(); err != nil {
				errs[i] = fmt.Errorf("driver: close carrier %s: %w", c.Traits().Name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Log returns the log that the driver writes to.
func (d *Driver) Log() eventlog.Log { return d.cfg.Log }
