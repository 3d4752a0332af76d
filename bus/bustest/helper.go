package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/busnode/busnode/bus"
)

// timeout bounds what a helper waits for. Inside testing/synctest it costs nothing.
const timeout = 30 * time.Second

// Topic returns a topic, or ends the test.
func Topic[T any](t testing.TB, b *bus.Bus, name string, codec bus.Codec[T]) bus.Topic[T] {
	t.Helper()
	topic, err := bus.TopicOf(b, name, codec)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// Subscribe subscribes, or ends the test, with which the subscription ends too.
func Subscribe[T any](t testing.TB, topic bus.Topic[T], from bus.From,
	opts ...bus.SubscribeOption,
) *bus.Subscription[T] {
	t.Helper()
	sub, err := topic.Subscribe(t.Context(), from, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return sub
}

// Publish publishes values one after the other, or ends the test.
func Publish[T any](t testing.TB, topic bus.Topic[T], values ...T) []bus.EventID {
	t.Helper()
	ids := make([]bus.EventID, len(values))
	for i, v := range values {
		id, err := topic.Publish(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	return ids
}

// Collect returns the next n events of a subscription. It ends the test at a
// mishap, or when they do not come within half a minute.
func Collect[T any](t testing.TB, sub *bus.Subscription[T], n int) []bus.Event[T] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	events := make([]bus.Event[T], 0, n)
	for len(events) < n {
		ev, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(events), n, err)
		}
		events = append(events, ev)
	}
	return events
}

// Quiet ends the test if anything comes within d.
func Quiet[T any](t testing.TB, sub *bus.Subscription[T], d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	ev, err := sub.Next(ctx)
	if err == nil {
		t.Fatalf("unexpected event %v", ev.ID)
	}
	if ctx.Err() == nil {
		t.Fatal(err)
	}
}

// Values returns the values of events.
func Values[T any](events []bus.Event[T]) []T {
	values := make([]T, len(events))
	for i := range events {
		values[i] = events[i].Value
	}
	return values
}
