package report

import (
	"cmp"
	"math"
	"slices"
)

// edgesMax bounds the overlay's links that are drawn; more are a grey disc.
const edgesMax = 12_000

// picture is a Spread as the page's script reads it: one list for each property
// of a node. What never came is told by null.
type picture struct {
	Cycles bool       `json:"cycles"`
	Total  int        `json:"total"`  // nodes of the Spread
	Hops   int        `json:"hops"`   // of the farthest node
	End    float64    `json:"end"`    // when the last node got it
	Flight float64    `json:"flight"` // how long a rumor is typically under way
	X      []float64  `json:"x"`      // in the unit disc
	Y      []float64  `json:"y"`
	At     []*float64 `json:"at"`
	Parent []int      `json:"parent"`
	Hop    []int      `json:"hop"` // -1: never came
	Name   []string   `json:"name"`
	Edges  [][2]int   `json:"edges"`
	Rings  []float64  `json:"rings"` // radii of the hops
}

// atMax is beyond any time of a simulation, and keeps rounding from overflow.
const atMax = 1e12

// came reports whether the rumor came to the node at all.
func (n Node) came() bool { return n.At >= 0 && n.At < atMax }

// draw chooses the nodes, finds their hops and places, and gathers what the page
// needs.
func (s *Spread) draw() *picture {
	all := s.hops()
	kept := s.choose(all)
	place := make(map[int]int, len(kept))
	nodes := make([]Node, len(kept))
	hops := make([]int, len(kept))
	for i, old := range kept {
		place[old] = i
		nodes[i], hops[i] = s.Nodes[old], all[old]
	}
	p := &picture{Cycles: s.Cycles, Total: len(s.Nodes), Hop: hops}
	for i, n := range s.Nodes {
		if all[i] >= 0 {
			p.End, p.Hops = max(p.End, round(n.At, 6)), max(p.Hops, all[i])
		}
	}
	var flights []float64
	for i := range nodes {
		n := &nodes[i]
		if hops[i] < 1 {
			n.Parent = -1
		} else {
			flights = append(flights, n.At-s.Nodes[n.Parent].At)
			n.Parent = place[n.Parent]
		}
		p.Parent = append(p.Parent, n.Parent)
		p.Name = append(p.Name, cmp.Or(n.Name, nodeName(kept[i])))
		if hops[i] < 0 {
			p.At = append(p.At, nil)
			continue
		}
		at := round(n.At, 6)
		p.At = append(p.At, &at)
	}
	if len(flights) > 0 {
		slices.Sort(flights)
		p.Flight = round(flights[len(flights)/2], 6)
	}
	p.X, p.Y, p.Rings = radial(nodes, hops)
	p.Edges = thinEdges(s.Edges, place)
	return p
}

// round rounds to a number of decimals, which keeps the page small.
func round(v float64, decimals int) float64 {
	scale := math.Pow(10, float64(decimals))
	return math.Round(v*scale) / scale
}

// The hops of nodes that have none yet, in the course of finding them.
const (
	never    = -1 // the rumor never came
	unknown  = -2
	visiting = -3
)

// hops returns each node's distance from the origin in the tree of parents, -1
// where the rumor never came. Where parents go in a circle one of them is taken
// for an origin: so the tree has no loops, whatever the data.
func (s *Spread) hops() []int {
	hops := make([]int, len(s.Nodes))
	for i, n := range s.Nodes {
		hops[i] = unknown
		if !n.came() {
			hops[i] = never
		}
	}
	var chain []int
	for i := range hops {
		chain = chain[:0]
		hop := -1 // of the parent of the chain's last
		for j := i; hops[j] == unknown; {
			hops[j] = visiting
			chain = append(chain, j)
			parent, found := s.parent(j)
			if !found {
				break
			}
			if hops[parent] >= 0 {
				hop = hops[parent]
			}
			j = parent // if it is visited, this is a circle, and its parent no parent
		}
		for _, j := range slices.Backward(chain) {
			hop++
			hops[j] = hop
		}
	}
	return hops
}

// parent returns who brought the rumor to a node. Who never had it, or later
// than the node, did not.
func (s *Spread) parent(i int) (parent int, found bool) {
	p := s.Nodes[i].Parent
	if p < 0 || p >= len(s.Nodes) || !s.Nodes[p].came() || s.Nodes[p].At > s.Nodes[i].At {
		return -1, false
	}
	return p, true
}

// choose returns the nodes that are drawn, ascending: all, or NodesMax of them,
// spread evenly, together with those through whom the rumor came to them. Nodes
// that it missed have their share.
func (s *Spread) choose(hops []int) []int {
	n := len(s.Nodes)
	var kept []int
	without := 0
	for i, hop := range hops {
		kept = append(kept, i)
		if hop == never {
			without++
		}
	}
	if n <= NodesMax {
		return kept
	}
	roomMissed := int(math.Ceil(NodesMax * float64(without) / float64(n)))
	room := NodesMax - roomMissed
	in := make(map[int]bool, NodesMax)
	stride := int(float64(n) * 0.6180339887) // the golden section scatters
	for gcd(stride, n) != 1 {
		stride++
	}
	kept = nil
	for i, at := 0, 0; i < n && room+roomMissed > 0; i, at = i+1, (at+stride)%n {
		if hops[at] == never {
			if roomMissed > 0 {
				roomMissed--
				kept = append(kept, at)
			}
			continue
		}
		if chain := s.way(at, hops, in); len(chain) <= room {
			room -= len(chain)
			kept = append(kept, chain...)
			for _, j := range chain {
				in[j] = true
			}
		}
	}
	slices.Sort(kept)
	return kept
}

// way returns a node and those through whom the rumor came to it, up to the
// first that is in.
func (s *Spread) way(i int, hops []int, in map[int]bool) []int {
	var chain []int
	for !in[i] {
		chain = append(chain, i)
		if hops[i] == 0 {
			break
		}
		i = s.Nodes[i].Parent
	}
	return chain
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// thinEdges returns the links between drawn nodes, by their new numbers, at most
// edgesMax of them.
func thinEdges(edges [][2]int, place map[int]int) [][2]int {
	drawn := make([][2]int, 0, min(len(edges), edgesMax))
	for _, e := range edges {
		a, fine := place[e[0]]
		b, too := place[e[1]]
		if fine && too && a != b {
			drawn = append(drawn, [2]int{a, b})
		}
	}
	if len(drawn) <= edgesMax {
		return drawn
	}
	thin := make([][2]int, edgesMax)
	for i := range thin {
		thin[i] = drawn[i*len(drawn)/edgesMax]
	}
	return thin
}
