package gossip

import (
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
	gap    []*node // authors that published while it was away
	fresh  []*node // authors that begin when it is back
	sentAt map[place]Time
	took   []time.Duration // of fresh authors' batches, until back releases them
	raw    int             // bytes of the batches that back missed
	missed int
}

// place is where an event stands on the topic.
type place struct {
	author wire.Author
	mark   wire.Mark
}

func newAway(t *testing.T) *away {
	n := newNetwork(t, 100)
	n.latency, n.rate = catchUpLatency, catchUpRate
	w := &away{n: n, sentAt: map[place]Time{}}
	for i := range 3 {
		w.core = append(w.core, n.add(fmt.Sprint("core", i), testConfig()).interest("x"))
	}
	n.connectAll(w.core...)
	w.back = n.add("back", testConfig()).interest("x")
	for i := range 55 {
		a := n.add(fmt.Sprint("author", i), testConfig())
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

// meet connects the node to the three.
func (w *away) meet() {
	for _, x := range w.core {
		w.n.connect(w.back, x)
	}
}

// leave cuts the node off while the authors publish.
func (w *away) leave(batches int, lasts time.Duration) {
	for _, x := range w.core {
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
			w.took = append(w.took, time.Duration(w.n.now-at))
		}
	}
}

// publish lets ten authors with a gap and the fresh ones publish, 28 and 25
// events a second, for a time.
func (w *away) publish(lasts time.Duration) {
	end := w.n.now.Add(lasts)
	for i := 0; w.n.now < end; i++ {
		w.gap[i%10].publish("x", 1)
		w.n.run(18 * time.Millisecond)
		a := w.fresh[i%len(w.fresh)]
		h := &a.publish("x", 1).Header // it takes no time
		w.sentAt[place{h.Author, h.Start()}] = w.n.now
		w.n.run(18 * time.Millisecond)
	}
}

func (w *away) p99() time.Duration {
	slices.Sort(w.took)
	return w.took[len(w.took)*99/100]
}

// TestCatchUp lets a node that was away for an hour meet three neighbours. It
// gets what it missed as fast as a plain copy over one of its links would, and
// what is published meanwhile is hardly later than without.
func TestCatchUp(t *testing.T) {
	batches, lasts := 100_000, time.Hour
	if testing.Short() {
		batches, lasts = 10_000, 6*time.Minute
	}
	const live = 20 * time.Second
	quiet := newAway(t) // the same without anything to repair
	quiet.leave(0, 0)
	quiet.meet()
	quiet.watch()
	quiet.publish(live)
	quiet.n.run(3 * time.Second)

	w := newAway(t)
	w.leave(batches, lasts)
	before := len(w.core[0].topics["x"])
	start, complete, back := w.n.now, Never, w.back.wall()
	w.watch()
	fresh, left := w.back.onRead, w.missed
	w.back.onRead = func(h *wire.Header) {
		fresh(h)
		if h.Time > back {
			return
		}
		if left--; left == 0 {
			complete = w.n.now
		}
	}
	received := w.back.received
	clear(w.n.sent)
	w.meet()
	w.publish(live)
	w.n.run(3 * time.Second)
	received = w.back.received - received
	w.n.expect("x", w.core[0].events("x"), w.back)
	stats := w.back.core.Stats()
	if stats.Gaps != 0 || stats.Late != 0 {
		t.Errorf("%d gaps and %d late batches", stats.Gaps, stats.Late)
	}
	copied := time.Duration(w.raw)*time.Second/catchUpRate + 2*catchUpLatency
	took := time.Duration(complete - start)
	t.Logf("%d batches, %d bytes, after %v; a plain copy takes %v: %.2f times as fast, %.2f of three links",
		w.missed, w.raw, took, copied, float64(copied)/float64(took), float64(copied)/float64(took)/3)
	t.Logf("%d came for %d; %d duplicates, %d in repair; sent %v",
		received, w.missed+len(w.core[0].topics["x"])-before, stats.Duplicate, stats.RepairDuplicate, w.n.sent)
	if float64(copied) < 0.8*float64(took) {
		t.Errorf("catching up took %v, a plain copy %v", took, copied)
	}
	t.Logf("fresh authors' events: p99 %v, without repair %v; most %v and %v",
		w.p99(), quiet.p99(), slices.Max(w.took), slices.Max(quiet.took))
	if len(w.took) != len(w.sentAt) || len(quiet.took) != len(quiet.sentAt) {
		t.Errorf("%d of %d events of fresh authors came, %d of %d without repair",
			len(w.took), len(w.sentAt), len(quiet.took), len(quiet.sentAt))
	}
	if added := w.p99() - quiet.p99(); added > 50*time.Millisecond {
		t.Errorf("repair adds %v to fresh events at p99, want at most 50ms", added)
	}
}
