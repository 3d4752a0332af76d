package gossip

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("core.seed", 0, "run TestRandomFaults with this seed alone")
	seedsFlag = flag.Int("core.seeds", 100, "how many seeds TestRandomFaults runs")
)

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
	n.latency = time.Duration(1+rng.IntN(80)) * time.Millisecond
	n.storing = time.Duration(rng.IntN(20)) * time.Millisecond
	n.dropPush = []float64{0, 0.01, 0.3}[rng.IntN(3)]
	cfg := testConfig()
	cfg.Degree = 3 + rng.IntN(6)
	cfg.AuthorsMax = []int{3, 1000}[rng.IntN(2)]
	cfg.ServeMaxBytes = []int{100, 1 << 20}[rng.IntN(2)]
	size := 3 + rng.IntN(8)
	topics := []string{"x", "y.z"}
	in := newInterests(seed)
	var nodes []*node
	for i := range size {
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
			x.crash()
		case x.dead:
			x.start()
			in.started(x)
		}
		in.change(nodes)
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
	for topic, events := range published {
		n.expect(topic, events, in.readers...)
	}
	return n.trace
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
