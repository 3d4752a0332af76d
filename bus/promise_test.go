package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
)

// The tests of this file show the promises P1 to P10 at the surface of the bus,
// on a network in memory and on fake time. docs/guarantees.md points at them.

// inBubble runs f on a network of n buses, in fake time.
func inBubble(t *testing.T, n int, f func(t *testing.T, net *bustest.Network), opts ...bus.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, bustest.New(t, n, opts...)) })
}

func numbers(from, to int) []string {
	var values []string
	for i := from; i <= to; i++ {
		values = append(values, fmt.Sprint(i))
	}
	return values
}

// expectValues reads as many events as there are values, in their order.
func expectValues(t *testing.T, sub *bus.Subscription[string], values []string) {
	t.Helper()
	for i, ev := range bustest.Collect(t, sub, len(values)) {
		if ev.Value != values[i] {
			t.Fatalf("event %d is %q, want %q", i+1, ev.Value, values[i])
		}
	}
}

func TestPromise1Held(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		b := net.Bus(0)
		topic := bustest.Topic(t, b, "held", bus.Text{})
		id := bustest.Publish(t, topic, "alone")[0]
		sub := bustest.Subscribe(t, topic, bus.FromStart())
		if ev := bustest.Collect(t, sub, 1)[0]; ev.ID != id || ev.ID.Author != b.ID() || ev.ID.Seq != 1 {
			t.Errorf("event %v, want %v", ev.ID, id)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.WaitHeld(ctx, id, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitHeld without another node: %v", err)
		}
	})
}

func TestPromise1WaitHeld(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, net *bustest.Network) {
		for i := 1; i < 3; i++ {
			bustest.Subscribe(t, bustest.Topic(t, net.Bus(i), "held", bus.Text{}), bus.FromNow())
		}
		topic := bustest.Topic(t, net.Bus(0), "held", bus.Text{})
		id := bustest.Publish(t, topic, "everywhere")[0]
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := net.Bus(0).WaitHeld(ctx, id, 2); err != nil {
			t.Error(err)
		}
	})
}

func TestPromise2EverywhereAlongAChain(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, net *bustest.Network) {
		net.Chain()
		net.Delay(time.Millisecond, 20*time.Millisecond)
		var subs []*bus.Subscription[string]
		for _, b := range net.Buses() {
			subs = append(subs, bustest.Subscribe(t, bustest.Topic(t, b, "chain", bus.Text{}), bus.FromNow()))
		}
		bustest.Publish(t, bustest.Topic(t, net.Bus(0), "chain", bus.Text{}), numbers(1, 100)...)
		for _, sub := range subs {
			expectValues(t, sub, numbers(1, 100))
		}
	})
}

func TestPromise2EverywhereAcrossACut(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, net *bustest.Network) {
		var subs []*bus.Subscription[string]
		for _, b := range net.Buses() {
			subs = append(subs, bustest.Subscribe(t, bustest.Topic(t, b, "cut", bus.Text{}), bus.FromNow()))
		}
		net.Cut([]int{0, 1}, []int{2, 3})
		bustest.Publish(t, bustest.Topic(t, net.Bus(0), "cut", bus.Text{}), numbers(1, 50)...)
		bustest.Publish(t, bustest.Topic(t, net.Bus(3), "cut", bus.Text{}), numbers(51, 100)...)
		time.Sleep(time.Minute)
		net.Heal()
		for i, sub := range subs {
			expectTwoAuthors(t, fmt.Sprint("node ", i), bustest.Collect(t, sub, 100))
			bustest.Quiet(t, sub, 20*time.Second)
		}
	})
}

// expectTwoAuthors checks that the numbers of each author come once and in order.
func expectTwoAuthors(t *testing.T, who string, events []bus.Event[string]) {
	t.Helper()
	next := map[bus.PeerID]uint64{}
	for _, ev := range events {
		next[ev.ID.Author]++
		if ev.ID.Seq != next[ev.ID.Author] || ev.Late {
			t.Errorf("%s: event %v comes as number %d, late %v", who, ev.ID, next[ev.ID.Author], ev.Late)
		}
	}
}

func TestPromise2LateJoiner(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, net *bustest.Network) {
		topic := bustest.Topic(t, net.Bus(0), "history", bus.Text{})
		other := bustest.Topic(t, net.Bus(1), "history", bus.Text{})
		bustest.Subscribe(t, other, bus.FromNow())
		bustest.Publish(t, topic, numbers(1, 200)...)
		time.Sleep(time.Hour)
		if err := net.Stop(0); err != nil { // the joiner gets it from a node that only holds it
			t.Fatal(err)
		}
		late, err := net.Add(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(late), "history", bus.Text{}), bus.FromStart())
		expectValues(t, sub, numbers(1, 200))
	})
}

func TestPromise2ForwarderCarriesWhatItDoesNotRead(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, net *bustest.Network) {
		net.Chain()
		sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(2), "far.away", bus.Text{}), bus.FromStart())
		bustest.Publish(t, bustest.Topic(t, net.Bus(0), "far.away", bus.Text{}), numbers(1, 10)...)
		expectValues(t, sub, numbers(1, 10))
	}, bus.WithForward("far.>"))
}

func TestPromise3OnceOnBrokenLinks(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, net *bustest.Network) {
		net.Delay(time.Millisecond, 30*time.Millisecond)
		net.Loss(0.02)
		var subs []*bus.Subscription[string]
		for _, b := range net.Buses() {
			subs = append(subs, bustest.Subscribe(t, bustest.Topic(t, b, "once", bus.Text{}), bus.FromNow()))
		}
		topic := bustest.Topic(t, net.Bus(0), "once", bus.Text{})
		for _, v := range numbers(1, 200) {
			bustest.Publish(t, topic, v)
			time.Sleep(10 * time.Millisecond)
		}
		for _, sub := range subs {
			expectValues(t, sub, numbers(1, 200))
			bustest.Quiet(t, sub, 20*time.Second)
		}
	})
}

func TestPromise3DurableGoesOnAfterTheLastAcknowledged(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		topic := bustest.Topic(t, net.Bus(0), "work", bus.Text{})
		bustest.Publish(t, topic, numbers(1, 5)...)
		sub := bustest.Subscribe(t, topic, bus.FromStart(), bus.Durable("worker"))
		events := bustest.Collect(t, sub, 4)
		if err := sub.Ack(t.Context(), events[1]); err != nil { // covers the first as well
			t.Fatal(err)
		}
		if err := sub.Ack(t.Context(), events[0]); err != nil { // moves nothing back
			t.Fatal(err)
		}
		if _, err := topic.Subscribe(t.Context(), bus.FromNow(), bus.Durable("worker")); !errors.Is(err, bus.ErrInUse) {
			t.Errorf("second subscription of the name: %v", err)
		}
		sub.Close()
		again := bustest.Subscribe(t, topic, bus.FromNow(), bus.Durable("worker"))
		expectValues(t, again, numbers(3, 5))
	})
}

func TestPromise4InOrderPerPublisher(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, net *bustest.Network) {
		net.Delay(time.Millisecond, 100*time.Millisecond)
		var topics []bus.Topic[string]
		var subs []*bus.Subscription[string]
		for _, b := range net.Buses() {
			topic := bustest.Topic(t, b, "order", bus.Text{})
			topics, subs = append(topics, topic), append(subs, bustest.Subscribe(t, topic, bus.FromNow()))
		}
		for i := range 100 {
			for _, topic := range topics {
				bustest.Publish(t, topic, fmt.Sprint(i))
			}
			time.Sleep(7 * time.Millisecond)
		}
		for i, sub := range subs {
			expectTwoAuthors(t, fmt.Sprint("node ", i), bustest.Collect(t, sub, 400))
		}
	})
}

func TestPromise5NeverSilent(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		b := net.Bus(0)
		topic := bustest.Topic(t, b, "limits", bus.Bytes{})
		_, err := topic.Publish(t.Context(), make([]byte, 64<<20))
		if !errors.Is(err, bus.ErrTooLarge) || !strings.Contains(err.Error(), "67108864") ||
			!strings.Contains(err.Error(), "4194304") {
			t.Errorf("a 64 MiB payload: %v; want ErrTooLarge with size and limit", err)
		}
		ids, err := topic.PublishAll(t.Context(), [][]byte{{1}, make([]byte, 5<<20)})
		if !errors.Is(err, bus.ErrTooLarge) || len(ids) != 0 {
			t.Errorf("one too large of two: %v, %v", ids, err)
		}
		if _, err := topic.Publish(t.Context(), nil, bus.Header("\xff", "no UTF-8")); !errors.Is(err, bus.ErrConfig) {
			t.Errorf("a header name that is not UTF-8: %v", err)
		}
		for _, name := range []string{"", "a..b", "a.*", strings.Repeat("x", 256)} {
			if _, err := bus.TopicOf(b, name, bus.Bytes{}); !errors.Is(err, bus.ErrTopic) {
				t.Errorf("topic %q: %v", name, err)
			}
		}
		for _, filter := range []string{"", "a.>.b", "a."} {
			_, err := bus.SubscribeFilter(t.Context(), b, filter, bus.Bytes{}, bus.FromNow())
			if !errors.Is(err, bus.ErrFilter) {
				t.Errorf("filter %q: %v", filter, err)
			}
		}
		sub := bustest.Subscribe(t, topic, bus.FromStart())
		if _, err := topic.Publish(t.Context(), []byte("the node lives")); err != nil {
			t.Fatal(err)
		}
		if ev := bustest.Collect(t, sub, 1)[0]; string(ev.Value) != "the node lives" || ev.ID.Seq != 1 {
			t.Errorf("event %v: %s", ev.ID, ev.Value)
		}
	})
}

func TestPromise9NoSpecialNode(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, net *bustest.Network) {
		last := bustest.Subscribe(t, bustest.Topic(t, net.Bus(4), "all", bus.Text{}), bus.FromNow())
		for i := range 4 {
			bustest.Subscribe(t, bustest.Topic(t, net.Bus(i), "all", bus.Text{}), bus.FromNow())
		}
		for i := range 4 { // each publishes, is seen by one other, and leaves
			topic := bustest.Topic(t, net.Bus(i), "all", bus.Text{})
			id := bustest.Publish(t, topic, fmt.Sprint("from ", i))[0]
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := net.Bus(i).WaitHeld(ctx, id, 1); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := net.Stop(i); err != nil {
				t.Fatal(err)
			}
		}
		got := bustest.Values(bustest.Collect(t, last, 4))
		slices.Sort(got) // nothing is promised of the order between publishers
		if want := []string{"from 0", "from 1", "from 2", "from 3"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
