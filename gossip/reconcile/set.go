package reconcile

import (
	"encoding/binary"
	"iter"
	"slices"

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
	short  map[uint64]wire.Time // short ID to time
	twins  []Item               // items whose short ID leads to another; empty but for attacks
	hasher *hasher              // nil before the first digest
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
	s.learn(it)
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
	s.forget(it)
	return true
}

// RemoveBelow takes out all items dated before t and returns how many they were.
// Only the leaf that t falls into is touched item by item.
func (s *Set) RemoveBelow(t wire.Time) int {
	before := s.Len()
	s.root = s.root.removeBelow(t, func(items []Item) bool {
		for i := range items {
			s.forget(items[i])
		}
		return true
	})
	removed := before - s.Len()
	if removed > 0 {
		s.memo.changedBelow(t)
	}
	return removed
}

// Has reports whether the set holds it.
func (s *Set) Has(it Item) bool {
	n := s.root
	for n != nil && n.kids != nil {
		n = n.kids[it.digit(n.depth)]
	}
	if n == nil {
		return false
	}
	_, found := slices.BinarySearchFunc(n.items, it, Item.Compare)
	return found
}

// Find returns the item with a short ID. Of several it returns any one.
func (s *Set) Find(short uint64) (Item, bool) {
	t, known := s.short[short]
	if !known {
		return Item{}, false
	}
	probe := Item{Time: t}
	binary.BigEndian.PutUint64(probe.ID[:8], short)
	// The index holds no short ID that the trie does not: the ceiling has it.
	return *s.root.ceiling(&probe), true
}

// learn adds a new item to the index of short IDs.
func (s *Set) learn(it Item) {
	if s.short == nil {
		s.short = make(map[uint64]wire.Time)
	}
	short := it.Short()
	if _, taken := s.short[short]; taken {
		s.twins = append(s.twins, it)
		return
	}
	s.short[short] = it.Time
}

// forget takes a removed item out of the index of short IDs.
func (s *Set) forget(it Item) {
	short := it.Short()
	if len(s.twins) == 0 {
		delete(s.short, short)
		return
	}
	// One entry and its twins stand for as many items; the item that goes may
	// be any of them, and those that stay must keep the entry.
	twin := func(o Item) bool { return o.Short() == short }
	if i := slices.Index(s.twins, it); i >= 0 {
		s.twins = slices.Delete(s.twins, i, i+1)
	} else if i := slices.IndexFunc(s.twins, twin); i >= 0 {
		s.short[short] = s.twins[i].Time
		s.twins = slices.Delete(s.twins, i, i+1)
	} else {
		delete(s.short, short)
	}
}

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
