package bus_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
	"github.com/busnode/busnode/gossip"
)

func TestOpenReportsAllThatIsWrong(t *testing.T) {
	_, err := bus.Open(t.Context(),
		bus.WithDataDir(""), bus.WithNetwork(""), bus.WithNetworkKey([]byte("short")), bus.WithHost(nil),
		bus.WithListen("nowhere"), bus.WithPeers("/ip4/1.2.3.4/tcp/1"), bus.WithForward("a..b"),
		bus.WithEventLog(bus.LogConfig{Sync: 9, Age: -1, Bytes: -1, EventMaxBytes: -1}), bus.WithGossip(gossip.Config{}),
		bus.WithMulticast(9, bus.MulticastInterfaces()), bus.WithAllowedPeers("x"),
		bus.WithLogger(nil), bus.WithIdentity(nil), bus.WithCarrier())
	if !errors.Is(err, bus.ErrConfig) {
		t.Fatalf("got %v, want ErrConfig", err)
	}
	for _, name := range []string{
		"WithDataDir", "WithNetwork", "WithNetworkKey", "WithHost", "WithListen", "WithPeers", "WithForward",
		"Sync", "Age", "Bytes", "EventMaxBytes", "WithGossip", "WithMulticast", "MulticastInterfaces",
		"WithAllowedPeers", "WithLogger", "WithIdentity", "WithCarrier",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s:\n%v", name, err)
		}
	}
}

func TestOpenHonoursItsContext(t *testing.T) {
	why := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := bus.Open(ctx); !errors.Is(err, why) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestEventCarriesKeyHeadersAndTime(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, net *bustest.Network) {
		sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(1), "t", bus.JSON[map[string]int]{}), bus.FromNow())
		topic := bustest.Topic(t, net.Bus(0), "t", bus.JSON[map[string]int]{})
		now := time.Now()
		id, err := topic.Publish(t.Context(), map[string]int{"a": 1}, bus.Key("k"), bus.Header("Ünïcode", []byte{0xff, 0}),
			bus.Header("n", "1"), bus.Header("n", "2"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := topic.Publish(t.Context(), nil, bus.Key("")); err != nil {
			t.Fatal(err)
		}
		bustest.Publish(t, topic, map[string]int{})
		events := bustest.Collect(t, sub, 3)
		ev := events[0]
		if ev.ID != id || ev.Topic != "t" || ev.Value["a"] != 1 || string(ev.Payload) != `{"a":1}` {
			t.Errorf("event %+v, want %v", ev, id)
		}
		if string(ev.Key) != "k" || !ev.HasKey || ev.Time.Sub(now).Abs() > time.Second || ev.Time.Location() != time.UTC {
			t.Errorf("key %q, time %v", ev.Key, ev.Time)
		}
		want := []bus.EventHeader{
			{Name: "Ünïcode", Value: []byte{0xff, 0}}, {Name: "n", Value: []byte("1")}, {Name: "n", Value: []byte("2")},
		}
		same := func(a, b bus.EventHeader) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }
		if !slices.EqualFunc(ev.Headers, want, same) {
			t.Errorf("headers %v", ev.Headers)
		}
		if v, ok := ev.Header("n"); !ok || string(v) != "1" {
			t.Errorf("header n is %q, %v", v, ok)
		}
		if !events[1].HasKey || len(events[1].Key) != 0 || events[2].HasKey {
			t.Error("an empty key and no key are not told apart")
		}
	})
}

func TestPublishAllKeepsOrder(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, net *bustest.Network) {
		sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(1), "t", bus.Text{}), bus.FromNow())
		topic := bustest.Topic(t, net.Bus(0), "t", bus.Text{})
		ids, err := topic.PublishAll(t.Context(), numbers(1, 5000))
		if err != nil || len(ids) != 5000 {
			t.Fatalf("%d IDs, %v", len(ids), err)
		}
		for i, ev := range bustest.Collect(t, sub, 5000) {
			if ev.ID != ids[i] || ev.Value != numbers(i+1, i+1)[0] {
				t.Fatalf("event %d is %v: %s", i, ev.ID, ev.Value)
			}
		}
		if ids, err := topic.PublishAll(t.Context(), nil); ids != nil || err != nil {
			t.Errorf("nothing published: %v, %v", ids, err)
		}
	})
}

func TestPublishAsyncAndFlush(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		topic := bustest.Topic(t, net.Bus(0), "t", bus.Text{})
		for _, v := range numbers(1, 1000) {
			if _, err := topic.PublishAsync(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := net.Bus(0).Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := net.Bus(0).Topics()[0]; held.Events != 1000 || held.Next != 1000 || held.Last != 999 {
			t.Errorf("after Flush the log holds %+v", held)
		}
	})
}

func TestEventsEndsWithTheLoop(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		topic := bustest.Topic(t, net.Bus(0), "t", bus.Text{})
		events, err := topic.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bustest.Publish(t, topic, numbers(1, 3)...)
		var got []string
		for ev, err := range events {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, ev.Value); len(got) == 2 {
				break
			}
		}
		if !slices.Equal(got, numbers(1, 2)) || net.Bus(0).Stats().Subscriptions != 0 {
			t.Errorf("got %v, %d subscriptions left", got, net.Bus(0).Stats().Subscriptions)
		}
		for _, err := range events {
			if !errors.Is(err, bus.ErrClosed) {
				t.Errorf("ranging a second time: %v", err)
			}
		}
	})
}

func TestFilterJoinsTopicsThatBecomeKnown(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, net *bustest.Network) {
		bustest.Publish(t, bustest.Topic(t, net.Bus(0), "news.old", bus.Text{}), "old")
		sub, err := bus.SubscribeFilter(t.Context(), net.Bus(1), "news.>", bus.Text{}, bus.FromStart())
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		if ev := bustest.Collect(t, sub, 1)[0]; ev.Topic != "news.old" {
			t.Errorf("got %v", ev.ID)
		}
		for i, topic := range []string{"news.a", "news.b.c", "other", "news.d"} {
			bustest.Publish(t, bustest.Topic(t, net.Bus(i%3), topic, bus.Text{}), topic)
			if topic == "other" {
				continue
			}
			if ev := bustest.Collect(t, sub, 1)[0]; ev.Topic != topic || ev.Value != topic {
				t.Errorf("got %v, want one of %s", ev.ID, topic)
			}
		}
	})
}

func TestPublishOnlyNodeIsSentNothing(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, net *bustest.Network) {
		bustest.Subscribe(t, bustest.Topic(t, net.Bus(2), "t", bus.Text{}), bus.FromNow())
		bustest.Publish(t, bustest.Topic(t, net.Bus(0), "t", bus.Text{}), "mine")
		bustest.Publish(t, bustest.Topic(t, net.Bus(1), "t", bus.Text{}), "another's")
		time.Sleep(time.Minute)
		if held := net.Bus(0).Stats().Log.Events; held != 1 {
			t.Errorf("the publish-only node holds %d events, want its own", held)
		}
		if held := net.Bus(2).Stats().Log.Events; held != 2 {
			t.Errorf("the subscriber holds %d events, want 2", held)
		}
	})
}

func TestPresence(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, net *bustest.Network) {
		topic := bustest.Topic(t, net.Bus(0), "t", bus.Text{})
		bustest.Subscribe(t, topic, bus.FromNow())
		other := bustest.Subscribe(t, bustest.Topic(t, net.Bus(1), "t", bus.Text{}), bus.FromNow())
		time.Sleep(time.Second)
		id := net.Bus(1).ID()
		if peers := topic.Peers(); !slices.Equal(peers, []bus.PeerID{id}) {
			t.Errorf("peers of the topic: %v, want %v", peers, id)
		}
		if peers := net.Bus(0).Peers(); len(peers) != 1 || peers[0].ID != id || peers[0].Path != "memory" ||
			!slices.Equal(peers[0].Topics, []string{"t"}) {
			t.Errorf("peers: %+v", peers)
		}
		want := []bus.Presence{{Peer: id, Topic: "t", Up: true}, {Peer: id, Topic: "t"}}
		for p, err := range net.Bus(0).Watch(t.Context()) {
			if err != nil || p != want[0] {
				t.Fatalf("got %+v, %v; want %+v", p, err, want[0])
			}
			if want = want[1:]; len(want) == 0 {
				break
			}
			other.Close()
			if err := net.Stop(1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestShutdownWaitsForANeighbour(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, net *bustest.Network) {
		sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(1), "t", bus.Text{}), bus.FromNow())
		net.Cut([]int{0}, []int{1})
		bustest.Publish(t, bustest.Topic(t, net.Bus(0), "t", bus.Text{}), "last words")
		time.AfterFunc(30*time.Second, net.Heal)
		start := time.Now()
		if err := net.Bus(0).Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 30*time.Second {
			t.Errorf("it waited %v only", d)
		}
		expectValues(t, sub, []string{"last words"})
	})
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		bustest.Publish(t, bustest.Topic(t, net.Bus(0), "t", bus.Text{}), "unheard")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := net.Bus(0).Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAfterCloseEverythingIsClosed(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		b := net.Bus(0)
		topic := bustest.Topic(t, b, "t", bus.Text{})
		sub := bustest.Subscribe(t, topic, bus.FromNow(), bus.Durable("d"))
		id := bustest.Publish(t, topic, "x")[0]
		if err := errors.Join(b.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		_, publish := topic.Publish(ctx, "x")
		_, publishAsync := topic.PublishAsync(ctx, "x")
		_, publishAll := topic.PublishAll(ctx, []string{"x"})
		_, subscribe := topic.Subscribe(ctx, bus.FromNow())
		_, next := sub.Next(ctx)
		var watch error
		for _, watch = range b.Watch(ctx) {
		}
		for what, err := range map[string]error{
			"Publish": publish, "PublishAsync": publishAsync, "PublishAll": publishAll, "Subscribe": subscribe, "Next": next,
			"Ack": sub.Ack(ctx, bus.Event[string]{Topic: "t"}), "Flush": b.Flush(ctx), "WaitHeld": b.WaitHeld(ctx, id, 1),
			"Watch": watch, "Shutdown": b.Shutdown(ctx), "ForgetDurable": b.ForgetDurable("d"),
			"Connect": b.Connect(ctx, ""), "Block": b.Block(),
		} {
			if !errors.Is(err, bus.ErrClosed) {
				t.Errorf("%s after Close: %v", what, err)
			}
		}
		if b.Peers() != nil && len(b.Peers()) > 0 {
			t.Error("peers after Close")
		}
		b.Topics()
		b.Stats()
		b.Addrs()
	})
}

func TestDurableNames(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		b := net.Bus(0)
		topic := bustest.Topic(t, b, "t", bus.Text{})
		bustest.Publish(t, topic, numbers(1, 2)...)
		sub := bustest.Subscribe(t, topic, bus.FromNow(), bus.Durable("d"))
		bustest.Publish(t, topic, "3")
		events := bustest.Collect(t, sub, 1)
		if got := b.Durables(); !slices.Equal(got, []bus.DurableInfo{{Name: "d", Filter: "t"}}) {
			t.Errorf("durable names %v", got)
		}
		if err := b.ForgetDurable("d"); !errors.Is(err, bus.ErrInUse) {
			t.Errorf("forget an open one: %v", err)
		}
		if err := sub.Ack(t.Context(), bus.Event[string]{Topic: "u"}); !errors.Is(err, bus.ErrConfig) {
			t.Errorf("acknowledge another topic's event: %v", err)
		}
		if err := sub.Ack(t.Context(), events[0]); err != nil {
			t.Fatal(err)
		}
		sub.Close()
		other := bustest.Topic(t, b, "u", bus.Text{})
		if _, err := other.Subscribe(t.Context(), bus.FromNow(), bus.Durable("d")); !errors.Is(err, bus.ErrConfig) {
			t.Errorf("the name for another topic: %v", err)
		}
		if err := b.ForgetDurable("d"); err != nil {
			t.Fatal(err)
		}
		if err := b.ForgetDurable("d"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("forget an unknown one: %v", err)
		}
		anew := bustest.Subscribe(t, topic, bus.FromStart(), bus.Durable("d"))
		expectValues(t, anew, numbers(1, 3))
		plain := bustest.Subscribe(t, topic, bus.FromNow())
		if err := plain.Ack(t.Context(), events[0]); !errors.Is(err, bus.ErrConfig) {
			t.Errorf("acknowledge without a name: %v", err)
		}
	})
}

func TestDurableFilterKeepsAPlacePerTopic(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, net *bustest.Network) {
		b := net.Bus(0)
		publish := func(topic string, values ...string) {
			bustest.Publish(t, bustest.Topic(t, b, topic, bus.Text{}), values...)
		}
		subscribe := func() *bus.Subscription[string] {
			sub, err := bus.SubscribeFilter(t.Context(), b, "w.*", bus.Text{}, bus.FromNow(), bus.Durable("d"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sub.Close)
			return sub
		}
		publish("w.a", "before")
		sub := subscribe()
		publish("w.a", "a1", "a2")
		publish("w.b", "b1")
		for _, ev := range bustest.Collect(t, sub, 3) {
			if ev.Value == "a2" {
				continue
			}
			if err := sub.Ack(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
		}
		sub.Close()
		publish("w.c", "c1") // a topic that was not there yet
		got := bustest.Values(bustest.Collect(t, subscribe(), 2))
		slices.Sort(got)
		if !slices.Equal(got, []string{"a2", "c1"}) {
			t.Errorf("after reopening: %v", got)
		}
	})
}

func TestSecondProcessOnADirectory(t *testing.T) {
	dir := t.TempDir()
	opts := []bus.Option{bus.WithDataDir(dir), bus.WithListen("/ip4/127.0.0.1/tcp/0"), bus.WithoutMDNS(), quiet}
	b, err := bus.Open(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if _, err := bus.Open(t.Context(), opts...); !errors.Is(err, bus.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	topic := bustest.Topic(t, b, "t", bus.Text{})
	bustest.Publish(t, topic, "the first one lives")
	id := b.ID()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err = bus.Open(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	if b.ID() != id {
		t.Errorf("identity %s became %s", id, b.ID())
	}
	expectValues(t, bustest.Subscribe(t, bustest.Topic(t, b, "t", bus.Text{}), bus.FromStart()),
		[]string{"the first one lives"})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOtherNetworkIsAClearError(t *testing.T) {
	key := func(b byte) bus.Option { return bus.WithNetworkKey(bytes.Repeat([]byte{b}, 32)) }
	for name, opts := range map[string][2]bus.Option{
		"name": {bus.WithNetwork("one"), bus.WithNetwork("another")},
		"key":  {key(1), key(2)},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := openReal(t, opts[0]), openReal(t, opts[1])
			topic := textTopic(t, a)
			sub := bustest.Subscribe(t, textTopic(t, b), bus.FromStart())
			bustest.Publish(t, topic, "private")
			ctx, cancel := context.WithTimeout(t.Context(), hop)
			defer cancel()
			if err := a.Connect(ctx, addrOf(t, b)); !errors.Is(err, bus.ErrOtherNetwork) {
				t.Errorf("got %v, want ErrOtherNetwork", err)
			}
			troubles := a.Troubles()
			if len(troubles) != 1 || troubles[0].Peer != b.ID() || !errors.Is(troubles[0].Err, bus.ErrOtherNetwork) {
				t.Errorf("troubles %+v", troubles)
			}
			if len(a.Peers()) != 0 || len(b.Peers()) != 0 || len(topic.Peers()) != 0 {
				t.Error("the two know each other as peers")
			}
			bustest.Publish(t, textTopic(t, b), "the node lives")
			expectValues(t, sub, []string{"the node lives"})
		})
	}
}

func TestPeerIDText(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	net := bustest.New(t, 1, bus.WithIdentity(key))
	id := net.Bus(0).ID()
	if got, err := bus.ParsePeerID(id.String()); got != id || err != nil || !strings.HasPrefix(id.String(), "12D3KooW") {
		t.Errorf("%s parsed as %s, %v", id, got, err)
	}
	if _, err := bus.ParsePeerID("nobody"); !errors.Is(err, bus.ErrConfig) {
		t.Errorf("got %v", err)
	}
}
