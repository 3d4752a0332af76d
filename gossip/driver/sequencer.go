package driver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// cause is one of the reasons for which publishing is refused.
type cause int

const (
	causeClosed cause = iota
	causeIdentity
	causeClock
	causeLog
	causeBacklog
	causes
)

// sequencer numbers this node's events and gathers them in open batches, one a
// topic. The sealer (sealer.go) takes a batch as soon as it has time for it:
// so batches hold one event when the node is idle and hundreds under load,
// without a timer.
//
// An event's life: add puts its bytes into the open batch (one copy, no
// allocation); the sealer detaches the batch, signs it and hands it to the log;
// written, it goes to the core; durable, its publishers are woken.
type sequencer struct {
	// Constant after newSequencer.
	eventMax int
	author   wire.Author
	clock    *hybridClock
	journal  *journal
	counters *counters
	wake     chan struct{} // capacity 1: the sealer has something to look at

	begun atomic.Bool // the epoch is set

	mu          sync.Mutex // guards the fields below, and all ownTopics and openBatches but sealed ones
	epoch       wire.Epoch // of this run; 0 until the first Publish
	topics      map[string]*ownTopic
	ready       []*ownTopic // with a batch to seal, the first to be served first
	why         [causes]error
	refused     error // the first of why
	unwritten   int   // bytes of batches that were sealed and not yet written
	outstanding map[*openBatch]struct{}
	asyncErr    error    // first failure of an event that nobody waited for
	spare       [][]byte // bodies to use again
	draining    bool     // Close: the sealer seals what is open and ends
}

// ownTopic is what this node publishes on one topic.
type ownTopic struct {
	name     string
	next     uint64        // sequence of the next event
	prev     wire.Prev     // end of the last batch that was sealed
	open     *openBatch    // nil: none
	inflight int           // batches that the core was not yet told of
	queued   bool          // in sequencer.ready
	room     chan struct{} // closed when the open batch is gone, if somebody waits for it; nil: nobody

	// What is certain: the end of the last batch that was written.
	writtenNext uint64
	writtenPrev wire.Prev
}

// openBatch is a batch from its first event until it is durable.
type openBatch struct {
	topic *ownTopic
	first uint64
	count uint32
	time  wire.Time
	body  []byte
	async bool // holds events that nobody waits for
	done  chan struct{}
	err   error // set before done is closed
}

func newSequencer(cfg *Config, clock *hybridClock, j *journal, c *counters) *sequencer {
	return &sequencer{
		eventMax: cfg.EventMaxBytes, author: cfg.Signer.Author(), clock: clock, journal: j, counters: c,
		wake:        make(chan struct{}, 1),
		topics:      map[string]*ownTopic{},
		outstanding: map[*openBatch]struct{}{},
	}
}

// observeOwn notes a batch of this node's own key from an earlier run, which
// the log held at the start or a peer brought back: what is published next on
// its topic follows it.
func (s *sequencer) observeOwn(h *wire.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(h.Topic)
	if t.next > 1 || h.End().Compare(t.prev.Mark) <= 0 || s.epoch != 0 && h.Epoch >= s.epoch {
		return
	}
	t.prev = wire.Prev{Mark: h.End(), Time: h.Time}
	t.writtenPrev = t.prev
}

// topic returns the topic's state, made if need be. s.mu is held.
func (s *sequencer) topic(name string) *ownTopic {
	t := s.topics[name]
	if t == nil {
		t = &ownTopic{name: name, next: 1, writtenNext: 1}
		s.topics[name] = t
	}
	return t
}

// add puts events into open batches of the topic, in order, and returns the
// batches by the number of events up to their end. After an error the events
// that were added are those of the returned batches.
func (s *sequencer) add(ctx context.Context, topic string, evs []wire.Event) ([]wire.EventID, []added, error) {
	ids := make([]wire.EventID, 0, len(evs))
	var batches []added
	for len(ids) < len(evs) {
		s.mu.Lock()
		t, err := s.admit(topic)
		if err != nil {
			s.mu.Unlock()
			return ids, batches, err
		}
		for len(ids) < len(evs) {
			b := s.put(t, &evs[len(ids)])
			if b == nil {
				break
			}
			ids = append(ids, s.id(t))
			if len(batches) == 0 || batches[len(batches)-1].batch != b {
				batches = append(batches, added{batch: b})
			}
			batches[len(batches)-1].upto = len(ids)
		}
		s.offer(t)
		room := s.roomFor(t, len(ids) < len(evs))
		s.mu.Unlock()
		if room == nil {
			break
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ids, batches, context.Cause(ctx)
		}
	}
	return ids, batches, nil
}

// added is a batch and how many of a caller's events lie before its end.
type added struct {
	batch *openBatch
	upto  int
}

// addOne is add for one event, without its allocations.
func (s *sequencer) addOne(ctx context.Context, topic string, ev *wire.Event, wait bool) (
	wire.EventID, *openBatch, error,
) {
	for {
		s.mu.Lock()
		t, err := s.admit(topic)
		if err != nil {
			s.mu.Unlock()
			return wire.EventID{}, nil, err
		}
		if b := s.put(t, ev); b != nil {
			b.async = b.async || !wait
			id := s.id(t)
			s.offer(t)
			s.mu.Unlock()
			return id, b, nil
		}
		s.offer(t)
		room := s.roomFor(t, true)
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return wire.EventID{}, nil, context.Cause(ctx)
		}
	}
}

// admit returns the topic's state, or why nothing may be published. s.mu is held.
func (s *sequencer) admit(topic string) (*ownTopic, error) {
	if s.refused != nil {
		return nil, s.refused
	}
	if t := s.topics[topic]; t != nil {
		if t.open == nil && s.clock.ahead() > wire.FutureMax {
			// The physical clock was set back: peers would refuse what is dated now.
			return nil, fmt.Errorf("%w: events are dated %v ahead of it", ErrClock, s.clock.ahead().Round(time.Second))
		}
		return t, nil
	}
	if err := wire.ValidTopic(topic); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTopic, err)
	}
	return s.topic(topic), nil
}

// id names the event that was put last. s.mu is held.
func (s *sequencer) id(t *ownTopic) wire.EventID {
	return wire.EventID{Topic: t.name, Author: s.author, Mark: wire.Mark{Epoch: s.epoch, Seq: t.next - 1}}
}

// put adds the event to the topic's open batch and returns that, or nil if it
// has no room for it. s.mu is held.
func (s *sequencer) put(t *ownTopic, ev *wire.Event) *openBatch {
	b := t.open
	if b == nil {
		b = &openBatch{
			topic: t, first: t.next, time: s.clock.next(), body: s.newBody(), done: make(chan struct{}),
		}
		t.open = b
		s.outstanding[b] = struct{}{}
	} else if !b.fits(ev) {
		return nil
	}
	b.body = wire.AppendEvent(b.body, b.time, ev)
	b.count++
	t.next++
	return b
}

// eventFormBytes is more than an event's form, or that of one of its headers,
// adds to what [wire.Event.Size] counts.
const eventFormBytes = 32

// fits reports whether the batch, which is not empty, has room for the event.
func (b *openBatch) fits(ev *wire.Event) bool {
	size := ev.Size() + eventFormBytes*(1+len(ev.Headers))
	return len(b.body)+size <= wire.BatchTargetBytes && b.count < wire.CountMax
}

// offer tells the sealer if the topic has a batch that it may seal: at once
// when the one before it has reached the core, else when there is enough of
// it, or when somebody waits for it to go. s.mu is held.
func (s *sequencer) offer(t *ownTopic) {
	if t.open == nil || t.queued {
		return
	}
	if t.inflight == 0 || len(t.open.body) >= coalesceBytes || t.room != nil || s.draining {
		t.queued = true
		s.ready = append(s.ready, t)
		s.nudge()
	}
}

// nudge lets the sealer look. It never blocks.
func (s *sequencer) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// roomFor returns what is closed when the topic's open batch is gone, or nil
// if nobody needs it. s.mu is held.
func (s *sequencer) roomFor(t *ownTopic, needed bool) <-chan struct{} {
	if !needed {
		return nil
	}
	if t.room == nil {
		t.room = make(chan struct{})
	}
	s.offer(t)
	return t.room
}

// detach takes the topic's open batch away from its publishers. s.mu is held.
func (t *ownTopic) detach() *openBatch {
	b := t.open
	t.open = nil
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
	return b
}

func (s *sequencer) newBody() []byte {
	if n := len(s.spare); n > 0 {
		body := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return body
	}
	return make([]byte, 0, 4<<10)
}

const spareMax = 8

// reuse takes a body that was sealed. s.mu is held.
func (s *sequencer) reuse(body []byte) {
	if len(s.spare) < spareMax && cap(body) <= 2*wire.BatchTargetBytes {
		s.spare = append(s.spare, body[:0])
	}
}

// refuse lets publishing fail with err for the cause, or no longer if err is nil.
func (s *sequencer) refuse(c cause, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setRefusal(c, err)
}

func (s *sequencer) setRefusal(c cause, err error) {
	s.why[c] = err
	s.refused = nil
	for _, err := range s.why {
		if err != nil {
			s.refused = err
			break
		}
	}
	if s.refused == nil {
		return
	}
	for _, t := range s.topics {
		if t.room != nil { // those who wait for room find out
			close(t.room)
			t.room = nil
		}
	}
}

// start sets the epoch of this run. It is called once, before any event is added.
func (s *sequencer) start(e wire.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = e
	s.begun.Store(true)
}

// settle ends a batch's life. s.mu is held.
func (s *sequencer) settle(b *openBatch, err error) {
	if _, ok := s.outstanding[b]; !ok {
		return
	}
	delete(s.outstanding, b)
	b.err = err
	if err != nil {
		s.counters.publishFailed.Add(uint64(b.count))
		if b.async && s.asyncErr == nil {
			s.asyncErr = err
		}
	}
	close(b.done)
}

// settled waits until all batches that hold events now are durable or failed.
func (s *sequencer) settled(ctx context.Context) error {
	s.mu.Lock()
	batches := make([]*openBatch, 0, len(s.outstanding))
	for b := range s.outstanding {
		batches = append(batches, b)
	}
	s.mu.Unlock()
	// The oldest first: the order in which they end.
	slices.SortFunc(batches, func(x, y *openBatch) int { return cmp.Compare(x.time, y.time) })
	for _, b := range batches {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// takeAsyncErr returns the first failure since it was last called of an event
// that nobody waited for.
func (s *sequencer) takeAsyncErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.asyncErr
	s.asyncErr = nil
	return err
}
