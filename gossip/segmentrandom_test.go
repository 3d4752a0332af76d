package gossip

import (
	"fmt"
	"testing"
	"time"
)

// Whatever happens to streams, segment and nodes: afterwards all hold all, once and in
// order, and nobody is blamed.
func TestSegmentsUnderRandomFaults(t *testing.T) {
	for seed := range uint64(*seedsFlag / 4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { segmentFaults(t, 1000+seed) })
	}
}

func segmentFaults(t *testing.T, seed uint64) {
	n := newNetwork(t, seed)
	s := n.addSegment()
	s.loss = 0.2 * n.rng.Float64()
	modes := []Multicast{MulticastFallback, MulticastFallback, MulticastAlways}
	nodes := make([]*node, 3+n.rng.IntN(6))
	for i := range nodes {
		cfg := testConfig()
		cfg.Multicast = modes[n.rng.IntN(len(modes))]
		nodes[i] = n.add(fmt.Sprintf("n%02d", i), cfg)
		if i == 0 || n.rng.IntN(4) > 0 {
			nodes[i].interest([]string{"x", ">"}[n.rng.IntN(2)])
		}
	}
	s.join(nodes...)
	total := 0
	pick := func() *node { return nodes[n.rng.IntN(len(nodes))] }
	for range 300 {
		x, y := pick(), pick()
		switch n.rng.IntN(12) {
		case 0:
			n.cut(x, y)
		case 1, 2:
			if !n.silent {
				n.connect(x, y)
			}
		case 3:
			switch {
			case n.silent:
				n.cutAll() // what they carried meanwhile is lost
				n.silent = false
			case n.rng.IntN(3) == 0:
				n.loseUnicast(4 * time.Second)
			}
		case 4:
			s.deaf[x] = n.rng.IntN(2) == 0
		case 5:
			s.killed = n.rng.IntN(3) == 0
		case 6:
			if n.rng.IntN(4) == 0 && !x.dead {
				x.crash()
				n.run(time.Duration(n.rng.Int64N(int64(8 * time.Second))))
				filters := x.core.interests.filters
				s.restart(x)
				x.interest(filters...)
			}
		default:
			if !x.dead {
				x.publish("x", 1)
				total++
			}
		}
		n.run(time.Duration(n.rng.Int64N(int64(400 * time.Millisecond))))
	}
	if n.silent {
		n.cutAll()
	}
	n.silent, s.killed, s.loss = false, false, 0
	clear(s.deaf)
	for i, x := range nodes { // a chain, and whatever there is
		if i%3 > 0 {
			n.connect(x, nodes[i-1])
		}
	}
	n.run(3 * time.Minute)
	for _, x := range nodes {
		if len(x.core.interests.filters) > 0 {
			n.expect("x", total, x)
		}
		if st := x.core.Stats(); st.Demerits > 0 {
			t.Errorf("%s: %+v", x.name, st)
		}
	}
	if t.Failed() {
		t.Logf("%d nodes, %d events, loss %.2f", len(nodes), total, s.loss)
	}
}
