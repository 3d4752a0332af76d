package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

func TestTwoNodes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		synctest.Wait()
		ids := a.publish("a", 0, 100)
		ctx, cancel := r.within(time.Second)
		defer cancel()
		if err := a.WaitHeld(ctx, ids[99], 1); err != nil {
			t.Fatalf("WaitHeld: %v", err)
		}
		b.publish("b", 0, 100)
		b.wantAll(time.Second, map[string]int{"a": 100, "b": 100})
		a.wantAll(time.Second, map[string]int{"a": 100, "b": 100})
		if p := a.Peers(); len(p) != 1 || p[0].ID != b.id || len(p[0].Topics) != 1 || p[0].Link.Path != carrier.PathMemory {
			t.Errorf("Peers: %+v", p)
		}
		if p := a.TopicPeers(testTopic); len(p) != 1 || p[0] != b.id {
			t.Errorf("TopicPeers: %v", p)
		}
		if s := a.TopicStats(testTopic); s != (TopicStats{Neighbours: 1}) {
			t.Errorf("TopicStats: %+v", s)
		}
		if s := a.Stats(); s.Published != 100 || s.Gossip.Published != s.PublishedBatches || s.Gossip.Peers != 1 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

func TestChainCarriesEventsThatItsEndsPublish(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b, c := r.start(1), r.start(2), r.start(3)
		r.net.SetDelay(5*time.Millisecond, 20*time.Millisecond)
		r.connect(a, b)
		r.connect(b, c)
		for i := range 20 {
			a.publish("a", 25*i, 25)
			c.publish("c", 25*i, 25)
			time.Sleep(10 * time.Millisecond)
		}
		for _, x := range []*node{a, b, c} {
			x.wantAll(10*time.Second, map[string]int{"a": 500, "c": 500})
		}
	})
}

func TestLateJoinerGetsAll(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		a.publish("a", 0, 3000)
		b.publish("b", 0, 3000)
		time.Sleep(13 * time.Second)
		c := r.start(3)
		r.connect(b, c)
		c.wantAll(10*time.Second, map[string]int{"a": 3000, "b": 3000})
	})
}

func TestCutAndHeal(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		nodes := []*node{r.start(1), r.start(2), r.start(3), r.start(4)}
		r.connect(nodes...)
		synctest.Wait()
		r.net.Cut([]wire.PeerID{nodes[0].id, nodes[1].id}, []wire.PeerID{nodes[2].id, nodes[3].id})
		for i := range 50 {
			for j, x := range nodes {
				x.publish(string(rune('a'+j)), 10*i, 10)
			}
			time.Sleep(100 * time.Millisecond)
		}
		r.net.Heal()
		want := map[string]int{"a": 500, "b": 500, "c": 500, "d": 500}
		for _, x := range nodes {
			x.wantAll(3*time.Second, want)
		}
	})
}

func TestLinksThatBreakLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.net.SetDelay(time.Millisecond, 30*time.Millisecond)
		r.net.SetLoss(0.02)
		r.connect(a, b)
		for i := range 300 {
			a.publish("a", 5*i, 5)
			time.Sleep(20 * time.Millisecond)
		}
		r.net.SetLoss(0)
		b.wantAll(10*time.Second, map[string]int{"a": 1500})
	})
}

// mute is a peer that wants everything and reads nothing.
type mute struct {
	up   chan struct{}
	stop chan struct{}
}

func (m *mute) LinkUp(carrier.Link)                     { close(m.up) }
func (m *mute) LinkDown(wire.PeerID, error)             {}
func (m *mute) Frame(wire.PeerID, carrier.Lane, []byte) { <-m.stop }

// stuckPeer links a peer to x that wants everything and reads nothing.
func (r *rig) stuckPeer(x *node) {
	r.t.Helper()
	m := &mute{make(chan struct{}), make(chan struct{})}
	id := peerOf(testKey(99))
	c := r.net.Join(id)
	if err := c.Start(m); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		close(m.stop)
		if err := c.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.net.Connect(id, x.id)
	<-m.up
	for _, m := range []wire.Message{
		&wire.Interest{Add: []string{">"}},
		&wire.Topics{Add: []wire.TopicEntry{{Name: testTopic}}},
		&wire.Link{Topic: testTopic, Up: true},
	} {
		if err := c.Send(r.t.Context(), x.id, carrier.News, wire.AppendMessage(nil, m)); err != nil {
			r.t.Fatal(err)
		}
	}
	synctest.Wait()
}

func TestStuckPeerStopsNeitherPublishingNorOthers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		r.stuckPeer(a)
		payload := strings.Repeat("x", 4000)
		begin := time.Now()
		for i := range 5000 {
			ev := wire.Event{Payload: fmt.Appendf(nil, "a-%d %s", i, payload)}
			if _, err := a.PublishAsync(t.Context(), testTopic, ev); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("publishing waited for %v", took)
		}
		b.wantAll(5*time.Second, map[string]int{"a": 5000})
		if n := a.Stats().OutboxFull; n == 0 {
			t.Error("the stuck peer's outbox was never full")
		}
	})
}

func TestFullOutboxLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.net.SetBandwidth(2 << 20)
		r.connect(a, b)
		a.publish("a", 0, 1)
		b.wantAll(time.Second, map[string]int{"a": 1})
		payload := strings.Repeat("x", 4000)
		for i := 1; i < 5001; i++ {
			ev := wire.Event{Payload: fmt.Appendf(nil, "a-%d %s", i, payload)}
			if _, err := a.PublishAsync(t.Context(), testTopic, ev); err != nil {
				t.Fatal(err)
			}
		}
		b.wantAll(60*time.Second, map[string]int{"a": 5001})
		if n := a.Stats().OutboxFull; n == 0 {
			t.Error("the outbox was never full")
		}
	})
}

func TestPublishersShareBatches(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				for range 50 {
					if _, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: []byte("a-0")}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		s := a.Stats()
		if s.Published != 10000 || s.PublishedBatches > 5000 {
			t.Errorf("%d events in %d batches", s.Published, s.PublishedBatches)
		}
	})
}

func TestIdleNodePutsOneEventInABatch(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		for i := range 10 {
			id, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: []byte("x"), Key: []byte("k")})
			if err != nil || id.Seq != uint64(i+1) || id.Topic != testTopic || id.Author != a.self {
				t.Fatalf("Publish: %+v, %v", id, err)
			}
			synctest.Wait()
		}
		if n := a.Stats().PublishedBatches; n != 10 {
			t.Errorf("%d batches, want 10", n)
		}
	})
}

func TestEventsAreDated(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		before := wire.TimeOf(time.Now())
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		mine := wire.Time(1234567890)
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: []byte("y"), Time: mine}); err != nil {
			t.Fatal(err)
		}
		events, _, _ := a.events()
		if got := events[0].Time; got < before || got > before.Add(time.Second) {
			t.Errorf("an event without time is dated %v", got.Std())
		}
		if got := events[1].Time; got != mine {
			t.Errorf("an event's own time became %v", got.Std())
		}
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1, func(c *Config) { c.EventMaxBytes = 1000 })
		big := wire.Event{Payload: make([]byte, 1001)}
		for name, tt := range map[string]struct {
			topic string
			ev    wire.Event
			want  error
		}{
			"payload":     {testTopic, big, ErrTooLarge},
			"header name": {testTopic, wire.Event{Headers: []wire.EventHeader{{Name: "\xff"}}}, wire.ErrFormat},
			"topic":       {"no..topic", wire.Event{}, ErrTopic},
			"wire topic":  {"", wire.Event{}, wire.ErrTopic},
		} {
			if _, err := a.Publish(t.Context(), tt.topic, tt.ev); !errors.Is(err, tt.want) {
				t.Errorf("%s: Publish: %v, want %v", name, err, tt.want)
			}
			if _, err := a.PublishAsync(t.Context(), tt.topic, tt.ev); !errors.Is(err, tt.want) {
				t.Errorf("%s: PublishAsync: %v, want %v", name, err, tt.want)
			}
			if _, err := a.PublishAll(t.Context(), tt.topic, []wire.Event{tt.ev}); !errors.Is(err, tt.want) {
				t.Errorf("%s: PublishAll: %v, want %v", name, err, tt.want)
			}
		}
		if err := a.AddInterest("a.>.b"); !errors.Is(err, wire.ErrFilter) {
			t.Errorf("AddInterest: %v", err)
		}
		a.close()
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Publish after Close: %v", err)
		}
		if _, err := a.Watch(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Watch after Close: %v", err)
		}
		if err := a.WaitHeld(t.Context(), wire.EventID{}, 1); !errors.Is(err, ErrClosed) {
			t.Errorf("WaitHeld after Close: %v", err)
		}
		if err := a.AddInterest("x"); !errors.Is(err, ErrClosed) {
			t.Errorf("AddInterest after Close: %v", err)
		}
		if a.Peers() != nil && len(a.Peers()) != 0 {
			t.Error("Peers after Close")
		}
	})
}

func TestLargeEventsTravelAlone(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		want := 0
		const target, limit = wire.BatchTargetBytes, wire.EventMaxBytes
		for i, size := range []int{10, target + 1, 10, limit - 20, target - 40, 10} {
			ev := wire.Event{Payload: append(fmt.Appendf(nil, "a-%d ", i), make([]byte, size)...)}
			if _, err := a.PublishAsync(t.Context(), testTopic, ev); err != nil {
				t.Fatal(err)
			}
			want++
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.wantAll(5*time.Second, map[string]int{"a": want})
	})
}

func TestWaitHeldEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		ids := a.publish("a", 0, 1)
		ctx, cancel := r.within(time.Second)
		defer cancel()
		if err := a.WaitHeld(ctx, ids[0], 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitHeld: %v", err)
		}
		if err := a.WaitAllHeld(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitAllHeld: %v", err)
		}
		if err := a.WaitHeld(t.Context(), ids[0], 0); err != nil {
			t.Errorf("WaitHeld by nobody: %v", err)
		}
	})
}

func TestShutdownWaitsUntilAnotherHoldsAll(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.net.SetDelay(50*time.Millisecond, 50*time.Millisecond)
		r.connect(a, b)
		for i := range 1000 {
			if _, err := a.PublishAsync(t.Context(), testTopic, wire.Event{Payload: fmt.Appendf(nil, "a-%d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Shutdown(t.Context()); err != nil {
			t.Fatalf("Shutdown: %v", err)
		}
		if err := a.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown again: %v", err)
		}
		if n := b.count(); n != 1000 {
			t.Errorf("b holds %d when a has shut down", n)
		}
	})
}

func TestShutdownAloneEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		a.publish("a", 0, 1)
		ctx, cancel := r.within(2 * time.Second)
		defer cancel()
		if err := a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Publish: %v", err)
		}
	})
}

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		first := a.publish("a", 0, 10)
		a.stop()
		b.publish("b", 0, 10)
		time.Sleep(5 * time.Second)
		a = r.startOn(1, a.log)
		second := a.publish("a", 10, 10)
		if first[0].Epoch >= second[0].Epoch || second[0].Seq != 1 {
			t.Errorf("epoch %v after %v, sequence %d", second[0].Epoch, first[0].Epoch, second[0].Seq)
		}
		c := r.start(3)
		r.connect(b, c)
		for _, x := range []*node{a, b, c} {
			x.wantAll(5*time.Second, map[string]int{"a": 20, "b": 10})
		}
	})
}

func TestLostLogIsTakenBackFromPeers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		a.publish("a", 0, 10)
		b.wantAll(time.Second, map[string]int{"a": 10})
		a.close()
		time.Sleep(time.Second)
		a = r.start(1)
		time.Sleep(5 * time.Second)
		a.publish("a", 10, 10)
		for _, x := range []*node{a, b} {
			x.wantAll(5*time.Second, map[string]int{"a": 20})
		}
	})
}

func TestKeyInUseTwice(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b, c := r.start(1), r.start(2), r.start(3, func(c *Config) { c.Signer = wire.NewSigner(testKey(1)) })
		r.connect(a, b)
		r.net.Connect(b.id, c.id)
		time.Sleep(time.Second)
		a.publish("a", 0, 1)
		time.Sleep(time.Second)
		c.publish("c", 0, 1)
		time.Sleep(5 * time.Second)
		_, errA := a.Publish(t.Context(), testTopic, wire.Event{})
		_, errC := c.Publish(t.Context(), testTopic, wire.Event{})
		if !errors.Is(errA, ErrIdentityInUse) && !errors.Is(errC, ErrIdentityInUse) {
			t.Errorf("Publish: %v and %v, want ErrIdentityInUse of one", errA, errC)
		}
	})
}

func TestClockOffItsPeers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1, func(c *Config) { c.BuildTime = time.Now().Add(time.Minute) })
		b := r.start(2)
		r.connect(a, b)
		b.publish("b", 0, 1)
		time.Sleep(10 * time.Second)
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{}); !errors.Is(err, ErrClock) {
			t.Errorf("Publish: %v, want ErrClock", err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{}); err != nil {
			t.Errorf("Publish when the clock is right again: %v", err)
		}
	})
}

func TestWatchTellsPeersAndClosesWhenNobodyReads(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		ctx, cancel := context.WithCancel(t.Context())
		quick, err := a.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := a.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.connect(a, b)
		b.publish("b", 0, 1)
		for n := range quick {
			if n.Kind == gossip.NoticePeerUp && n.Peer == b.id && n.Topic == testTopic {
				break
			}
		}
		cancel()
		for range 2 * watchCap {
			r.net.Disconnect(a.id, b.id)
			synctest.Wait()
			r.net.Connect(a.id, b.id)
			synctest.Wait()
		}
		for range quick {
			continue // until it is closed, for its context is done
		}
		n := 0
		for range slow {
			n++
		}
		if n != watchCap || a.Stats().WatchersDropped != 1 {
			t.Errorf("%d notices before the channel was closed; dropped %d", n, a.Stats().WatchersDropped)
		}
	})
}

func TestForgedBatchesAreDroppedAndCostTheLink(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		m := &mute{make(chan struct{}), make(chan struct{})}
		close(m.stop)
		id := peerOf(testKey(99))
		c := r.net.Join(id)
		if err := c.Start(m); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r.net.Connect(id, a.id)
		<-m.up
		forged := func(change func(*wire.Header)) *wire.Batch {
			now := wire.TimeOf(time.Now())
			h := wire.Header{Network: "test", Topic: testTopic, Epoch: 1 << 16, First: 1, Count: 1, Time: now}
			body := wire.AppendEvent(nil, h.Time, &wire.Event{Payload: []byte("x")})
			change(&h)
			b, err := wire.Seal(h, body, wire.NewSigner(testKey(98)))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		other := forged(func(h *wire.Header) { h.Network = "other" })
		altered := forged(func(*wire.Header) {})
		altered.Raw[len(altered.Raw)-1] ^= 1
		frames := [][]byte{
			wire.AppendPush(nil, other.Raw, false),
			wire.AppendPush(wire.AppendPush(nil, altered.Raw, false), other.Raw, true),
			[]byte("garbage"),
		}
		for i := range 100 {
			// The link is gone at some time: those frames go nowhere.
			_ = c.Send(t.Context(), a.id, carrier.News, frames[i%3])
			synctest.Wait()
		}
		s := a.Stats()
		if s.Unverified == 0 || s.Malformed == 0 || s.Disconnects != 1 || a.count() != 0 {
			t.Errorf("%+v", s)
		}
		if a.budget.total != 0 {
			t.Errorf("%d bytes of the budget were not given back", a.budget.total)
		}
	})
}

func TestConfigIsValidated(t *testing.T) {
	_, err := Start(t.Context(), Config{EventMaxBytes: -1, RetainEvery: -1})
	for _, want := range []string{"Signer", "Log", "Network", "EventMaxBytes", "RetainEvery", "Degree"} {
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestCloseHandsWhatWasPublishedToTheLog(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		for i := range 1000 {
			if _, err := a.PublishAsync(t.Context(), testTopic, wire.Event{Payload: fmt.Appendf(nil, "a-%d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		a.stop()
		if n := a.count(); n != 1000 {
			t.Errorf("the log holds %d of 1000 events after Close", n)
		}
		if s := a.Stats(); s.Published != 1000 {
			t.Errorf("%d events were counted", s.Published)
		}
		if err := a.log.Close(); err != nil {
			t.Error(err)
		}
	})
}
