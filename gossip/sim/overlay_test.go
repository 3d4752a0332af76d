package sim

import (
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// degrees fails unless the edges are links between two of n nodes, each once and in order; it
// returns how many each node has, and whether all nodes are connected.
func degrees(t *rapid.T, n int, edges []Edge) (of []int, connected bool) {
	of, group := make([]int, n), make([]int, n)
	for i := range group {
		group[i] = i
	}
	find := func(i int) int {
		for group[i] != i {
			i = group[i]
		}
		return i
	}
	parts := n
	for i, e := range edges {
		if e[0] < 0 || e[0] >= e[1] || e[1] >= n {
			t.Fatalf("edge %v among %d nodes", e, n)
		}
		if i > 0 && (e[0] < edges[i-1][0] || e[0] == edges[i-1][0] && e[1] <= edges[i-1][1]) {
			t.Fatalf("edge %v comes after %v", e, edges[i-1])
		}
		of[e[0]]++
		of[e[1]]++
		if a, b := find(e[0]), find(e[1]); a != b {
			group[a] = b
			parts--
		}
	}
	return of, parts == 1
}

func TestRegularIsConnectedAndRegular(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "nodes")
		degree := rapid.IntRange(2, 12).Draw(t, "degree")
		seed := rapid.Uint64().Draw(t, "seed")
		edges, err := Regular(n, degree, rand.New(rand.NewPCG(seed, 0)))
		if err != nil {
			t.Fatal(err)
		}
		of, connected := degrees(t, n, edges)
		if !connected {
			t.Fatalf("%d nodes with degree %d are not connected", n, degree)
		}
		want, lost := min(degree, n-1), 0
		for i, d := range of {
			if d > want {
				t.Fatalf("node %d has %d links, want at most %d", i, d, want)
			}
			lost += want - d
		}
		// Two random circles share an edge with chance 2/n each, whatever n; a link of each of
		// the ends is lost then. One node has no partner in a matching of an odd number.
		circles := (degree + 1) / 2
		if most := 2*circles*circles*8 + degree; want < n-1 && lost > most {
			t.Fatalf("%d links of %d nodes with degree %d are lost, want at most %d", lost, n, degree, most)
		}
		again, _ := Regular(n, degree, rand.New(rand.NewPCG(seed, 0)))
		for i := range edges {
			if edges[i] != again[i] {
				t.Fatalf("equal seeds, but edge %d is %v and %v", i, edges[i], again[i])
			}
		}
	})
}

func TestRegularRefusesWhatIsNoOverlay(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range [][2]int{{0, 4}, {-1, 4}, {10, 1}, {10, -3}} {
		if _, err := Regular(c[0], c[1], rng); !errors.Is(err, ErrParams) {
			t.Errorf("%d nodes with degree %d: error %v, want ErrParams", c[0], c[1], err)
		}
	}
}

func TestOverlaysOfFaultRunsAreConnected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "nodes")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for name, o := range map[string]struct {
			edges []Edge
			links int // of the one with the most, at most
		}{
			"line": {Line(n), 2}, "ring": {Ring(n), 2}, "star": {Star(n), n - 1}, "full": {Full(n), n - 1},
			"tree": {Tree(n, rng), n - 1},
		} {
			of := make([]int, n)
			seen := map[Edge]bool{}
			for _, e := range o.edges {
				if e[0] >= e[1] || seen[e] {
					t.Fatalf("%s of %d nodes: edge %v", name, n, e)
				}
				seen[e] = true
				of[e[0]]++
				of[e[1]]++
			}
			for i, d := range of {
				if d > o.links || d == 0 && n > 1 {
					t.Fatalf("%s of %d nodes: node %d has %d links", name, n, i, d)
				}
			}
		}
	})
}
