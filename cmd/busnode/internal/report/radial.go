package report

import (
	"cmp"
	"math"
	"slices"
)

// radial places the nodes on rings, one for each hop from the origin, in the
// middle. Each leaf of the tree has an equal part of the circle, each inner node
// stands amid its leaves, and children follow each other in the order in which the
// rumor came: links of the tree do not cross. Nodes that it never reached stand on a ring
// of their own outside, which is the last of rings.
func radial(nodes []Node, hops []int) (x, y, rings []float64) {
	children := make([][]int, len(nodes))
	var roots, missed []int
	deepest := 0
	for i, n := range nodes {
		deepest = max(deepest, hops[i])
		switch {
		case hops[i] < 0:
			missed = append(missed, i)
		case n.Parent < 0:
			roots = append(roots, i)
		default:
			children[n.Parent] = append(children[n.Parent], i)
		}
	}
	for _, c := range children {
		slices.SortStableFunc(c, func(a, b int) int { return cmp.Compare(nodes[a].At, nodes[b].At) })
	}
	rings = ringRadii(hops, deepest, len(roots) > 1)
	angles := angles(roots, children)
	x, y = make([]float64, len(nodes)), make([]float64, len(nodes))
	for i := range nodes {
		if hops[i] >= 0 {
			x[i], y[i] = onRing(rings[hops[i]], angles[i])
		}
	}
	for j, i := range missed {
		x[i], y[i] = onRing(rings[len(rings)-1], 2*math.Pi*float64(j)/float64(len(missed)))
	}
	return x, y, rings
}

func onRing(radius, angle float64) (x, y float64) {
	return round(radius*math.Sin(angle), 4), round(-radius*math.Cos(angle), 4)
}

// ringRadii returns the radius of each hop's ring and, if some nodes were missed,
// of theirs. Rings with more nodes have more room, as the logarithm: a
// few stragglers on rings of their own do not squeeze the others.
// Several origins share a small ring.
func ringRadii(hops []int, deepest int, several bool) []float64 {
	counts := make([]float64, deepest+2)
	for _, hop := range hops {
		if hop < 0 {
			hop = deepest + 1
		}
		counts[hop]++
	}
	if counts[deepest+1] == 0 {
		counts = counts[:deepest+1]
	}
	at := 0.0
	rings := make([]float64, len(counts))
	for i, count := range counts {
		if i > 0 || several {
			at += 1 + math.Log1p(count)
		}
		rings[i] = at
	}
	for i := range rings {
		rings[i] = round(rings[i]/max(at, 1), 4)
	}
	return rings
}

// angles gives each leaf an equal part of the circle and each inner node the
// middle of its part.
func angles(roots []int, children [][]int) []float64 {
	weight := make([]float64, len(children))
	order := slices.Clone(roots) // parents before children
	for i := 0; i < len(order); i++ {
		order = append(order, children[order[i]]...)
	}
	total := 0.0
	for _, i := range slices.Backward(order) {
		if len(children[i]) == 0 {
			weight[i] = 1
		}
		for _, c := range children[i] {
			weight[i] += weight[c]
		}
	}
	for _, i := range roots {
		total += weight[i]
	}
	angle, begin := make([]float64, len(children)), make([]float64, len(children))
	next := 0.0
	for _, i := range roots {
		begin[i] = next
		next += weight[i]
	}
	for _, i := range order {
		angle[i] = 2 * math.Pi * (begin[i] + weight[i]/2) / total
		at := begin[i]
		for _, c := range children[i] {
			begin[c] = at
			at += weight[c]
		}
	}
	return angle
}
