package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// SubscribeOption says how to subscribe: a [From], or [Durable].
type SubscribeOption interface{ apply(*subscribeOptions) }

type subscribeOptions struct {
	from    From
	durable string
	named   bool // a durable name was given, maybe an empty one
}

// From is where a subscription starts in this node's log of a topic. The zero
// value is [FromNow]. A durable name that has a place goes on from there instead.
type From struct {
	kind   fromKind
	offset uint64
	time   time.Time
}

type fromKind uint8

const (
	fromNow fromKind = iota
	fromStart
	fromOffset
	fromTime
)

func (f From) apply(o *subscribeOptions) { o.from = f }

// FromNow starts after what the node's log holds now: with everything that is
// published here or arrives from now on. On a node that joins late that includes
// older events of others that arrive only now.
func FromNow() From { return From{} }

// FromStart starts with the oldest event that the node holds.
func FromStart() From { return From{kind: fromStart} }

// FromOffset starts with the event of that offset, see [Event].Offset. It is for
// a plain topic, not for a filter with wildcards.
func FromOffset(offset uint64) From { return From{kind: fromOffset, offset: offset} }

// FromTime starts with the first event, in the order of this node's log, of a
// batch dated at or after t.
func FromTime(t time.Time) From { return From{kind: fromTime, time: t} }

type durableOption string

func (d durableOption) apply(o *subscribeOptions) { o.durable, o.named = string(d), true }

// Durable names the subscription. Its place moves with [Subscription.Ack] and
// is kept in the log, with the interest in its topics, over restarts and until
// [Bus.ForgetDurable]; what was not acknowledged is seen again. A name is bound
// to one topic or filter, and can be open once at a time.
//
// A new name starts from the subscription's [From]; afterwards From is ignored.
func Durable(name string) SubscribeOption { return durableOption(name) }

// Subscription is a place in the log of one topic, or of those that match a
// filter. It reads the log: a slow one lags, and loses nothing but what
// retention removes, which it reports. While nobody reads it costs nothing.
//
// Its methods are safe for concurrent use. Several goroutines may read at once;
// each event then goes to one of them.
type Subscription[T any] struct {
	reader *reader
	codec  Codec[T]
}

// SubscribeFilter subscribes to all topics that match the filter, also those
// that become known later: * stands for one token, > at the end for the rest.
// The topics take turns, a batch each; within a topic the order is as ever.
// See [Topic.Subscribe].
func SubscribeFilter[T any](ctx context.Context, b *Bus, filter string, codec Codec[T],
	from From, opts ...SubscribeOption,
) (*Subscription[T], error) {
	if err := ValidFilter(filter); err != nil {
		return nil, err
	}
	if codec == nil {
		return nil, configError("filter %q: nil codec", filter)
	}
	return subscribe(ctx, b, filter, codec, append([]SubscribeOption{from}, opts...))
}

func subscribe[T any](ctx context.Context, b *Bus, filter string, codec Codec[T],
	opts []SubscribeOption,
) (*Subscription[T], error) {
	var o subscribeOptions
	for _, opt := range opts {
		opt.apply(&o)
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	r, err := b.openReader(ctx, filter, o)
	if err != nil {
		return nil, err
	}
	return &Subscription[T]{r, codec}, nil
}

// Next returns the next event, and waits for it at most until ctx is done.
//
// An error that wraps [ErrGap], [ErrLagged] or [ErrDecode] is a mishap at that
// place of the sequence, which goes on after it. The event then has Topic and the
// last Offset that the mishap concerns, so that it can be acknowledged. Any other error ends it: [ErrClosed] or
// ctx's cause.
func (s *Subscription[T]) Next(ctx context.Context) (ev Event[T], err error) {
	r := s.reader
	if err = r.turns.enter(ctx, r.done); err != nil {
		return ev, err
	}
	defer r.turns.leave()
	err = s.next(ctx, &ev)
	return ev, err
}

// next is Next for who has the turn.
func (s *Subscription[T]) next(ctx context.Context, ev *Event[T]) error {
	r := s.reader
	if err := r.next(ctx); err != nil {
		ev.Topic, ev.Offset = r.place.topic, r.place.offset
		return err
	}
	fill(ev, &r.place, &r.event)
	value, err := s.codec.Decode(ev.Payload)
	if err != nil {
		raw := Event[[]byte]{Value: ev.Payload}
		fill(&raw, &r.place, &r.event)
		return &DecodeError{Event: raw, Count: 1, Err: err}
	}
	ev.Value = value
	return nil
}

// fill sets all of ev but its Value.
func fill[T any](ev *Event[T], p *place, e *wire.Event) {
	ev.ID = p.id
	ev.Topic = p.topic
	ev.Offset = p.offset
	ev.Time = e.Time.Std()
	ev.Key = e.Key[:len(e.Key):len(e.Key)]
	ev.HasKey = e.Key != nil
	ev.Headers = headersOf(e.Headers)
	ev.Payload = e.Payload[:len(e.Payload):len(e.Payload)]
	ev.Late = p.late
}

// Events returns the events as they come, waiting for each, until ctx is done.
// Errors are those of [Subscription.Next]: mishaps, after which it goes on, and
// a last one. Leaving the loop leaves the subscription open: a later call goes on
// after the last event seen. Close ends it.
func (s *Subscription[T]) Events(ctx context.Context) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		for {
			ev, err := s.Next(ctx)
			if !yield(ev, err) || err != nil && !isMishap(err) {
				return
			}
		}
	}
}

// isMishap reports whether the sequence goes on after err.
func isMishap(err error) bool {
	return errors.Is(err, ErrGap) || errors.Is(err, ErrLagged) || errors.Is(err, ErrDecode)
}

// Ack acknowledges ev and all before it on its topic, for a durable name. It
// returns at once; the place is written to the log within 50 ms, in one go with
// others, and when the subscription or the bus is closed. After a crash before that,
// some acknowledged events are seen again. An error of such a write is that of the
// next Ack. The error wraps [ErrConfig], [ErrFull], [ErrClosed] or ctx's cause.
func (s *Subscription[T]) Ack(ctx context.Context, ev Event[T]) error {
	return s.reader.ack(ctx, ev.Topic, ev.Offset)
}

// Close ends the subscription, writes what was acknowledged and lets go of
// its interest, unless it has a durable name. Readers get [ErrClosed]. It is idempotent.
func (s *Subscription[T]) Close() { s.reader.close() }

// place says where the reader is: what an event does not know itself.
type place struct {
	topic  string
	id     EventID
	offset uint64
	late   bool
}

// startOf returns the offset at which a subscription from f starts on a topic.
func startOf(log eventlog.Log, topic string, f From) (uint64, error) {
	info, _ := log.Topic(topic)
	switch f.kind {
	case fromStart:
		return info.First, nil
	case fromTime:
		return seekTime(log, topic, info, f.time), nil
	case fromOffset:
		if f.offset > info.Next {
			return 0, fmt.Errorf("%w: offset %d of %q, which ends before %d", ErrNotFound, f.offset, topic, info.Next)
		}
		return f.offset, nil
	case fromNow:
	}
	return info.Next, nil
}

// seekTime is SeekTime for any time, also one that the log's clock cannot hold.
func seekTime(log eventlog.Log, topic string, info eventlog.TopicInfo, t time.Time) uint64 {
	switch {
	case t.Before(time.Unix(0, 0)):
		return info.First
	case t.After(time.Unix(0, math.MaxInt64)):
		return info.Next
	}
	return log.SeekTime(topic, wire.TimeOf(t))
}
