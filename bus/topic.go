package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"unicode/utf8"

	"github.com/busnode/busnode/gossip/wire"
)

// ValidTopic returns nil, or why topic is not one: 1 to 255 bytes of UTF-8,
// tokens joined by dots. The error wraps [ErrTopic].
func ValidTopic(topic string) error { return translate(wire.ValidTopic(topic)) }

// ValidFilter returns nil, or why filter is not one: a topic in which * may
// stand for one token, and > at the end for the rest. The error wraps [ErrFilter].
func ValidFilter(filter string) error { return translate(wire.ValidFilter(filter)) }

// Topic is a typed handle on a topic. It is a function of the bus, the name
// and the codec, holds no state, and needs no closing. Its methods are safe
// for concurrent use.
//
// A node that only publishes on a topic is sent nothing of it.
type Topic[T any] struct {
	bus   *Bus
	name  string
	codec Codec[T]
}

// TopicOf returns the topic of that name. It is a function because Go has no
// generic methods. Peers that are interested in the topic learn that this node
// may publish on it, and this node of them: see [Topic.Peers]. The error wraps
// [ErrTopic], [ErrConfig] or [ErrClosed].
func TopicOf[T any](b *Bus, name string, codec Codec[T]) (Topic[T], error) {
	if err := ValidTopic(name); err != nil {
		return Topic[T]{}, err
	}
	if codec == nil {
		return Topic[T]{}, configError("topic %q: nil codec", name)
	}
	b.topics.learn(name)
	if err := b.driver.Announce(name); err != nil {
		return Topic[T]{}, translate(err)
	}
	return Topic[T]{b, name, codec}, nil
}

// Name returns the topic's name.
func (t Topic[T]) Name() string { return t.name }

// Publish publishes v and returns the event's ID. A nil error means that this
// node holds the event, as durably as [LogConfig] says, not that any other node
// does: see [Bus.WaitHeld]. It does not keep v or what is in opts.
//
// It waits while the log is behind, at most until ctx is done; never for the
// network. The error wraps [ErrTooLarge], [ErrBacklog], [ErrFull], [ErrClock],
// [ErrIdentityInUse], [ErrConfig], [ErrClosed], ctx's cause or what the codec
// says. After ctx's cause the event may have been published or not.
func (t Topic[T]) Publish(ctx context.Context, v T, opts ...EventOption) (EventID, error) {
	return t.publish(ctx, v, opts, t.bus.driver.Publish)
}

// PublishAsync is [Topic.Publish] that returns when the event is in its
// author's open batch. [Bus.Flush] waits for the log, and has the first error
// since the last Flush.
func (t Topic[T]) PublishAsync(ctx context.Context, v T, opts ...EventOption) (EventID, error) {
	return t.publish(ctx, v, opts, t.bus.driver.PublishAsync)
}

type publishFunc func(ctx context.Context, topic string, ev wire.Event) (wire.EventID, error)

func (t Topic[T]) publish(ctx context.Context, v T, opts []EventOption, send publishFunc) (EventID, error) {
	buf := buffers.Get().(*buffer)
	defer buf.release()
	ev, err := t.encode(buf, v)
	if err == nil {
		err = decorate(&ev, opts)
	}
	if err == nil {
		err = t.bus.checkSize(&ev)
	}
	if err != nil {
		return EventID{}, t.publishError(err)
	}
	id, err := send(ctx, t.name, ev)
	if err != nil {
		return EventID{}, t.publishError(err)
	}
	return t.bus.eventID(id), nil
}

// PublishAll publishes all of vs, in order, each with opts. On an error the
// IDs returned are those of the events published: a prefix of vs.
func (t Topic[T]) PublishAll(ctx context.Context, vs []T, opts ...EventOption) ([]EventID, error) {
	if len(vs) == 0 {
		return nil, nil
	}
	buf := buffers.Get().(*buffer)
	defer buf.release()
	events := make([]wire.Event, 0, len(vs))
	for _, v := range vs {
		ev, err := t.encode(buf, v)
		if err == nil {
			err = decorate(&ev, opts)
		}
		if err == nil {
			err = t.bus.checkSize(&ev)
		}
		if err != nil {
			return nil, t.publishError(fmt.Errorf("event %d of %d: %w", len(events)+1, len(vs), err))
		}
		events = append(events, ev)
	}
	held, err := t.bus.driver.PublishAll(ctx, t.name, events)
	ids := make([]EventID, len(held))
	for i, id := range held {
		ids[i] = t.bus.eventID(id)
	}
	return ids, t.publishError(err)
}

func (t Topic[T]) publishError(err error) error {
	if err = translate(err); err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("bus: publish on %q: %w", t.name, err)
}

// encode appends the payload of v to buf, or aliases v where the codec allows it.
func (t Topic[T]) encode(buf *buffer, v T) (wire.Event, error) {
	if c, ok := any(t.codec).(viewer[T]); ok {
		return wire.Event{Payload: c.view(v)}, nil
	}
	start := len(buf.bytes)
	grown, err := t.codec.Append(buf.bytes, v)
	if err != nil {
		return wire.Event{}, fmt.Errorf("encode: %w", err)
	}
	if len(grown) < start {
		return wire.Event{}, configError("codec %T does not append", t.codec)
	}
	buf.bytes = grown // earlier payloads stay where they are when this one moved
	return wire.Event{Payload: grown[start:]}, nil
}

// decorate adds key and headers to ev.
func decorate(ev *wire.Event, opts []EventOption) error {
	for _, o := range opts {
		switch o.kind {
		case optionNone: // the zero value adds nothing
		case optionKey:
			ev.Key = o.value
		case optionHeader:
			if !utf8.ValidString(o.name) {
				return configError("header name %q is not UTF-8", o.name)
			}
			ev.Headers = append(ev.Headers, wire.EventHeader{Name: o.name, Value: o.value})
		}
	}
	if n := len(ev.Headers); n > wire.EventHeadersMax {
		return fmt.Errorf("%w: %d headers, limit %d", ErrTooLarge, n, wire.EventHeadersMax)
	}
	return nil
}

// checkSize refuses an event over the limit.
func (b *Bus) checkSize(ev *wire.Event) error {
	size := len(ev.Payload) + len(ev.Key)
	for _, h := range ev.Headers {
		size += len(h.Name) + len(h.Value)
	}
	if size > b.opts.log.EventMaxBytes {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, size, b.opts.log.EventMaxBytes)
	}
	return nil
}

// eventID returns the bus's form of the ID of an own event.
func (b *Bus) eventID(id wire.EventID) EventID {
	return EventID{Topic: id.Topic, Author: b.self, Epoch: uint64(id.Epoch), Seq: id.Seq}
}

// Subscribe returns a subscription that starts at from, and is subscribed when
// it returns: it misses nothing published here afterwards, and nothing that
// arrives. It ends with Close. ctx bounds Subscribe alone.
//
// The error wraps [ErrConfig], [ErrNotFound] for an offset that does not exist
// yet, [ErrInUse] for a durable name that is open, [ErrClosed] or ctx's cause.
func (t Topic[T]) Subscribe(ctx context.Context, from From, opts ...SubscribeOption) (*Subscription[T], error) {
	return subscribe(ctx, t.bus, t.name, t.codec, append([]SubscribeOption{from}, opts...))
}

// Events is Subscribe and [Subscription.Events] in one, from [FromNow] unless
// opts say otherwise: it is subscribed when it returns, and the subscription
// ends with the loop or with ctx. The sequence can be ranged over once.
func (t Topic[T]) Events(ctx context.Context, opts ...SubscribeOption) (iter.Seq2[Event[T], error], error) {
	s, err := subscribe(ctx, t.bus, t.name, t.codec, opts)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.Close) // even if nobody ranges
	return func(yield func(Event[T], error) bool) {
		defer stop()
		defer s.Close()
		s.Events(ctx)(yield)
	}, nil
}

// Peers returns the peers that hold the topic or want it, and are connected now.
func (t Topic[T]) Peers() []PeerID {
	peers := t.bus.driver.TopicPeers(t.name)
	ids := make([]PeerID, len(peers))
	for i, p := range peers {
		ids[i] = peerIDOf(p)
	}
	return ids
}

// buffer holds payloads while they are handed to the driver, which copies them.
type buffer struct{ bytes []byte }

const bufferKeptMaxBytes = 1 << 20

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func (b *buffer) release() {
	if cap(b.bytes) > bufferKeptMaxBytes {
		return
	}
	b.bytes = b.bytes[:0]
	buffers.Put(b)
}
