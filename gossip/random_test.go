package gossip

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

var (
	seedFlag  = flag.Uint64("core.seed", 0, "run TestRandomFaults with this seed alone")
	seedsFlag = flag.Int("core.seeds", unlessRace(100, 20), "how many seeds TestRandomFaults runs")
)

// unlessRace returns how much a test does, or how little under the race detector, which
// finds nothing more in the hundredth repetition: nothing here is concurrent.
func unlessRace[T any](usual, race T) T {
	if RaceEnabled {
		return race
	}
	return usual
}

// TestRandomFaults runs networks under faults drawn from a seed, in two phases:
// while faults last nothing may be wrong, and after they end all nodes must come
// to hold everything within a stated time.
func TestRandomFaults(t *testing.T) {
	if *seedFlag != 0 {
		randomFaults(t, *seedFlag)
		return
	}
	for seed := range uint64(*seedsFlag) {
		randomFaults(t, seed+1)
		if t.Failed() {
			t.Fatalf("repeat with: go test -tags invariants ./gossip -run TestRandomFaults -core.seed=%d", seed+1)
		}
	}
}

func TestASeedRepeats(t *testing.T) {
	for seed := range uint64(3) {
		if a, b := randomFaults(t, seed+1), randomFaults(t, seed+1); a != b {
			t.Errorf("seed %d: traces %x and %x", seed+1, a, b)
		}
	}
}

func randomFaults(t *testing.T, seed uint64) uint64 {
	rng := rand.New(rand.NewPCG(seed, 7))
	n := newNetwork(t, seed)
	n.exchange = seed%4 == 0 // nodes that were cut apart find each other again, or others
	n.latency = time.Duration(1+rng.IntN(80)) * time.Millisecond
	n.storing = time.Duration(rng.IntN(20)) * time.Millisecond
	n.dropPush = []float64{0, 0.01, 0.3}[rng.IntN(3)]
	cfg := testConfig()
	cfg.Degree = 3 + rng.IntN(6)
	cfg.AuthorsMax = []int{3, 1000}[rng.IntN(2)]
	cfg.ServeMaxBytes = []int{100, 1 << 20}[rng.IntN(2)]
	size := 3 + rng.IntN(8)
	topics := []string{"x", "y.z"}
	in, trims, strategies := newInterests(seed), newTrims(seed), newStrategies(seed)
	var nodes []*node
	for i := range size {
		cfg.Topics = strategies.topics()
		x := n.add(fmt.Sprint("n", i), cfg)
		x.skew = time.Duration(rng.IntN(4000)-2000) * time.Millisecond
		nodes = append(nodes, x)
		in.add(x)
	}
	for i := range nodes[1:] {
		n.connect(nodes[i], nodes[i+1])
	}
	pick := func() *node { return nodes[rng.IntN(size)] }
	published := map[string]int{}
	for range 400 {
		x := pick()
		switch r := rng.IntN(100); {
		case r < 55:
			if !x.dead {
				topic := topics[rng.IntN(2)]
				published[topic] += int(x.publish(topic, 1+rng.IntN(3)).Header.Count)
			}
		case r < 70:
			n.connect(x, pick())
		case r < 80:
			n.cut(x, pick())
		case r < 83:
			x.full = true
		case r < 90:
			x.resume()
		case r < 93:
			// A crash between a trim and the record of the gap that it makes loses the
			// record: only what waited for a predecessor leaves one.
			if trims.none() || x.writes == 0 && !x.full {
				x.crash()
			}
		case x.dead:
			x.start()
			in.started(x)
		}
		in.change(nodes)
		trims.change(nodes)
		n.run(time.Duration(rng.IntN(100)) * time.Millisecond)
	}
	n.dropPush = 0
	for _, x := range nodes {
		if x.dead {
			x.start()
			in.started(x)
		}
		x.resume()
		in.restore(x)
	}
	for i, x := range in.readers[1:] {
		n.connect(in.readers[i], x)
	}
	for _, x := range in.publishers {
		n.connect(x, in.readers[in.rng.IntN(len(in.readers))])
	}
	n.run(45 * time.Second) // a gap's time, a peer's strike and some
	if trims.none() {
		for topic, events := range published {
			n.expect(topic, events, in.readers...)
		}
		return n.trace
	}
	for _, topic := range topics {
		n.expectRetained(topic, in.readers)
	}
	return n.trace
}

// strategyDraws decides how rumors spread on which topics: at all nodes alike, or
// at some of them. It has a source of its own.
type strategyDraws struct {
	rng    *rand.Rand
	filter string // of the topics that are mongered; "": none
	mixed  bool   // by half of the nodes
	m      Mongering
}

func newStrategies(seed uint64) *strategyDraws {
	rng := rand.New(rand.NewPCG(seed, 10))
	d := &strategyDraws{rng: rng, filter: []string{"", "", "x", ">"}[rng.IntN(4)], mixed: rng.IntN(3) == 0}
	d.m = variants[rng.IntN(len(variants))]
	d.m.Fanout = max(d.m.Fanout, 1)
	d.m.Interval = time.Duration(10+rng.IntN(200)) * time.Millisecond
	return d
}

// topics returns the setting of one more node.
func (d *strategyDraws) topics() []TopicConfig {
	if d.filter == "" || d.mixed && d.rng.IntN(2) == 0 {
		return nil
	}
	return []TopicConfig{{Filter: d.filter, Mongering: &d.m}}
}

// trimFaults decides when which nodes trim the oldest of an author's events,
// with a source of its own.
type trimFaults struct {
	rng  *rand.Rand
	rate int // of 100 steps; 0: nothing is trimmed
}

func newTrims(seed uint64) *trimFaults {
	rng := rand.New(rand.NewPCG(seed, 9))
	return &trimFaults{rng: rng, rate: []int{0, 0, 2, 10}[rng.IntN(4)]}
}

func (f *trimFaults) none() bool { return f.rate == 0 }

func (f *trimFaults) change(nodes []*node) {
	if f.rng.IntN(100) >= f.rate {
		return
	}
	x, author := nodes[f.rng.IntN(len(nodes))], nodes[f.rng.IntN(len(nodes))].signer.Author()
	if x.dead || x.writes > 0 {
		return
	}
	topic := []string{"x", "y.z"}[f.rng.IntN(2)]
	var ids []wire.BatchID
	for _, id := range x.order {
		if h := &x.log[id].batch.Header; h.Author == author && h.Topic == topic {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b wire.BatchID) int {
		return x.log[a].batch.Header.Start().Compare(x.log[b].batch.Header.Start())
	})
	x.trim(ids[:f.rng.IntN(len(ids)+1)]...)
}

// expectRetained fails unless each reader holds what those that it is linked
// with do, but for what it has trimmed itself, and unless all are done with
// repairs. What one in between has trimmed, it does not pass on.
func (n *network) expectRetained(topic string, readers []*node) {
	n.t.Helper()
	for _, x := range readers {
		marks := x.trimMarks()
		missing := 0
		for _, y := range readers {
			if x.links[y] == 0 {
				continue
			}
			for id, l := range y.log {
				h := &l.batch.Header
				mark := marks[trimPlace{topic, h.Author}].upto
				if h.Topic == topic && x.log[id] == nil && h.End().Compare(mark) > 0 {
					missing++
				}
			}
		}
		if missing > 0 {
			n.t.Errorf("%s lacks %d batches of %s that others hold; %+v", x.name, missing, topic, x.core.Stats())
		}
		x.checkOrder(topic)
	}
	before := n.sent["*wire.Open"]
	n.run(30 * time.Second)
	if got := n.sent["*wire.Open"] - before; got > 0 {
		n.t.Errorf("%d exchanges begin after all is repaired", got)
	}
}

// interestFaults decides which nodes only publish and when the interests of the
// others go and come. It has a source of its own: a seed draws the same faults
// whether its nodes' interests stay or not.
type interestFaults struct {
	rng                 *rand.Rand
	stay                bool // all nodes read all, always
	readers, publishers []*node
	away                map[*node]bool
}

func newInterests(seed uint64) *interestFaults {
	rng := rand.New(rand.NewPCG(seed, 8))
	return &interestFaults{rng: rng, stay: rng.IntN(3) == 0, away: map[*node]bool{}}
}

func (f *interestFaults) add(x *node) {
	if !f.stay && len(f.readers) >= 2 && f.rng.IntN(3) == 0 {
		f.publishers = append(f.publishers, x)
		return
	}
	f.readers = append(f.readers, x)
	x.interest(">")
}

// started gives a node that was started anew its interest.
func (f *interestFaults) started(x *node) {
	if slices.Contains(f.readers, x) {
		delete(f.away, x)
		x.interest(">")
	}
}

// change may take a reader's interest away, or give it back.
func (f *interestFaults) change(nodes []*node) {
	if f.stay || f.rng.IntN(12) > 0 {
		return
	}
	x := nodes[f.rng.IntN(len(nodes))]
	switch {
	case x.dead || slices.Contains(f.publishers, x):
	case f.away[x]:
		f.restore(x)
	default:
		f.away[x] = true
		x.core.RemoveInterest(">")
		x.step()
	}
}

func (f *interestFaults) restore(x *node) {
	if f.away[x] {
		delete(f.away, x)
		x.interest(">")
	}
}
