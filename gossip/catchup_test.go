package gossip

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// The links of TestCatchUp: 100 Mbit/s each way, 20 ms.
const (
	catchUpRate    = 100_000_000 / 8
	catchUpLatency = 20 * time.Millisecond
)

// away is a network of three nodes that hold everything, one that comes back
// to them, and authors that only publish, each linked to one of the three.
type away struct {
	n      *network
	core   []*node
	back   *node
	met    []*node // those of core that back meets
	gap    []*node // authors that published while it was away
	fresh  []*node // authors that begin when it is back
	sentAt map[place]Time
	took   []freshEvent // that came back's way
	raw    int          // bytes of the batches that back missed
	missed int
}

// place is where an event stands on the topic.
type place struct {
	author wire.Author
	mark   wire.Mark
}

// unsigned is an author whose signatures are empty. Nobody here checks them, and
// they would cost most of the time.
type unsigned struct{ author wire.Author }

func (s unsigned) Author() wire.Author { return s.author }

func (s unsigned) Sign([]byte) ([]byte, error) { return make([]byte, ed25519.SignatureSize), nil }

// freshEvent is one of an author without a gap: when it was published, and how
// long it took until the node released it.
type freshEvent struct {
	sent Time
	took time.Duration
}

func newAway(t *testing.T, neighbours int) *away {
	n := newNetwork(t, 100)
	n.latency, n.rate = catchUpLatency, catchUpRate
	w := &away{n: n, sentAt: map[place]Time{}}
	for i := range 3 {
		w.core = append(w.core, n.add(fmt.Sprint("core", i), testConfig()).interest("x"))
	}
	n.connectAll(w.core...)
	w.met = w.core[:neighbours]
	w.back = n.add("back", testConfig()).interest("x")
	for i := range 55 {
		var seed [ed25519.SeedSize]byte
		copy(seed[:], fmt.Sprint("author", i))
		key := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]))
		a := n.addSigner(fmt.Sprint("author", i), testConfig(), unsigned{key.Author()})
		n.connect(a, w.core[i%3])
		if i < 50 {
			w.gap = append(w.gap, a)
		} else {
			w.fresh = append(w.fresh, a)
		}
	}
	w.meet()
	n.run(time.Second)
	for _, a := range w.gap {
		a.publish("x", 1)
		n.run(20 * time.Millisecond)
	}
	n.run(5 * time.Second)
	n.expect("x", len(w.gap), w.back)
	return w
}

// meet connects the node to its neighbours.
func (w *away) meet() {
	for _, x := range w.met {
		w.n.connect(w.back, x)
	}
}

// leave cuts the node off while the authors publish.
func (w *away) leave(batches int, lasts time.Duration) {
	for _, x := range w.met {
		w.n.cut(w.back, x)
	}
	for i := range batches {
		w.raw += w.gap[i%len(w.gap)].publish("x", 1).Size()
		w.missed++
		w.n.run(lasts / time.Duration(batches))
	}
	w.n.run(5 * time.Second)
}

// watch notes how long fresh authors' batches take.
func (w *away) watch() {
	w.back.onRead = func(h *wire.Header) {
		if at, ok := w.sentAt[place{h.Author, h.Start()}]; ok {
			w.took = append(w.took, freshEvent{at, time.Duration(w.n.now - at)})
		}
	}
}

// publish lets ten authors with a gap and the fresh ones publish, 250 events a
// second each, for a time.
func (w *away) publish(lasts time.Duration) {
	end := w.n.now.Add(lasts)
	for i := 0; w.n.now < end; i++ {
		w.gap[i%10].publish("x", 1)
		w.n.run(2 * time.Millisecond)
		h := &w.fresh[i%len(w.fresh)].publish("x", 1).Header // it takes no time
		w.sentAt[place{h.Author, h.Start()}] = w.n.now
		w.n.run(2 * time.Millisecond)
	}
	w.n.run(3 * time.Second)
}

// p99 returns what the fresh authors' events took that were published before end.
func (w *away) p99(end Time) (p99 time.Duration, events int) {
	var took []time.Duration
	for _, f := range w.took {
		if f.sent < end {
			took = append(took, f.took)
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100], len(took)
}

// TestCatchUp lets a node that was away for an hour come back. It gets what it
// missed as fast as a plain copy over one of its links would bring it, and what
// is published meanwhile is hardly later than without. Three neighbours are to
// do more than one of them could.
func TestCatchUp(t *testing.T) {
	t.Run("three neighbours", func(t *testing.T) { catchUp(t, 3, 100_000, time.Hour, 1.5) })
	t.Run("one neighbour", func(t *testing.T) { catchUp(t, 1, unlessRace(20_000, 10_000), time.Hour/5, 0.8) })
}

// catchUp wants the node to have all as fast as a plain copy times pace.
func catchUp(t *testing.T, neighbours, batches int, lasts time.Duration, pace float64) {
	if testing.Short() && batches > 20_000 {
		batches, lasts = batches/5, lasts/5
	}
	const live = 4 * time.Second
	quiet := newAway(t, neighbours) // the same without anything to repair
	quiet.leave(0, 0)
	quiet.meet()
	quiet.watch()
	quiet.publish(live)

	w := newAway(t, neighbours)
	w.leave(batches, lasts)
	start, complete := w.n.now, Never
	w.watch()
	received, held := w.back.received, len(w.back.topics["x"])
	fresh, left, back := w.back.onRead, w.missed, w.back.wall()
	w.back.onRead = func(h *wire.Header) {
		fresh(h)
		if h.Time < back {
			left--
		}
		if left == 0 && complete == Never {
			complete = w.n.now
		}
	}
	clear(w.n.sent)
	w.meet()
	w.publish(live)
	received = w.back.received - received
	w.n.expect("x", w.core[0].events("x"), w.back)
	stats := w.back.core.Stats()
	if stats.Gaps != 0 || stats.Late != 0 {
		t.Errorf("%d gaps and %d late batches", stats.Gaps, stats.Late)
	}
	took := time.Duration(complete - start)
	copied := time.Duration(w.raw)*time.Second/catchUpRate + 2*catchUpLatency
	t.Logf("%d batches, %d bytes, after %v; a plain copy over one link takes %v, so %.2f times as fast",
		w.missed, w.raw, took, copied, float64(copied)/float64(took))
	if float64(copied) < pace*float64(took) {
		t.Errorf("catching up took %v, a plain copy %v: want %.1f times as fast", took, copied, pace)
	}
	t.Logf("%d batches came for %d; %d duplicates, %d in repair; sent %v",
		received, len(w.back.topics["x"])-held, stats.Duplicate, stats.RepairDuplicate, w.n.sent)
	p99, events := w.p99(complete)
	without, all := quiet.p99(Never)
	t.Logf("%d events of fresh authors during the repair: p99 %v, without repair %v", events, p99, without)
	if len(w.took) != len(w.sentAt) || all != len(quiet.sentAt) {
		t.Errorf("%d of %d events of fresh authors came, %d of %d without repair",
			len(w.took), len(w.sentAt), all, len(quiet.sentAt))
	}
	if p99-without > 50*time.Millisecond {
		t.Errorf("repair adds %v to fresh events at p99, want at most 50ms", p99-without)
	}
}
