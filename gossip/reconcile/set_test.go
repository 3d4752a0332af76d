package reconcile

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/wire"
)

// item makes an item whose ID depends on n and little else.
func item(t wire.Time, n uint64) Item {
	it := Item{Time: t}
	binary.BigEndian.PutUint64(it.ID[:8], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(it.ID[8:16], n)
	return it
}

func setOf(items ...Item) *Set {
	s := NewSet()
	for _, it := range items {
		s.Insert(it)
	}
	return s
}

// series is n items, one each step.
func series(start, step wire.Time, n int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = item(start+wire.Time(i)*step, uint64(i)+1)
	}
	return items
}

// naive is the obvious implementation of Set.
type naive []Item

func (s *naive) insert(it Item) bool {
	i, found := slices.BinarySearchFunc(*s, it, Item.Compare)
	if !found {
		*s = slices.Insert(*s, i, it)
	}
	return !found
}

func (s *naive) remove(it Item) bool {
	i, found := slices.BinarySearchFunc(*s, it, Item.Compare)
	if found {
		*s = slices.Delete(*s, i, i+1)
	}
	return found
}

func (s naive) in(low, high wire.Time) []Item {
	var items []Item
	for _, it := range s {
		if low <= it.Time && it.Time < high {
			items = append(items, it)
		}
	}
	return items
}

// drawTime draws times that crowd: digits differ at all depths, and many are equal.
func drawTime(t *rapid.T) wire.Time {
	bases := []wire.Time{0, 1 << 30, 1_790_000_000_000_000_000, -5, math.MaxInt64 - 9}
	base := rapid.SampledFrom(bases).Draw(t, "base")
	shift := rapid.SampledFrom([]int{0, 0, 4, 20, 28}).Draw(t, "shift")
	return base + wire.Time(rapid.IntRange(0, 9).Draw(t, "tick"))<<shift
}

func drawItem(t *rapid.T) Item {
	it := item(drawTime(t), rapid.Uint64Range(0, 30).Draw(t, "n"))
	it.ID[31] = byte(rapid.IntRange(0, 1).Draw(t, "twin"))
	return it
}

func TestSetBehavesLikeASortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Set
		var want naive
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				it := drawItem(t)
				if got, want := s.Insert(it), want.insert(it); got != want {
					t.Fatalf("Insert = %v, want %v", got, want)
				}
			},
			"insert many": func(t *rapid.T) {
				start, step := drawTime(t), rapid.SampledFrom([]wire.Time{0, 1, 1 << 20}).Draw(t, "step")
				for _, it := range series(start, step, rapid.SampledFrom([]int{10, 200, 600}).Draw(t, "n")) {
					if got, want := s.Insert(it), want.insert(it); got != want {
						t.Fatalf("Insert = %v, want %v", got, want)
					}
				}
			},
			"remove": func(t *rapid.T) {
				it := drawItem(t)
				if len(want) > 0 && rapid.Bool().Draw(t, "held") {
					it = rapid.SampledFrom(want).Draw(t, "item")
				}
				if got, want := s.Remove(it), want.remove(it); got != want {
					t.Fatalf("Remove = %v, want %v", got, want)
				}
			},
			"remove many": func(t *rapid.T) {
				for i, it := range slices.Clone(want) {
					if i%8 != 0 && (!s.Remove(it) || !want.remove(it)) {
						t.Fatalf("did not remove %v", it)
					}
				}
			},
			"remove below": func(t *rapid.T) {
				low := drawTime(t)
				n := len(want)
				want = slices.DeleteFunc(want, func(it Item) bool { return it.Time < low })
				if got := s.RemoveBelow(low); got != n-len(want) {
					t.Fatalf("RemoveBelow = %d, want %d", got, n-len(want))
				}
			},
			"": func(t *rapid.T) { compareSets(t, &s, want) },
		})
	})
}

// compareSets checks all that can be asked of s.
func compareSets(t *rapid.T, s *Set, want naive) {
	if s.Len() != len(want) {
		t.Fatalf("Len = %d, want %d", s.Len(), len(want))
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, want) {
		t.Fatalf("All = %d items, want %d", len(got), len(want))
	}
	low, high := drawTime(t), drawTime(t)
	part := want.in(low, high)
	if got := slices.Collect(s.Items(low, high)); !slices.Equal(got, part) {
		t.Fatalf("Items = %d items, want %d", len(got), len(part))
	}
	fresh := setOf(part...)
	wantDigest, wantCount := fresh.digest(math.MinInt64, math.MaxInt64)
	for range 2 { // computed, and from memory
		if d, n := s.Digest(low, high); d != wantDigest || n != wantCount {
			t.Fatalf("Digest = %x of %d items, want %x of %d", d, n, wantDigest, wantCount)
		}
	}
	probe := drawItem(t)
	_, held := slices.BinarySearchFunc(want, probe, Item.Compare)
	if got := s.Has(probe); got != held {
		t.Fatalf("Has = %v, want %v", got, held)
	}
}
