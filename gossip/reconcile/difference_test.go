package reconcile

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/wire"
)

// minus returns the items of a that b lacks.
func minus(a, b naive) []Item {
	return slices.DeleteFunc(slices.Clone([]Item(a)), func(it Item) bool {
		_, found := slices.BinarySearchFunc(b, it, Item.Compare)
		return found
	})
}

// drawPair draws two sets that share most of their items.
func drawPair(t *rapid.T) (a, b naive) {
	items := drawHeap(t)
	every := rapid.SampledFrom([]int{1, 2, 30, 1000}).Draw(t, "every")
	side := rapid.IntRange(0, 2).Draw(t, "side")
	var both naive
	for i, it := range items {
		switch {
		case i%every != 0:
			both = append(both, it)
		case (i/every+side)%3 == 0:
			a = append(a, it)
		default:
			b = append(b, it)
		}
	}
	a, b = append(a, both...), append(b, both...)
	slices.SortFunc(a, Item.Compare)
	slices.SortFunc(b, Item.Compare)
	return a, b
}

func TestDifferenceIsThatOfTheSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		low, high := drawBound(t, a), drawBound(t, b)
		limit := rapid.SampledFrom([]int{1, 7, 46, 512}).Draw(t, "limit")
		sa, sb := setOf(a...), setOf(b...)
		open := sa.Ranges(low, high, limit)
		answer, more := Encode(sb, high, open, sb.Compare(high, open), 1<<20)
		if more {
			t.Fatal("more, within the budget")
		}
		lack, surplus := Decode(sa, high, open, answer)
		var want []uint64
		for _, it := range minus(b.in(low, high), a.in(low, high)) {
			want = append(want, it.Short())
		}
		if !slices.Equal(lack, want) {
			t.Fatalf("lack %d, want %d", len(lack), len(want))
		}
		if want := minus(a.in(low, high), b.in(low, high)); !slices.Equal(surplus, want) {
			t.Fatalf("surplus %d, want %d", len(surplus), len(want))
		}
	})
}

// exchange runs whole exchanges, as [Oversize] asks for them, until the sets
// agree, and returns how many messages it took.
func exchange(t *rapid.T, sa, sb *Set, low, high wire.Time, budget int) int {
	for messages := 1; ; messages += 2 {
		ours, theirs := sa, sb
		lo, hi := low, high
		if messages > 10_000 {
			t.Fatal("does not converge")
		}
		open := ours.Ranges(lo, hi, RangesDefault)
		stale := theirs.Compare(hi, open)
		if len(stale) == 0 {
			return messages
		}
		for {
			l, h, oversize := Oversize(theirs, hi, open, stale, budget)
			answer, more := Encode(theirs, hi, open, stale, budget)
			if oversize && !more {
				t.Fatal("Oversize without more")
			}
			settle(t, ours, theirs, hi, open, answer)
			if !oversize {
				break
			}
			messages++
			ours, theirs, lo, hi = theirs, ours, l, h
			open = ours.Ranges(lo, hi, RangesDefault)
			if stale = theirs.Compare(hi, open); len(stale) == 0 {
				break
			}
		}
	}
}

// settle carries out what an answer says.
func settle(t *rapid.T, ours, theirs *Set, high wire.Time, open []wire.RangeDigest, answer []wire.RangeIDs) {
	lack, surplus := Decode(ours, high, open, answer)
	for _, short := range lack {
		it, found := theirs.Find(short)
		if !found || !ours.Insert(it) {
			t.Fatalf("wants %x, which is not lacking", short)
		}
	}
	for _, it := range surplus {
		theirs.Insert(it)
	}
}

func TestExchangesConvergeUnderAnyBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		low, high := wire.Time(0), wire.Time(1_790_000_000_000_000_000+1<<46)
		budget := rapid.SampledFrom([]int{2048, 2500, 10_000}).Draw(t, "budget")
		sa, sb := setOf(a...), setOf(b...)
		exchange(t, sa, sb, low, high, budget)
		if sa.Len() != sb.Len() || sa.Len() != len(a)+len(minus(b, a)) {
			t.Fatalf("%d and %d items after the exchange, want %d", sa.Len(), sb.Len(), len(a)+len(minus(b, a)))
		}
	})
}

func TestEncodeTakesTheNewestRangesFirst(t *testing.T) {
	s := setOf(series(0, 1, 100)...)
	open := []wire.RangeDigest{{Low: 0}, {Low: 40}, {Low: 60}, {Low: 70}, {Low: 100}}
	for _, c := range []struct {
		name   string
		stale  []int
		budget int
		want   []uint32
		more   bool
	}{
		{"all fit", []int{0, 1, 2, 3, 4}, 100, []uint32{0, 1, 2, 3, 4}, false},
		{"the oldest is left out", []int{0, 1, 2, 3, 4}, 60, []uint32{1, 2, 3, 4}, true},
		{"none is skipped for one that fits", []int{1, 2, 3}, 45, []uint32{2, 3}, true},
		{"what never fits is passed over", []int{0, 1, 3}, 35, []uint32{3}, true},
		{"nothing held is said", []int{4}, 32, []uint32{4}, false},
		{"nothing stale", nil, 32, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ranges, more := Encode(s, 200, open, c.stale, c.budget)
			var got []uint32
			for _, r := range ranges {
				got = append(got, r.Index)
			}
			if !slices.Equal(got, c.want) || more != c.more {
				t.Errorf("ranges %v, more %v, want %v, %v", got, more, c.want, c.more)
			}
		})
	}
}

func TestEncodeTellsPartOfWhatTimeCannotDivide(t *testing.T) {
	s := setOf(series(7, 0, 100)...)
	open := []wire.RangeDigest{{Low: 0}}
	ranges, more := Encode(s, 200, open, []int{0}, 40)
	if len(ranges) != 1 || len(ranges[0].IDs) != 40 || !more {
		t.Errorf("ranges %v, more %v, want 40 IDs and more", ranges, more)
	}
	if _, _, found := Oversize(s, 200, open, []int{0}, 40); found {
		t.Error("Oversize names a range that cannot be divided")
	}
}

func TestDecodeLeavesNonsenseAside(t *testing.T) {
	s := setOf(series(0, 1, 10)...)
	open := s.Ranges(0, 10, 1)
	all := []uint64{1, 1, 2}
	for _, c := range []struct {
		name          string
		ranges        []wire.RangeIDs
		lack, surplus int
	}{
		{"IDs said twice", []wire.RangeIDs{{Index: 0, IDs: all}}, 2, 10},
		{"a range said twice", []wire.RangeIDs{{Index: 0, IDs: all}, {Index: 0}}, 2, 10},
		{"an index out of bounds", []wire.RangeIDs{{Index: 1, IDs: all}, {Index: 1<<32 - 1}}, 0, 0},
		{"nothing", nil, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			lack, surplus := Decode(s, 10, open, c.ranges)
			if len(lack) != c.lack || len(surplus) != c.surplus {
				t.Errorf("lack %d, surplus %d, want %d, %d", len(lack), len(surplus), c.lack, c.surplus)
			}
		})
	}
}

func TestTwinsAreFoundOneAtATime(t *testing.T) {
	a, b, c := item(1, 1), item(2, 1), item(3, 1)
	a.ID[31], b.ID[31], c.ID[31] = 1, 2, 3
	for _, order := range [][]Item{{a, b, c}, {b, c, a}, {c, a, b}} {
		s := setOf(a, b, c)
		for i, it := range order {
			if found, ok := s.Find(a.Short()); !ok || !s.Has(found) {
				t.Fatalf("%d twins left, found %v, %v", 3-i, found, ok)
			}
			s.Remove(it)
		}
		if _, ok := s.Find(a.Short()); ok || len(s.twins) != 0 {
			t.Fatal("found what is gone")
		}
	}
}
