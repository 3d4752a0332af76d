package reconcile

import (
	"iter"

	"github.com/busnode/busnode/gossip/wire"
)

// Set is an ordered set of items with digests of its ranges. The zero Set is
// empty and ready for use. It may not be copied once used, is not safe for
// concurrent use, and may not be changed while one of its sequences is read.
//
// Inserting and removing cost O(log n). A digest is computed when asked for
// and kept until an item in its range changes.
type Set struct {
	root   *node
	hasher *hasher // nil before the first digest
	memo   memo
}

// NewSet returns an empty set.
func NewSet() *Set { return &Set{} }

// Len returns the number of items.
func (s *Set) Len() int {
	if s.root == nil {
		return 0
	}
	return s.root.count
}

// Insert adds it and reports whether it was new.
func (s *Set) Insert(it Item) bool {
	root, added := s.root.insert(&it)
	if !added {
		return false
	}
	s.root = root
	s.memo.changed(it.Time)
	return true
}

// Remove takes it out and reports whether it was there.
func (s *Set) Remove(it Item) bool {
	root, removed := s.root.remove(&it)
	if !removed {
		return false
	}
	s.root = root
	s.memo.changed(it.Time)
	return true
}

// RemoveBelow takes out all items dated before t and returns how many they were.
// Only the leaf that t falls into is touched item by item.
func (s *Set) RemoveBelow(t wire.Time) int {
	before := s.Len()
	s.root = s.root.removeBelow(t)
	removed := before - s.Len()
	if removed > 0 {
		s.memo.changedBelow(t)
	}
	return removed
}

// Has reports whether the set holds it.
func (s *Set) Has(it Item) bool { return s.root.has(&it) }

// Count returns how many items are dated in [low, high).
func (s *Set) Count(low, high wire.Time) int {
	if low >= high {
		return 0
	}
	return s.root.countIn(low, high)
}

// All returns the items in ascending order.
func (s *Set) All() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		s.root.leaves(func(items []Item) bool { return each(items, yield) })
	}
}

// Items returns the items dated in [low, high), in ascending order.
func (s *Set) Items(low, high wire.Time) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		if low < high {
			s.root.walk(low, high, func(items []Item) bool { return each(items, yield) })
		}
	}
}

// each yields the items until yield returns false, and reports whether it got to the end.
func each(items []Item, yield func(Item) bool) bool {
	for i := range items {
		if !yield(items[i]) {
			return false
		}
	}
	return true
}
