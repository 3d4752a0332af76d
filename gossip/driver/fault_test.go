package driver

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// faultyLog is a log whose writes fail on demand, as the contract says: with
// the first failure all later ones fail too, until Resume.
type faultyLog struct {
	eventlog.Log

	mu     sync.Mutex // guards the fields below
	fail   error      // what writes meet
	failed error      // since the first failure
	calls  []func()
	wake   chan struct{}
	ended  chan struct{}
}

func newFaultyLog(log eventlog.Log) *faultyLog {
	f := &faultyLog{Log: log, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go f.run()
	return f
}

func (f *faultyLog) run() {
	for range f.wake {
		f.mu.Lock()
		calls := f.calls
		f.calls = nil
		f.mu.Unlock()
		for _, c := range calls {
			c()
		}
	}
	close(f.ended)
}

func (f *faultyLog) Close() error {
	close(f.wake)
	<-f.ended
	return f.Log.Close()
}

func (f *faultyLog) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func (f *faultyLog) Append(ops []eventlog.Op, written, durable eventlog.Done) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = f.fail
	}
	err := f.failed
	if err == nil {
		f.Log.Append(ops, written, durable)
		return
	}
	f.calls = append(f.calls, func() {
		if written != nil {
			written(err)
		}
		if durable != nil {
			durable(err)
		}
	})
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *faultyLog) Resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = nil
	f.Log.Resume()
}

func TestDiskFullStopsPublishingAndResumes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		log := newFaultyLog(eventlog.NewMemory(eventlog.MemoryConfig{}))
		a, b := r.startOn(1, log), r.start(2)
		r.connect(a, b)
		a.publish("a", 0, 10)
		b.publish("b", 0, 10)
		b.wantAll(time.Second, map[string]int{"a": 10, "b": 10})

		log.set(fmt.Errorf("test: %w", eventlog.ErrFull))
		for range 20 {
			_, err := a.PublishAsync(t.Context(), testTopic, wire.Event{Payload: []byte("a-999")})
			if err != nil && !errors.Is(err, eventlog.ErrFull) {
				t.Fatalf("PublishAsync: %v", err)
			}
		}
		if err := a.Flush(t.Context()); !errors.Is(err, eventlog.ErrFull) {
			t.Errorf("Flush: %v, want ErrFull", err)
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Errorf("Flush again: %v", err)
		}
		for range 5 {
			_, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: []byte("a-999")})
			if !errors.Is(err, eventlog.ErrFull) {
				t.Errorf("Publish: %v, want ErrFull", err)
			}
			b.publish("b", b.countOf("b"), 10)
			time.Sleep(700 * time.Millisecond)
		}
		if n := a.Stats().LogFailures; n == 0 {
			t.Error("no failure was counted")
		}

		log.set(nil)
		time.Sleep(3 * time.Second)
		a.publish("a", 10, 10)
		for _, x := range []*node{a, b} {
			x.wantAll(10*time.Second, map[string]int{"a": 20, "b": 60})
		}
		if a.budget.total != 0 {
			t.Errorf("%d bytes of the budget were not given back", a.budget.total)
		}
	})
}

// countOf returns how many events of the name the node has released.
func (x *node) countOf(name string) (n int) {
	events, _, _ := x.events()
	for _, ev := range events {
		if string(ev.Payload[:1]) == name {
			n++
		}
	}
	return n
}

func TestFailureInMidStreamReusesNoNumberThatLeftTheNode(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		log := newFaultyLog(eventlog.NewMemory(eventlog.MemoryConfig{}))
		a, b := r.startOn(1, log), r.start(2)
		r.connect(a, b)
		held := 0
		for i := range 3000 {
			if i%500 == 250 {
				log.set(eventlog.ErrFull)
			}
			if i%500 == 400 {
				log.set(nil)
				time.Sleep(1500 * time.Millisecond)
			}
			if _, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: fmt.Appendf(nil, "a-%d", held)}); err == nil {
				held++
			}
		}
		log.set(nil)
		time.Sleep(3 * time.Second)
		if held < 1500 || held == 3000 {
			t.Fatalf("%d events were published", held)
		}
		b.wantAll(5*time.Second, map[string]int{"a": held})
		if n := b.Stats().Gossip.Equivocations; n != 0 {
			t.Errorf("%d equivocations", n)
		}
	})
}

func TestLogThatFailsForGoodIsGivenBackToTheCore(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		log := newFaultyLog(eventlog.NewMemory(eventlog.MemoryConfig{}))
		a, b := r.startOn(1, log), r.start(2)
		r.connect(a, b)
		b.publish("b", 0, 1)
		a.wantAll(time.Second, map[string]int{"b": 1})
		log.set(errors.New("test: input/output error"))
		b.publish("b", 1, 10)
		time.Sleep(20 * time.Second)
		if n := a.Stats().StoresGivenUp; n == 0 {
			t.Error("nothing was given up")
		}
		log.set(nil)
		a.wantAll(20*time.Second, map[string]int{"b": 11})
	})
}

func TestBacklogStopsPublishingUntilAnotherHoldsIt(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		limit := func(c *Config) { c.Limits = eventlog.Limits{Bytes: 1 << 20} }
		a := r.start(1, limit)
		payload := make([]byte, 10_000)
		copy(payload, "a-0 ")
		n := 0
		var err error
		for ; n < 1000 && err == nil; n++ {
			_, err = a.Publish(t.Context(), testTopic, wire.Event{Payload: payload})
			synctest.Wait()
		}
		if !errors.Is(err, ErrBacklog) {
			t.Fatalf("Publish after %d events: %v, want ErrBacklog", n, err)
		}
		if first, _ := a.log.Topic(testTopic); first.First != 0 || int(first.Events) != n-1 {
			t.Errorf("events that no other node holds were trimmed: %+v", first)
		}
		b := r.start(2)
		r.connect(a, b)
		time.Sleep(30 * time.Second)
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: payload}); err != nil {
			t.Errorf("Publish when another node holds all: %v", err)
		}
		if got := b.count(); got < n-1 {
			t.Errorf("b holds %d of %d", got, n)
		}
		if a.Stats().Trimmed == 0 {
			t.Error("nothing was trimmed when another node held it")
		}
	})
}
