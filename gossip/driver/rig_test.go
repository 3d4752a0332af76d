package driver

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testTopic = "test.topic"

// rig is nodes on an in-memory network, inside a synctest bubble.
type rig struct {
	t   *testing.T
	net *carrier.Network
}

// node is a driver and what it stands on.
type node struct {
	*Driver
	rig  *rig
	id   wire.PeerID
	key  ed25519.PrivateKey
	log  eventlog.Log
	cfg  Config
	dead bool
}

// bubble runs a test on nodes. All that they started must end with it.
func bubble(t *testing.T, test func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, &rig{t: t, net: carrier.NewNetwork(1)})
	})
}

func testKey(n byte) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed[:])
}

func peerOf(key ed25519.PrivateKey) wire.PeerID { return wire.NewSigner(key).Author().PeerID() }

// start starts a node with an interest in all topics.
func (r *rig) start(n byte, change ...func(*Config)) *node {
	r.t.Helper()
	return r.startOn(n, eventlog.NewMemory(eventlog.MemoryConfig{}), change...)
}

func (r *rig) startOn(n byte, log eventlog.Log, change ...func(*Config)) *node {
	r.t.Helper()
	x := &node{rig: r, key: testKey(n), log: log}
	x.id = peerOf(x.key)
	x.cfg = DefaultConfig()
	x.cfg.Signer = wire.NewSigner(x.key)
	x.cfg.Network = "test"
	x.cfg.Log = log
	x.cfg.Carriers = []carrier.Carrier{r.net.Join(x.id)}
	x.cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	x.cfg.Seed = uint64(n)
	for _, f := range change {
		f(&x.cfg)
	}
	d, err := Start(r.t.Context(), x.cfg)
	if err != nil {
		r.t.Fatalf("Start: %v", err)
	}
	x.Driver = d
	if err := d.AddInterest(">"); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(x.close)
	return x
}

func (x *node) close() {
	if x.dead {
		return
	}
	x.dead = true
	if err := x.Close(); err != nil {
		x.rig.t.Errorf("Close: %v", err)
	}
	if err := x.log.Close(); err != nil {
		x.rig.t.Errorf("close log: %v", err)
	}
}

// stop closes the driver and keeps the log.
func (x *node) stop() {
	x.rig.t.Helper()
	x.dead = true
	if err := x.Close(); err != nil {
		x.rig.t.Errorf("Close: %v", err)
	}
}

func (r *rig) connect(nodes ...*node) {
	for i, x := range nodes {
		for _, y := range nodes[:i] {
			r.net.Connect(x.id, y.id)
		}
	}
}

// publish publishes events named from, from+1 … and waits for them.
func (x *node) publish(name string, from, n int) []wire.EventID {
	x.rig.t.Helper()
	evs := make([]wire.Event, n)
	for i := range evs {
		evs[i].Payload = fmt.Appendf(nil, "%s-%d", name, from+i)
	}
	ids, err := x.PublishAll(x.rig.t.Context(), testTopic, evs)
	if err != nil || len(ids) != n {
		x.rig.t.Fatalf("PublishAll: %d of %d, %v", len(ids), n, err)
	}
	return ids
}

// events returns what the node's log has released on the test's topic.
func (x *node) events() (events []wire.Event, gaps, late int) {
	x.rig.t.Helper()
	for at := uint64(0); ; {
		entries, err := x.log.Read(testTopic, at, 1<<20)
		if err != nil {
			x.rig.t.Fatalf("Read: %v", err)
		}
		if len(entries) == 0 {
			return events, gaps, late
		}
		for i := range entries {
			e := &entries[i]
			at = e.Next()
			if e.Gap != nil {
				gaps++
				continue
			}
			if e.Late {
				late++
			}
			reader, err := e.Batch.Events()
			if err != nil {
				x.rig.t.Fatal(err)
			}
			for ev, ok := reader.Next(); ok; ev, ok = reader.Next() {
				events = append(events, ev)
			}
		}
	}
}

// count returns how many events the node holds on the test's topic.
func (x *node) count() int {
	info, _ := x.log.Topic(testTopic)
	return int(info.Events)
}

// wantAll checks that the node has released, within the time, the events of
// each name from 0 to n-1, once and in order, without gaps.
func (x *node) wantAll(within time.Duration, want map[string]int) {
	x.rig.t.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	deadline := time.Now().Add(within)
	for time.Now().Before(deadline) && x.count() < total {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	synctest.Wait()
	events, gaps, late := x.events()
	next := map[string]int{}
	for _, ev := range events {
		var name string
		var i int
		if _, err := fmt.Sscanf(string(ev.Payload), "%1s-%d", &name, &i); err != nil {
			x.rig.t.Fatalf("payload %q: %v", ev.Payload, err)
		}
		if i != next[name] {
			x.rig.t.Fatalf("event %s-%d where %s-%d belongs", name, i, name, next[name])
		}
		next[name]++
	}
	for name, n := range want {
		if next[name] != n {
			x.rig.t.Errorf("%d events of %s, want %d; counters %v", next[name], name, n, nonzero(x.Stats().Counters()))
		}
	}
	if gaps != 0 || late != 0 {
		x.rig.t.Errorf("%d gaps, %d late batches", gaps, late)
	}
}

func nonzero(all map[string]uint64) map[string]uint64 {
	for k, v := range all {
		if v == 0 {
			delete(all, k)
		}
	}
	return all
}

// within returns a context that ends after d of the bubble's time.
func (r *rig) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.t.Context(), d)
}
