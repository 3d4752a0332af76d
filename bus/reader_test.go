package bus

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// These tests write to a node's log behind its back, to meet readers with what
// takes a broken disk or a peer of the future otherwise.

func openAlone(t testing.TB, opts ...Option) *Bus {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	c := carrier.NewNetwork(1).Join(wire.NewSigner(key).Author().PeerID())
	all := []Option{WithIdentity(key), WithCarrier(c), WithLogger(slog.New(slog.DiscardHandler))}
	b, err := Open(t.Context(), append(all, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// author writes batches of one author to a log.
type author struct {
	t      testing.TB
	log    eventlog.Log
	topic  string
	signer wire.Signer
	prev   wire.Prev
	next   uint64
}

const testEpoch wire.Epoch = 7 << 16

func newAuthor(t testing.TB, log eventlog.Log, topic string, seed byte) *author {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return &author{t: t, log: log, topic: topic, signer: wire.NewSigner(key), next: 1}
}

// seal makes the author's next batch of n events.
func (a *author) seal(n int, change func(*wire.Header)) *wire.Batch {
	a.t.Helper()
	at := wire.Time(1_000_000_000_000 + a.next)
	var body []byte
	for i := range n {
		payload := fmt.Sprint(a.next + uint64(i))
		body = wire.AppendEvent(body, at, &wire.Event{Time: at, Payload: []byte(payload)})
	}
	h := wire.Header{
		Network: DefaultNetwork, Topic: a.topic, Epoch: testEpoch, First: a.next, Count: uint32(n), Prev: a.prev, Time: at,
	}
	if change != nil {
		change(&h)
	}
	sealed, err := wire.Seal(h, body, a.signer)
	if err != nil {
		a.t.Fatal(err)
	}
	b, err := wire.ParseBatch(sealed.Raw)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next += uint64(h.Count)
	a.prev = wire.Prev{Mark: h.End(), Time: at}
	return b
}

// write appends ops and waits until readers see them.
func write(t testing.TB, log eventlog.Log, ops ...eventlog.Op) {
	t.Helper()
	done := make(chan error, 1)
	log.Append(ops, func(err error) { done <- err }, nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func release(b *wire.Batch) []eventlog.Op {
	return []eventlog.Op{{Kind: eventlog.OpBatch, Batch: b}, {Kind: eventlog.OpRelease, ID: b.ID}}
}

func (a *author) publish(n int) *wire.Batch {
	a.t.Helper()
	b := a.seal(n, nil)
	write(a.t, a.log, release(b)...)
	return b
}

func subscribeText(t testing.TB, b *Bus, topic string, from From, opts ...SubscribeOption) *Subscription[string] {
	t.Helper()
	tp, err := TopicOf(b, topic, Text{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := tp.Subscribe(t.Context(), from, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return sub
}

// expect reads values in order and fails at anything else.
func expect[T comparable](t testing.TB, sub *Subscription[T], values ...T) {
	t.Helper()
	for i, want := range values {
		ev, err := sub.Next(t.Context())
		if err != nil {
			t.Fatalf("event %d of %d: %v", i+1, len(values), err)
		}
		if ev.Value != want {
			t.Fatalf("event %d of %d is %v, want %v", i+1, len(values), ev.Value, want)
		}
	}
}

func expectError[T any, E error](t testing.TB, sub *Subscription[T]) (Event[T], E) {
	t.Helper()
	ev, err := sub.Next(t.Context())
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("got event %v and error %v, want %T", ev.ID, err, *new(E))
	}
	return ev, e
}

func TestFromEachPlace(t *testing.T) {
	b := openAlone(t)
	a := newAuthor(t, b.log, "t", 2)
	a.publish(3)
	second := a.publish(3)
	for _, c := range []struct {
		name string
		from From
		want string
	}{
		{"start", FromStart(), "1"},
		{"offset of a batch", FromOffset(3), "4"},
		{"offset inside a batch", FromOffset(4), "5"},
		{"offset that comes next", FromOffset(6), "7"},
		{"now", FromNow(), "7"},
		{"zero value", From{}, "7"},
		{"time of a batch", FromTime(second.Header.Time.Std()), "4"},
		{"time before all", FromTime(time.Time{}), "1"},
		{"time after all", FromTime(time.Now().AddDate(1000, 0, 0)), "7"},
	} {
		sub := subscribeText(t, b, "t", c.from)
		defer func() { expect(t, sub, c.want) }()
	}
	a.publish(1)
}

func TestOffsetBeyondTheEnd(t *testing.T) {
	b := openAlone(t)
	newAuthor(t, b.log, "t", 2).publish(3)
	tp, err := TopicOf(b, "t", Text{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tp.Subscribe(t.Context(), FromOffset(4)); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := SubscribeFilter(t.Context(), b, "t.*", Text{}, FromOffset(0)); !errors.Is(err, ErrConfig) {
		t.Errorf("got %v, want ErrConfig", err)
	}
}

func TestGapInTheSequence(t *testing.T) {
	b := openAlone(t)
	a := newAuthor(t, b.log, "t", 2)
	a.publish(2)
	missing := a.seal(3, nil)
	write(t, b.log, eventlog.Op{Kind: eventlog.OpGap, Gap: eventlog.Gap{
		Topic: "t", Author: a.signer.Author(), From: missing.Header.Start(), To: missing.Header.End(), Reason: "lost",
	}})
	a.publish(1)
	late := release(missing)
	late[1].Late = true
	write(t, b.log, late...)

	sub := subscribeText(t, b, "t", FromStart())
	expect(t, sub, "1", "2")
	ev, gap := expectError[string, *GapError](t, sub)
	if !errors.Is(gap, ErrGap) || gap.Lost != 3 || gap.From.Seq != 3 || gap.To.Seq != 5 || gap.Reason != "lost" {
		t.Errorf("gap %+v", gap)
	}
	if ev.Topic != "t" || ev.Offset != 2 {
		t.Errorf("event of the gap: %q, offset %d, want t, 2", ev.Topic, ev.Offset)
	}
	expect(t, sub, "6")
	for want := uint64(3); want <= 5; want++ {
		ev, err := sub.Next(t.Context())
		if err != nil || !ev.Late || ev.ID.Seq != want {
			t.Errorf("got %v, late %v, error %v; want a late %d", ev.ID, ev.Late, err, want)
		}
	}
}

func TestUnreadableBatch(t *testing.T) {
	b := openAlone(t)
	a := newAuthor(t, b.log, "t", 2)
	a.publish(1)
	write(t, b.log, release(a.seal(4, func(h *wire.Header) { h.Kind = 77 }))...)
	a.publish(1)
	sub := subscribeText(t, b, "t", FromStart())
	expect(t, sub, "1")
	ev, bad := expectError[string, *DecodeError](t, sub)
	if !errors.Is(bad, ErrDecode) || !errors.Is(bad, wire.ErrUnreadable) || bad.Count != 4 || bad.Event.ID.Seq != 2 {
		t.Errorf("decode error %+v", bad)
	}
	if ev.Offset != 4 {
		t.Errorf("acknowledging it covers up to offset %d, want 4", ev.Offset)
	}
	expect(t, sub, "6")
}

func TestBatchThatHoldsLessThanItSays(t *testing.T) {
	b := openAlone(t)
	a := newAuthor(t, b.log, "t", 2)
	short := a.seal(2, func(h *wire.Header) { h.Count = 5 })
	write(t, b.log, release(short)...)
	a.publish(1)
	sub := subscribeText(t, b, "t", FromStart())
	expect(t, sub, "1", "2")
	if _, bad := expectError[string, *DecodeError](t, sub); bad.Count != 3 || bad.Event.ID.Seq != 3 {
		t.Errorf("decode error %+v", bad)
	}
	expect(t, sub, "6")
}

func TestUndecodableEvent(t *testing.T) {
	b := openAlone(t)
	newAuthor(t, b.log, "t", 2).publish(2)
	write(t, b.log, release(textBatch(t, b.log, "not a number"))...)
	tp, err := TopicOf(b, "t", JSON[int]{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := tp.Subscribe(t.Context(), FromStart())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, sub, 1, 2)
	ev, bad := expectError[int, *DecodeError](t, sub)
	if bad.Count != 1 || string(bad.Event.Value) != "not a number" || bad.Event.ID != ev.ID || ev.Offset != 2 {
		t.Errorf("decode error %+v of event %+v", bad, ev)
	}
}

func textBatch(t testing.TB, log eventlog.Log, text string) *wire.Batch {
	a := newAuthor(t, log, "t", 3)
	body := wire.AppendEvent(nil, 5, &wire.Event{Time: 5, Payload: []byte(text)})
	h := wire.Header{Network: DefaultNetwork, Topic: "t", Epoch: testEpoch, First: 1, Count: 1, Time: 5}
	b, err := wire.Seal(h, body, a.signer)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRetentionIsReportedOnce(t *testing.T) {
	b := openAlone(t)
	a := newAuthor(t, b.log, "t", 2)
	first := a.publish(10)
	a.publish(10)
	sub := subscribeText(t, b, "t", FromStart())
	expect(t, sub, "1")
	slow := subscribeText(t, b, "t", FromStart())
	a.publish(10)
	keep := func(m *eventlog.Meta) bool { return m.Header.First > 20 }
	limits := eventlog.Limits{Age: time.Minute}
	if _, err := b.log.Retain(first.Header.Time.Add(time.Hour), limits, keep); err != nil {
		t.Fatal(err)
	}
	ev, lag := expectError[string, *LagError](t, slow)
	if !errors.Is(lag, ErrLagged) || lag.Lost != 20 || lag.From != 0 || ev.Offset != 19 {
		t.Errorf("lag %+v at offset %d", lag, ev.Offset)
	}
	expect(t, slow, "21", "22")
	expect(t, sub, "2", "3") // what it had read ahead is still its own
}

// damagedLog loses the bodies of a topic until they are mended.
type damagedLog struct {
	eventlog.Log

	mu   sync.Mutex
	lost bool
}

func (l *damagedLog) Read(topic string, offset uint64, maxBytes int) ([]eventlog.Entry, error) {
	entries, err := l.Log.Read(topic, offset, maxBytes)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.lost || topic != "t" {
		return entries, err
	}
	for i := range entries {
		if entries[i].Batch == nil {
			continue
		}
		meta := *entries[i].Meta
		meta.Lost = true
		entries[i].Meta, entries[i].Batch = &meta, nil
	}
	return entries, err
}

func (l *damagedLog) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = false
}

func TestDamagedBodyIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openAlone(t)
		newAuthor(t, b.log, "t", 2).publish(2)
		sub := subscribeText(t, b, "t", FromStart())
		log := &damagedLog{Log: b.log, lost: true}
		sub.reader.log = log
		time.AfterFunc(10*time.Second, log.mend)
		start := time.Now()
		expect(t, sub, "1", "2")
		if d := time.Since(start); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("it came after %v, want 10s to 11s", d)
		}
	})
}

func TestDamagedBodyIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openAlone(t)
		newAuthor(t, b.log, "t", 2).publish(2)
		newAuthor(t, b.log, "u", 2).publish(1)
		sub, err := SubscribeFilter(t.Context(), b, ">", Text{}, FromStart())
		if err != nil {
			t.Fatal(err)
		}
		sub.reader.log = &damagedLog{Log: b.log, lost: true}
		start := time.Now()
		expect(t, sub, "1") // the other topic does not wait
		if d := time.Since(start); d != 0 {
			t.Errorf("the sound topic waited %v", d)
		}
		ev, gap := expectError[string, *GapError](t, sub)
		if gap.Reason != "damaged" || gap.Lost != 2 || ev.Offset != 1 {
			t.Errorf("gap %+v at offset %d", gap, ev.Offset)
		}
		if d := time.Since(start); d < damagedGiveUp || d > damagedGiveUp+time.Second {
			t.Errorf("given up after %v, want %v", d, damagedGiveUp)
		}
	})
}

func TestFilterTakesTurns(t *testing.T) {
	b := openAlone(t)
	x, y := newAuthor(t, b.log, "f.x", 2), newAuthor(t, b.log, "f.y", 3)
	for range 3 {
		x.publish(2)
		y.publish(2)
	}
	sub, err := SubscribeFilter(t.Context(), b, "f.*", Text{}, FromStart())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var topics string
	for range 12 {
		ev, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		topics += ev.Topic[2:]
	}
	if topics != "xxyyxxyyxxyy" && topics != "yyxxyyxxyyxx" {
		t.Errorf("order of topics %s", topics)
	}
}

func TestFilterWaitsForManyTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openAlone(t)
		for i := range 20 {
			newAuthor(t, b.log, fmt.Sprintf("many.%d", i), 2).publish(1)
		}
		sub, err := SubscribeFilter(t.Context(), b, "many.>", Text{}, FromNow())
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		got := make(chan string)
		go func() {
			for ev, err := range sub.Events(t.Context()) {
				if err != nil {
					close(got)
					return
				}
				got <- ev.Topic
			}
		}()
		for _, topic := range []string{"many.3", "many.17", "many.new", "many.3"} {
			if topic == "many.new" {
				b.topics.learn(topic)
			}
			synctest.Wait()
			newAuthor(t, b.log, topic, byte(10+len(topic)+int(b.log.Info().Batches))).publish(1)
			if seen := <-got; seen != topic {
				t.Errorf("woken for %q, want %q", seen, topic)
			}
		}
		sub.Close()
		if _, open := <-got; open {
			t.Error("the loop goes on after Close")
		}
	})
}

func TestConcurrentReadersShare(t *testing.T) {
	b := openAlone(t)
	newAuthor(t, b.log, "t", 2).publish(1000)
	sub := subscribeText(t, b, "t", FromStart())
	var mu sync.Mutex
	seen := map[uint64]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 250 {
				ev, err := sub.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[ev.Offset]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 1000 {
		t.Errorf("%d different events of 1000", len(seen))
	}
}

func TestEndOfASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openAlone(t)
		sub := subscribeText(t, b, "t", FromNow())
		why := errors.New("tired")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, err := sub.Next(ctx); !errors.Is(err, why) {
			t.Errorf("got %v, want the context's cause", err)
		}
		time.AfterFunc(time.Second, sub.Close)
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		other := subscribeText(t, b, "t", FromNow())
		time.AfterFunc(time.Second, func() { _ = b.Close() })
		if _, err := other.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}
