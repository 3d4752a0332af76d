package reconcile

import (
	"math"
	"math/rand/v2"
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

// drawPair draws two sets that share most of their items, or few.
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

// drawLimits draws limits of all sizes: the protocol has to get on with each.
func drawLimits(t *rapid.T) Limits {
	return Limits{
		Ranges:  rapid.SampledFrom([]int{1, 7, 46, 512}).Draw(t, "ranges"),
		Items:   rapid.SampledFrom([]int{1, 100, 3000, ItemsMax}).Draw(t, "items"),
		Symbols: rapid.SampledFrom([]int{256, 1000, SymbolsMax}).Draw(t, "symbols"),
		Finer:   rapid.SampledFrom([]int{0, 300, 1 << 17}).Draw(t, "finer"),
	}
}

// drawExcept draws exceptions among items that the other side has not got.
func drawExcept(t *rapid.T, own []Item) *Except {
	x := &Except{}
	switch rapid.IntRange(0, 3).Draw(t, "exceptions") {
	case 0:
		return nil
	case 1:
		x.Merge(own)
	case 2:
		x.Merge(own[:len(own)/2])
	default:
		for i, it := range own {
			if i%3 == 0 {
				x.Insert(it)
			}
		}
	}
	return x
}

func TestExchangesEndWithEqualSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		ea := end{setOf(a...), drawExcept(t, minus(a, b)), drawLimits(t)}
		eb := end{setOf(b...), drawExcept(t, minus(b, a)), drawLimits(t)}
		low, high := drawBound(t, a), drawBound(t, b)
		if rapid.Bool().Draw(t, "whole") {
			low, high = math.MinInt64, math.MaxInt64
		}
		wantA, wantB := slices.Clone(a), slices.Clone(b)
		for _, it := range naive(minus(a, b)).in(low, high) {
			if !ea.except.contains(it) {
				wantB.insert(it)
			}
		}
		for _, it := range naive(minus(b, a)).in(low, high) {
			if !eb.except.contains(it) {
				wantA.insert(it)
			}
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "roles"), 0))
		mode := rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "swap")
		swap := func() bool { return mode == 1 || mode == 2 && r.IntN(2) == 0 }
		c := repair(t, ea, eb, low, high, swap)
		if got := slices.Collect(ea.set.All()); !slices.Equal(got, []Item(wantA)) {
			t.Fatalf("%d items here after %d exchanges, want %d", len(got), c.opens, len(wantA))
		}
		if got := slices.Collect(eb.set.All()); !slices.Equal(got, []Item(wantB)) {
			t.Fatalf("%d items there after %d exchanges, want %d", len(got), c.opens, len(wantB))
		}
		ample := DefaultLimits()
		if ea.limits == ample && eb.limits == ample && c.opens > 1 {
			t.Fatalf("%d exchanges within ample limits", c.opens)
		}
	})
}

func (x *Except) contains(it Item) bool { return x != nil && x.Has(it) }

func TestViewIsTheSetWithoutTheExceptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		items := heap(r, rapid.SampledFrom([]int{10, 300, 3000, 12_000}).Draw(t, "n"))
		set, x := setOf(items...), &Except{}
		slices.SortFunc(items, Item.Compare)
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0: // old ones, as retention takes them
				for _, it := range items[:r.IntN(len(items)+1)] {
					if set.Has(it) {
						x.Insert(it)
					}
				}
			case 1:
				for range 20 {
					if it := items[r.IntN(len(items))]; set.Has(it) {
						x.Insert(it)
					}
				}
			case 2:
				part := r.IntN(5) + 1
				x.RemoveFunc(func(it Item) bool { return int(it.ID[7])%part == 0 })
			case 3:
				for range 20 {
					it := items[r.IntN(len(items))]
					set.Remove(it)
					x.Remove(it)
				}
			default:
				for range 20 {
					set.Insert(items[r.IntN(len(items))])
				}
			}
			checkView(t, set, x, drawBound(t, items), drawBound(t, items))
			checkView(t, set, x, math.MinInt64, math.MaxInt64)
		}
	})
}

func checkView(t *rapid.T, set *Set, x *Except, low, high wire.Time) {
	v := set.View(x)
	want := minus(naive(slices.Collect(set.Items(low, high))), slices.Collect(x.All()))
	if got := slices.Collect(v.Items(low, high)); !slices.Equal(got, want) {
		t.Fatalf("Items: %d, want %d", len(got), len(want))
	}
	if got := v.Count(low, high); got != len(want) {
		t.Fatalf("Count = %d, want %d", got, len(want))
	}
	fresh := setOf(want...).View(nil)
	wantDigest, _ := fresh.Digest(math.MinInt64, math.MaxInt64)
	if d, n := v.Digest(low, high); d != wantDigest || n != len(want) {
		t.Fatalf("Digest = %x of %d items, want %x of %d", d, n, wantDigest, len(want))
	}
	for _, r := range fresh.compare(testLink, high, v.Ranges(testLink, low, high, RangesDefault)) {
		if r.stale {
			t.Fatalf("range from %d has %d items, want %d", r.low, r.theirs, r.ours)
		}
	}
	limit := rapid.SampledFrom([]int{1, 10, 1000}).Draw(t, "limit")
	from := v.after(low, high, limit)
	earlier := from > low && low < high && v.Count(from-1, high) <= limit
	if n := v.Count(from, high); n > limit || earlier {
		t.Fatalf("after(%d) has %d items", limit, n)
	}
}
