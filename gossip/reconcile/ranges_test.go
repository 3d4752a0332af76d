package reconcile

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/wire"
)

func TestCutIsBehindTheSlowerClockAndQuantised(t *testing.T) {
	const s = wire.Time(time.Second)
	for _, c := range []struct {
		a, b            wire.Time
		settle, quantum time.Duration
		want            wire.Time
	}{
		{100 * s, 90 * s, 3 * time.Second, 5 * time.Second, 85 * s},
		{90 * s, 100 * s, 3 * time.Second, 5 * time.Second, 85 * s},
		{100 * s, 93*s - 1, 3 * time.Second, 5 * time.Second, 85 * s},
		{100 * s, 93 * s, 3 * time.Second, 5 * time.Second, 90 * s},
		{7, 9, 3, 0, 4},
		{1, 2, 4, 5, -5},
		{-1, 2, 4, 5, -5},
	} {
		if got := Cut(c.a, c.b, c.settle, c.quantum); got != c.want {
			t.Errorf("Cut(%d, %d, %v, %v) = %d, want %d", c.a, c.b, c.settle, c.quantum, got, c.want)
		}
	}
}

// drawHeap draws sets of all sizes and shapes.
func drawHeap(t *rapid.T) []Item {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	return heap(r, rapid.SampledFrom([]int{0, 1, 5, 40, 300, 2000, 6000}).Draw(t, "n"))
}

// drawBound draws a time near the items or far from them.
func drawBound(t *rapid.T, items []Item) wire.Time {
	if len(items) == 0 || rapid.Bool().Draw(t, "far") {
		return drawTime(t)
	}
	return rapid.SampledFrom(items).Draw(t, "bound").Time + wire.Time(rapid.IntRange(-1, 1).Draw(t, "off"))
}

func TestRangesDivideTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawHeap(t)
		low, high := drawBound(t, items), drawBound(t, items)
		limit := rapid.SampledFrom([]int{0, 1, 2, 16, 46, 512}).Draw(t, "limit")
		s := setOf(items...)
		v := s.View(nil)
		ranges := v.Ranges(testLink, low, high, limit)
		if len(ranges) == 0 || len(ranges) > max(limit, 1) || ranges[0].Low != low {
			t.Fatalf("%d ranges from %d, want at most %d from %d", len(ranges), ranges[0].Low, limit, low)
		}
		for i, r := range ranges {
			if i > 0 && r.Low <= ranges[i-1].Low {
				t.Fatalf("ranges do not ascend: %v", ranges)
			}
			if len(ranges) > 1 && r.Low >= high {
				t.Fatalf("range %d ends after the whole", i)
			}
		}
		for _, r := range v.compare(testLink, high, ranges) {
			d, n := s.Digest(r.low, r.high)
			if r.stale || r.ours != r.theirs || r.ours != n || (d == Digest{}) != (n == 0) {
				t.Fatalf("a set differs from itself: %+v, %d items", r, n)
			}
		}
		divisible := low < high && len(v.piece(low, high).split()) > 0
		if len(ranges) == 1 && ranges[0].Count > newestMax && divisible && limit >= fanout {
			t.Fatalf("%d items in one range", ranges[0].Count)
		}
	})
}

func TestRangesAreFinerTheNewer(t *testing.T) {
	const n = 100_000
	items := series(1_790_000_000_000_000_000, 1e8, n)
	s := setOf(items...)
	ranges := s.View(nil).Ranges(testLink, items[0].Time, items[n-1].Time+1, RangesDefault)
	if len(ranges) < RangesDefault/2 {
		t.Errorf("%d ranges, want about %d", len(ranges), RangesDefault)
	}
	if newest := ranges[len(ranges)-1].Count; newest > 1000 {
		t.Errorf("the newest range has %d items of %d", newest, n)
	}
	if oldest := ranges[0].Count; oldest > n/8 {
		t.Errorf("the oldest range has %d items of %d", oldest, n)
	}
}

func TestCompareFindsTheRangesThatDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawHeap(t)
		low, high := drawBound(t, items), drawBound(t, items)
		ours, theirs := setOf(items...), setOf(items...)
		for _, it := range rapid.SliceOfN(rapid.Custom(drawItem), 0, 5).Draw(t, "more") {
			ours.Insert(it)
		}
		for range min(len(items), rapid.IntRange(0, 5).Draw(t, "less")) {
			ours.Remove(rapid.SampledFrom(items).Draw(t, "gone"))
		}
		ranges := theirs.View(nil).Ranges(testLink, low, high, RangesDefault)
		for i, r := range ours.View(nil).compare(testLink, high, ranges) {
			ourItems := slices.Collect(ours.Items(r.low, r.high))
			theirItems := slices.Collect(theirs.Items(r.low, r.high))
			if equal := slices.Equal(ourItems, theirItems); r.stale == equal {
				t.Fatalf("range %d: stale is %v", i, r.stale)
			}
			if r.ours != len(ourItems) || r.theirs != len(theirItems) {
				t.Fatalf("range %d: %d and %d items, want %d and %d", i, r.ours, r.theirs, len(ourItems), len(theirItems))
			}
		}
	})
}
