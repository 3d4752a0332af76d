package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Edge is a link of an overlay, between two nodes by index.
type Edge [2]int

// Regular returns a random connected graph in which each of n nodes has degree
// links, or one less where two of the circles that make it coincide: the union of
// degree/2 random circles through all nodes, and a random matching if it is odd. The error wraps
// [ErrParams].
func Regular(n, degree int, rng *rand.Rand) ([]Edge, error) {
	if n < 1 || degree < 2 {
		return nil, fmt.Errorf("%w: an overlay of %d nodes with degree %d; want at least 1 and 2", ErrParams, n, degree)
	}
	if degree >= n-1 {
		return Full(n), nil
	}
	edges := make([]Edge, 0, n*degree/2)
	add := func(a, b int) { edges = append(edges, Edge{min(a, b), max(a, b)}) }
	for range degree / 2 {
		order := rng.Perm(n)
		for i, a := range order {
			add(a, order[(i+1)%n])
		}
	}
	if degree%2 == 1 {
		order := rng.Perm(n)
		for i := 0; i+1 < n; i += 2 {
			add(order[i], order[i+1])
		}
	}
	slices.SortFunc(edges, func(a, b Edge) int {
		if a[0] != b[0] {
			return a[0] - b[0]
		}
		return a[1] - b[1]
	})
	return slices.Compact(edges), nil
}

// Full returns the edges of a network in which all are linked with all.
func Full(n int) []Edge {
	edges := make([]Edge, 0, n*(n-1)/2)
	for a := range n {
		for b := a + 1; b < n; b++ {
			edges = append(edges, Edge{a, b})
		}
	}
	return edges
}

// Connect makes links of an overlay, which come back when they were lost.
func (s *Sim) Connect(edges []Edge) {
	for _, e := range edges {
		a, b := s.nodes[e[0]], s.nodes[e[1]]
		a.keep(b)
		s.link(a, b)
	}
}

// Link makes links that, once lost, do not come back by themselves: with
// Params.Exchange the cores find others.
func (s *Sim) Link(edges []Edge) {
	for _, e := range edges {
		s.link(s.nodes[e[0]], s.nodes[e[1]])
	}
}

// Edges returns the links that are up now.
func (s *Sim) Edges() []Edge {
	var edges []Edge
	for _, n := range s.nodes {
		for i := range n.links {
			if peer := n.links[i].peer; n.Index < peer.Index {
				edges = append(edges, Edge{n.Index, peer.Index})
			}
		}
	}
	return edges
}
