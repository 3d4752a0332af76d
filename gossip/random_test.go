package gossip

import (
	"flag"
	"fmt"
	"math/rand/v2"
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
	var nodes []*node
	for i := range size {
		x := n.add(fmt.Sprint("n", i), cfg)
		x.skew = time.Duration(rng.IntN(4000)-2000) * time.Millisecond
		nodes = append(nodes, x.interest(">"))
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
			x.interest(">")
		}
		n.run(time.Duration(rng.IntN(100)) * time.Millisecond)
	}
	n.dropPush = 0
	for _, x := range nodes {
		if x.dead {
			x.start()
			x.interest(">")
		}
		x.resume()
	}
	for i := range nodes[1:] {
		n.connect(nodes[i], nodes[i+1])
	}
	n.run(45 * time.Second) // a gap's time, a peer's strike and some
	for topic, events := range published {
		n.expect(topic, events, nodes...)
	}
	return n.trace
}
