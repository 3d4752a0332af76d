package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHopsNeedNoGoodData(t *testing.T) {
	s := &Spread{Nodes: []Node{
		{At: 0, Parent: -1},
		{At: 2, Parent: 2}, // its parent came later: a loop
		{At: 3, Parent: 1},
		{At: 1, Parent: 99},
		{At: 1, Parent: 4}, // itself
		{At: math.NaN(), Parent: 0},
		{At: 4, Parent: 5}, // from one that never had it
		{At: 5, Parent: 2},
		{At: 6, Parent: 9}, // at one time with its parent, further down
		{At: 6, Parent: 0},
		{At: 7, Parent: 11}, // a circle at one time
		{At: 7, Parent: 10},
	}}
	if got, want := s.hops(), []int{0, 0, 1, 0, 0, -1, 0, 2, 2, 1, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("hops are %v, want %v", got, want)
	}
	p := s.draw()
	if len(p.X) != 12 || p.Parent[2] != 1 || p.Parent[6] != -1 {
		t.Errorf("parents are %v", p.Parent)
	}
}

func TestASampleHoldsTheWayToEachNode(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	edges, neighbours := overlay(r, 30_000, 8)
	nodes, _ := flood(r, neighbours, 0.5, 0.1)
	s := &Spread{Nodes: nodes, Edges: edges}
	p := s.draw()
	if n := len(p.X); n > NodesMax || n < NodesMax-20 || p.Total != 30_000 || len(p.Edges) > edgesMax {
		t.Fatalf("drawn are %d of %d nodes with %d links", n, p.Total, len(p.Edges))
	}
	missed, all := 0.0, 0.0
	for i, hop := range p.Hop {
		if hop < 0 {
			missed++
		}
		if hop > 0 && p.Hop[p.Parent[i]] != hop-1 {
			t.Fatalf("node %d of hop %d came from one of hop %d", i, hop, p.Hop[p.Parent[i]])
		}
	}
	for _, hop := range s.hops() {
		if hop < 0 {
			all++
		}
	}
	if share := missed / float64(len(p.Hop)) / (all / 30_000); share < 0.97 || share > 1.03 {
		t.Errorf("missed nodes are drawn at %.2f of their share", share)
	}
	if p.Hops < 5 || p.End <= 0.2 {
		t.Errorf("the way ends at %g s after %d hops", p.End, p.Hops)
	}
}

func TestManyLinksAreThinned(t *testing.T) {
	place := make(map[int]int)
	var edges [][2]int
	for i := range 400 {
		place[i] = i
		for j := range i {
			edges = append(edges, [2]int{i, j})
		}
	}
	thin := thinEdges(edges, place)
	if len(thin) != edgesMax || thin[len(thin)-1][0] < 390 {
		t.Errorf("%d links, the last %v", len(thin), thin[len(thin)-1])
	}
}

func TestTheTreeIsDrawnWithoutCrossings(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	_, neighbours := overlay(r, 300, 6)
	nodes, _ := flood(r, neighbours, 0.6, 0.1)
	p := (&Spread{Nodes: nodes}).draw()
	angle := func(i int) float64 { return math.Mod(math.Atan2(p.X[i], -p.Y[i])+2*math.Pi, 2*math.Pi) }
	// The nodes of a ring, by angle, have parents in the order of angles.
	for hop := 2; hop <= p.Hops; hop++ {
		var ring []int
		for i := range p.X {
			if p.Hop[i] == hop {
				ring = append(ring, i)
			}
			if d := math.Hypot(p.X[i], p.Y[i]); p.Hop[i] == hop && math.Abs(d-p.Rings[hop]) > 1e-3 {
				t.Fatalf("a node of hop %d is at %g, its ring at %g", hop, d, p.Rings[hop])
			}
		}
		slices.SortFunc(ring, func(a, b int) int {
			if angle(a) < angle(b) {
				return -1
			}
			return 1
		})
		for i := 1; i < len(ring); i++ {
			a, b := ring[i-1], ring[i]
			if angle(a) == angle(b) {
				t.Fatalf("two nodes of hop %d are in one place", hop)
			}
			if angle(p.Parent[a]) > angle(p.Parent[b]) {
				t.Fatalf("the ways to two nodes of hop %d cross", hop)
			}
		}
	}
	if last := p.Rings[len(p.Rings)-1]; last != 1 || len(p.Rings) != p.Hops+2 {
		t.Errorf("%d rings, the last at %g", len(p.Rings), last)
	}
}

func TestAMillionNodesAreDrawnFast(t *testing.T) {
	if testing.Short() {
		t.Skip("a million nodes")
	}
	nodes := make([]Node, 1_000_000)
	nodes[0].Parent = -1
	for i := 1; i < len(nodes); i++ {
		nodes[i] = Node{At: float64(i), Parent: (i - 1) / 3}
	}
	if p := (&Spread{Nodes: nodes}).draw(); len(p.X) != NodesMax {
		t.Errorf("drawn are %d nodes", len(p.X))
	}
}
