package reconcile

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

const (
	fanout   = 16
	leafMax  = 256         // items of a leaf in memory; digests do not depend on it
	mergeMax = leafMax / 2 // an inner node with no more becomes a leaf; half, so that it does not split at once
)

// node is a subtree of the trie, never empty.
//
// A leaf has items, an inner node kids. Invariants: count is the number of
// items below, first and last are the earliest and latest time of them, and
// an inner node has at least two kids, which differ in digit depth.
type node struct {
	items []Item // ascending
	kids  *[fanout]*node
	depth int  // the digit by which kids are told apart
	ref   Item // some item that was below at some time: the depth leading digits of all that are

	count       int
	first, last wire.Time

	hashed bool // sum is up to date
	sum    Digest
}

func newLeaf(items []Item) *node {
	n := &node{items: items}
	n.refresh()
	return n
}

// refresh restores what is derived from items or kids after they changed.
func (n *node) refresh() {
	n.hashed = false
	if n.kids == nil {
		n.count = len(n.items)
		n.first, n.last = n.items[0].Time, n.items[len(n.items)-1].Time
		return
	}
	n.count = 0
	for _, k := range n.kids {
		if k == nil {
			continue
		}
		if n.count == 0 {
			n.first = k.first
		}
		n.count += k.count
		n.last = k.last
	}
}

// insert adds it below n, which may be nil, and returns the subtree's new top
// and whether it was new.
func (n *node) insert(it *Item) (*node, bool) {
	if n == nil {
		return newLeaf([]Item{*it}), true
	}
	if n.kids == nil {
		return n.insertLeaf(it)
	}
	if d := common(it, &n.ref); d < n.depth {
		top := &node{kids: new([fanout]*node), depth: d, ref: *it}
		top.kids[n.ref.digit(d)] = n
		top.kids[it.digit(d)] = newLeaf([]Item{*it})
		top.refresh()
		return top, true
	}
	slot := &n.kids[it.digit(n.depth)]
	kid, added := (*slot).insert(it)
	if !added {
		return n, false
	}
	*slot = kid
	n.hashed = false
	n.count++
	n.first, n.last = min(n.first, it.Time), max(n.last, it.Time)
	return n, true
}

func (n *node) insertLeaf(it *Item) (*node, bool) {
	// News comes at the end, nearly always.
	if n.items[len(n.items)-1].Compare(*it) < 0 {
		n.items = append(n.items, *it)
	} else {
		i, found := slices.BinarySearchFunc(n.items, *it, Item.Compare)
		if found {
			return n, false
		}
		n.items = slices.Insert(n.items, i, *it)
	}
	if len(n.items) > leafMax {
		return split(n.items), true
	}
	n.refresh()
	return n, true
}

// split makes an inner node of items, which are ascending and at least two.
func split(items []Item) *node {
	d := common(&items[0], &items[len(items)-1])
	n := &node{kids: new([fanout]*node), depth: d, ref: items[0]}
	for len(items) > 0 {
		x := items[0].digit(d)
		end := 1
		for end < len(items) && items[end].digit(d) == x {
			end++
		}
		n.kids[x] = newLeaf(slices.Clone(items[:end]))
		items = items[end:]
	}
	n.refresh()
	return n
}

// remove takes it from below n, which may be nil, and returns what is left
// and whether it was there.
func (n *node) remove(it *Item) (*node, bool) {
	if n == nil {
		return nil, false
	}
	if n.kids == nil {
		i, found := slices.BinarySearchFunc(n.items, *it, Item.Compare)
		if !found {
			return n, false
		}
		n.items = slices.Delete(n.items, i, i+1)
		return n.shrunk(), true
	}
	if common(it, &n.ref) < n.depth {
		return n, false
	}
	slot := &n.kids[it.digit(n.depth)]
	kid, removed := (*slot).remove(it)
	if !removed {
		return n, false
	}
	*slot = kid
	return n.shrunk(), true
}

// removeBelow takes all items dated before t from below n and returns what is left.
func (n *node) removeBelow(t wire.Time) *node {
	switch {
	case n == nil || n.first >= t:
		return n
	case n.last < t:
		return nil
	case n.kids == nil:
		n.items = slices.Delete(n.items, 0, lowerBound(n.items, t))
	default:
		for i, k := range n.kids {
			n.kids[i] = k.removeBelow(t)
		}
	}
	return n.shrunk()
}

// shrunk restores n's invariants after a removal and returns what stands in
// its place: nothing, the only kid left, or a leaf instead of a small tree.
func (n *node) shrunk() *node {
	if n.kids == nil {
		if len(n.items) == 0 {
			return nil
		}
		n.refresh()
		return n
	}
	var only *node
	kids, count := 0, 0
	for _, k := range n.kids {
		if k != nil {
			only, kids, count = k, kids+1, count+k.count
		}
	}
	switch {
	case kids <= 1:
		return only
	case count <= mergeMax:
		items := make([]Item, 0, count)
		n.leaves(func(part []Item) bool {
			items = append(items, part...)
			return true
		})
		return newLeaf(items)
	}
	n.refresh()
	return n
}

// leaves calls f for the items of each leaf below n, which may be nil,
// ascending, until f returns false. It reports whether it got to the end.
func (n *node) leaves(f func([]Item) bool) bool {
	if n == nil {
		return true
	}
	if n.kids == nil {
		return f(n.items)
	}
	for _, k := range n.kids {
		if !k.leaves(f) {
			return false
		}
	}
	return true
}

// has reports whether it is below n, which may be nil.
func (n *node) has(it *Item) bool {
	for n != nil && n.kids != nil {
		n = n.kids[it.digit(n.depth)]
	}
	if n == nil {
		return false
	}
	_, found := slices.BinarySearchFunc(n.items, *it, Item.Compare)
	return found
}

// lowerBound returns the index of the first item dated t or later.
func lowerBound(items []Item, t wire.Time) int {
	i, _ := slices.BinarySearchFunc(items, t, func(it Item, t wire.Time) int {
		if it.Time < t {
			return -1
		}
		return 1
	})
	return i
}

// within returns the items of a leaf dated in [low, high).
func within(items []Item, low, high wire.Time) []Item {
	return items[lowerBound(items, low):lowerBound(items, high)]
}

// covers reports whether all items below n are dated in [low, high).
func (n *node) covered(low, high wire.Time) bool { return low <= n.first && n.last < high }

// apart reports whether no item below n can be dated in [low, high).
func (n *node) apart(low, high wire.Time) bool { return n == nil || n.last < low || high <= n.first }

// countIn returns how many items below n are dated in [low, high).
func (n *node) countIn(low, high wire.Time) int {
	switch {
	case n.apart(low, high):
		return 0
	case n.covered(low, high):
		return n.count
	case n.kids == nil:
		return len(within(n.items, low, high))
	}
	count := 0
	for _, k := range n.kids {
		count += k.countIn(low, high)
	}
	return count
}

// walk calls f for the items of each leaf that are dated in [low, high),
// ascending, until f returns false. It reports whether it got to the end.
func (n *node) walk(low, high wire.Time, f func([]Item) bool) bool {
	if n.apart(low, high) {
		return true
	}
	if n.kids == nil {
		part := n.items
		if !n.covered(low, high) {
			part = within(part, low, high)
		}
		return len(part) == 0 || f(part)
	}
	for _, k := range n.kids {
		if !k.walk(low, high, f) {
			return false
		}
	}
	return true
}
