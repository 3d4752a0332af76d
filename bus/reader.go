package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

const (
	readChunkBytes = 512 << 10 // asked of the log at a time

	// A body that the log lost is fetched again from peers; the reader looks
	// for it at growing intervals, and gives up in the end.
	damagedRetryMin = 50 * time.Millisecond
	damagedRetryMax = 200 * time.Millisecond
	damagedGiveUp   = 30 * time.Second
)

var errShortBatch = errors.New("batch holds fewer events than its header says")

// reader is a subscription without its type: it merges the logs of the topics
// that a filter matches. It has no goroutine; who reads does the work.
//
// Topics take turns, a batch each. A topic is ready while there may be
// something to read of it, else it is idle and waits for the log's word.
type reader struct {
	bus     *Bus
	log     eventlog.Log
	filter  string
	wild    bool // the filter may match more than one topic
	from    From
	durable string // "": none

	closing sync.Once
	done    chan struct{} // closed by close
	turns   turnstile     // held by who reads: guards the fields of the last group
	wake    chan struct{} // capacity 1: something is in joined

	mu     sync.Mutex // guards the field below
	joined []string   // topics to take in, in the order in which they became known

	topics map[string]*cursor
	ready  []*cursor
	turn   int // whose turn it is among ready
	idle   []*cursor

	place  place // of event, or of the mishap reported last
	event  wire.Event
	events wire.EventReader // of the batch that is being read
	batch  eventlog.Entry
	at     uint64 // events of the batch that are read
}

// cursor is a reader's place in one topic.
type cursor struct {
	topic   string
	next    uint64           // first offset that the reader has not come to
	chunk   []eventlog.Entry // read ahead: starts at or after next
	changed <-chan struct{}  // closed when an idle topic may have more; nil while it waits for retry

	retry    time.Time // when to look again for a lost body; zero: none is waited for
	delay    time.Duration
	deadline time.Time // when to give it up
}

func newReader(b *Bus, filter string, o subscribeOptions) *reader {
	return &reader{
		bus:     b,
		log:     b.log,
		filter:  filter,
		wild:    wire.ValidTopic(filter) != nil,
		from:    o.from,
		durable: o.durable,
		done:    make(chan struct{}),
		turns:   turnstile{freed: make(chan struct{}, 1)},
		wake:    make(chan struct{}, 1),
		topics:  map[string]*cursor{},
	}
}

// next sets event and place to the next event, or returns a mishap or the end.
func (r *reader) next(ctx context.Context) error {
	if err := r.ended(ctx); err != nil {
		return err
	}
	for r.batch.Batch == nil {
		c, err := r.pick(ctx)
		if err != nil {
			return err
		}
		if err := r.open(c); err != nil {
			return err
		}
	}
	var ok bool
	if r.event, ok = r.events.Next(); !ok {
		return r.abandon(cmp.Or(r.events.Err(), errShortBatch))
	}
	r.place.offset = r.batch.Offset + r.at
	r.place.id.Seq = r.batch.Meta.Header.First + r.at
	r.at++
	if r.at == uint64(r.batch.Meta.Header.Count) {
		r.batch = eventlog.Entry{}
	}
	return nil
}

// ended polls the channels one by one, for a select of several takes locks.
func (r *reader) ended(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
	}
	select {
	case <-r.done:
		return ErrClosed
	default:
		return nil
	}
}

// pick returns the topic whose turn it is, with at least one entry in its
// chunk, and waits for one.
func (r *reader) pick(ctx context.Context) (*cursor, error) {
	for {
		if len(r.ready) == 0 {
			if err := r.wait(ctx); err != nil {
				return nil, err
			}
		}
		r.turn %= len(r.ready)
		c := r.ready[r.turn]
		if len(c.chunk) == 0 {
			r.rouse() // a busy topic must not keep idle ones from being noticed
			if err := r.read(c); err != nil {
				return nil, err
			}
		}
		if len(c.chunk) > 0 {
			r.turn++
			return c, nil
		}
		c.changed = r.log.Changed(c.topic, c.next)
		r.rest(c)
	}
}

// read fills the chunk of c, or leaves it empty when there is nothing to read.
// It returns a *LagError where retention was faster.
func (r *reader) read(c *cursor) error {
	before, _ := r.log.Topic(c.topic)
	chunk, err := r.log.Read(c.topic, c.next, readChunkBytes)
	if errors.Is(err, eventlog.ErrTrimmed) {
		info, _ := r.log.Topic(c.topic)
		return r.lagged(c, info.First)
	}
	if err != nil {
		return translate(err)
	}
	c.chunk = chunk
	if len(chunk) == 0 && c.next < before.Next {
		return r.lagged(c, before.Next) // all that was there before Read is gone
	}
	if len(chunk) > 0 && chunk[0].Offset > c.next {
		return r.lagged(c, chunk[0].Offset)
	}
	return nil
}

// lagged moves c to where the log goes on.
func (r *reader) lagged(c *cursor, to uint64) error {
	if to <= c.next {
		return nil
	}
	err := &LagError{Topic: c.topic, From: c.next, Lost: to - c.next}
	c.next = to
	r.place = place{topic: c.topic, offset: to - 1}
	return err
}

// open begins with the first entry in the chunk of c. It returns a mishap, or
// nil when a batch is open or the topic has to wait.
func (r *reader) open(c *cursor) error {
	e := c.chunk[0]
	if e.Offset > c.next {
		return r.lagged(c, e.Offset) // a hole in the chunk
	}
	if e.Gap != nil {
		r.pop(c)
		r.place = place{topic: c.topic, offset: e.Offset}
		return gapErrorOf(e.Gap)
	}
	if e.Batch == nil {
		return r.damaged(c, &e)
	}
	c.retry = time.Time{}
	skip := c.next - e.Offset
	r.pop(c)
	h := &e.Meta.Header
	r.batch, r.at = e, skip
	r.place = place{
		topic:  c.topic,
		offset: e.Offset + skip,
		id:     EventID{Topic: c.topic, Author: r.bus.authors.id(h.Author), Epoch: uint64(h.Epoch), Seq: h.First + skip},
		late:   e.Late,
	}
	if h.Unreadable {
		return r.abandon(wire.ErrUnreadable)
	}
	events, err := e.Batch.Events()
	if err != nil {
		return r.abandon(err)
	}
	r.events = events
	for range skip {
		if _, ok := r.events.Next(); !ok {
			return r.abandon(cmp.Or(r.events.Err(), errShortBatch))
		}
	}
	return nil
}

func (r *reader) pop(c *cursor) {
	c.next = c.chunk[0].Next()
	c.chunk[0] = eventlog.Entry{}
	c.chunk = c.chunk[1:]
}

// abandon gives up the rest of the open batch.
func (r *reader) abandon(cause error) error {
	h := &r.batch.Meta.Header
	p := r.place
	p.id.Seq = h.First + r.at
	err := &DecodeError{
		Event: Event[[]byte]{
			ID: p.id, Topic: p.topic, Offset: r.batch.Offset + r.at, Time: h.Time.Std(), Late: p.late,
		},
		Count: uint64(h.Count) - r.at,
		Err:   fmt.Errorf("batch %v: %w", r.batch.Meta.ID, cause),
	}
	r.place.offset = r.batch.Next() - 1
	r.batch = eventlog.Entry{}
	return err
}

// damaged waits for a body that the log lost, or gives it up.
func (r *reader) damaged(c *cursor, e *eventlog.Entry) error {
	now := time.Now()
	if c.retry.IsZero() {
		c.delay, c.deadline = damagedRetryMin, now.Add(damagedGiveUp)
		r.bus.damaged(e.Meta.ID)
	}
	if now.Before(c.deadline) {
		c.retry = now.Add(c.delay)
		c.delay = min(2*c.delay, damagedRetryMax)
		c.chunk, c.changed = nil, nil
		r.rest(c)
		return nil
	}
	c.retry = time.Time{}
	h := &e.Meta.Header
	first := h.First + c.next - e.Offset
	r.pop(c)
	r.place = place{topic: c.topic, offset: c.next - 1}
	return &GapError{
		Topic: c.topic, Author: r.bus.authors.id(h.Author), Reason: "damaged",
		From: Mark{uint64(h.Epoch), first}, To: markOf(h.End()), Lost: h.Last() - first + 1,
	}
}

func gapErrorOf(g *eventlog.Gap) *GapError {
	e := &GapError{
		Topic: g.Topic, Author: authorIDOf(g.Author), From: markOf(g.From), To: markOf(g.To), Reason: g.Reason,
	}
	if g.From.Epoch == g.To.Epoch {
		e.Lost = g.To.Seq - g.From.Seq + 1
	}
	return e
}

// rest moves c from ready to idle.
func (r *reader) rest(c *cursor) {
	i := slices.Index(r.ready, c)
	r.ready = slices.Delete(r.ready, i, i+1)
	if i < r.turn {
		r.turn--
	}
	r.idle = append(r.idle, c)
}

// rouse moves what has something to read from idle to ready, and takes in the
// topics that became known.
func (r *reader) rouse() {
	select {
	case <-r.wake:
		r.takeJoined()
	default:
	}
	if len(r.idle) == 0 {
		return
	}
	now := time.Now()
	r.idle = slices.DeleteFunc(r.idle, func(c *cursor) bool {
		if !c.due(now) {
			return false
		}
		r.ready = append(r.ready, c)
		return true
	})
}

func (c *cursor) due(now time.Time) bool {
	if c.changed == nil {
		return !now.Before(c.retry)
	}
	select {
	case <-c.changed:
		return true
	default:
		return false
	}
}

// join tells the reader of a topic that became known. It may be called at any
// time, more than once.
func (r *reader) join(topic string) {
	r.mu.Lock()
	r.joined = append(r.joined, topic)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reader) takeJoined() {
	r.mu.Lock()
	joined := r.joined
	r.joined = nil
	r.mu.Unlock()
	for _, topic := range joined {
		r.add(topic, r.laterStart(topic))
	}
}

// laterStart returns where to begin with a topic that became known after the
// subscription, or its durable name, began: all of it is news, but what a time excludes.
func (r *reader) laterStart(topic string) uint64 {
	from := FromStart()
	if r.durable != "" {
		if offset, ok := r.bus.cursors.place(r.durable, topic); ok {
			return offset
		}
	} else if r.from.kind == fromTime {
		from = r.from
	}
	offset, _ := startOf(r.log, topic, from) // neither kind has an error
	return offset
}

// add takes in a topic once. The caller has the turn, or is alone.
func (r *reader) add(topic string, next uint64) {
	if r.topics[topic] != nil {
		return
	}
	c := &cursor{topic: topic, next: next}
	r.topics[topic] = c
	r.ready = append(r.ready, c)
}

// close ends the reader; who reads notices by itself.
func (r *reader) close() {
	r.closing.Do(func() {
		close(r.done)
		r.bus.closed(r)
	})
}
