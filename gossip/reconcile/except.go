package reconcile

import (
	"iter"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// Except is a set of items that a peer has trimmed, all of them in one [Set], which
// are left out when it is compared with that peer. The zero Except is empty and
// ready for use. It may not be copied once used.
//
// What the Set loses must leave its Excepts before the next comparison.
type Except struct {
	root *node
	// known has the digests of nodes of the Set some of whose items are excepted: old ones,
	// mostly, which stay as they are while news comes in. It is looked up, never ranged over.
	known map[*node]remainder
	// changed are items put in or taken out whose nodes may still be in known.
	changed []Item
}

// remainder is the digest of what remains of a node without the exceptions.
// It holds as long as the digest of the whole node is the same.
type remainder struct{ whole, rest Digest }

// Bounds of what an Except keeps to save hashing. Beyond, it begins anew.
const (
	knownMax   = 1 << 14 // nodes, of some 4,096 items each, and those above them
	changedMax = 1 << 10
)

// Len returns the number of items.
func (x *Except) Len() int {
	if x == nil || x.root == nil {
		return 0
	}
	return x.root.count
}

// Has reports whether it is excepted.
func (x *Except) Has(it Item) bool { return x.root.has(&it) }

// Insert adds it, which is in the Set, and reports whether it was new.
func (x *Except) Insert(it Item) bool {
	root, added := x.root.insert(&it)
	x.root = root
	if added {
		x.touch(it)
	}
	return added
}

// Remove takes it out and reports whether it was there.
func (x *Except) Remove(it Item) bool {
	root, removed := x.root.remove(&it)
	x.root = root
	if removed {
		x.touch(it)
	}
	return removed
}

// Merge adds items of the Set, in any order.
func (x *Except) Merge(items []Item) {
	for i := range items {
		x.Insert(items[i])
	}
}

// RemoveFunc takes out the items for which gone returns true.
func (x *Except) RemoveFunc(gone func(Item) bool) {
	var out []Item
	for it := range x.All() {
		if gone(it) {
			out = append(out, it)
		}
	}
	for i := range out {
		x.Remove(out[i])
	}
}

// All returns the items in ascending order.
func (x *Except) All() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		x.root.leaves(func(items []Item) bool { return each(items, yield) })
	}
}

func (x *Except) touch(it Item) {
	switch {
	case len(x.known) == 0:
	case len(x.changed) == changedMax:
		x.known, x.changed = nil, nil
	default:
		x.changed = append(x.changed, it)
	}
}

// forget drops what is known of the nodes of the set above changed items.
func (x *Except) forget(s *Set) {
	for i := range x.changed {
		it := &x.changed[i]
		for n := s.root; n != nil; n = n.kids[it.digit(n.depth)] {
			delete(x.known, n)
			if n.kids == nil {
				break
			}
		}
	}
	x.changed = x.changed[:0]
}

func (x *Except) keep(n *node, r remainder) {
	if x.known == nil || len(x.known) >= knownMax {
		x.known = make(map[*node]remainder)
	}
	x.known[n] = r
}

// holes are those of a view's exceptions that are below a node of the set:
// a subtree, or part of a leaf; or there are none.
type holes struct {
	n     *node
	items []Item
}

// holes returns the exceptions of the view.
func (v View) holes() holes {
	if v.except.Len() == 0 {
		return holes{}
	}
	v.except.forget(v.set)
	return holesAt(v.except.root)
}

func holesAt(n *node) holes {
	if n != nil && n.kids == nil {
		return holes{items: n.items}
	}
	return holes{n: n}
}

func (h holes) none() bool { return h.n == nil && len(h.items) == 0 }

func (h holes) countIn(low, high wire.Time) int {
	if h.n != nil {
		return h.n.countIn(low, high)
	}
	if len(h.items) == 0 {
		return 0
	}
	return len(within(h.items, low, high))
}

// below returns the holes below kid x of the node, whose kids differ in digit depth.
func (h holes) below(depth, x int) holes {
	switch {
	case h.n == nil:
		from, _ := slices.BinarySearchFunc(h.items, x, func(it Item, x int) int { return it.digit(depth) - x })
		to := from
		for to < len(h.items) && h.items[to].digit(depth) == x {
			to++
		}
		return holes{items: h.items[from:to]}
	case h.n.depth == depth:
		return holesAt(h.n.kids[x])
	case h.n.ref.digit(depth) == x:
		// The exceptions, fewer than the node's items, part further down.
		return h
	}
	return holes{}
}

// walk calls f for the items below n, which may be nil, that are dated in [low, high) but
// for the holes, ascending and in slices, until f returns false. It reports whether it
// got to the end.
func (h holes) walk(n *node, low, high wire.Time, f func([]Item) bool) bool {
	if h.none() {
		return n.walk(low, high, f)
	}
	if n.apart(low, high) {
		return true
	}
	if n.kids == nil {
		return h.walkLeaf(within(n.items, low, high), low, high, f)
	}
	for i, k := range n.kids {
		if k != nil && !h.below(n.depth, i).walk(k, low, high, f) {
			return false
		}
	}
	return true
}

func (h holes) walkLeaf(items []Item, low, high wire.Time, f func([]Item) bool) bool {
	between := func(excepted []Item) bool {
		for i := range excepted {
			at, found := slices.BinarySearchFunc(items, excepted[i], Item.Compare)
			if at > 0 && !f(items[:at]) {
				return false
			}
			if found {
				at++
			}
			items = items[at:]
		}
		return true
	}
	if h.n != nil {
		if !h.n.walk(low, high, between) {
			return false
		}
	} else if !between(within(h.items, low, high)) {
		return false
	}
	return len(items) == 0 || f(items)
}
