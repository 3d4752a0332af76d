package reconcile

import (
	"math/rand/v2"
	"testing"
)

// lacking returns ranges of 256 items each, of which the sides lack as many as told.
func lacking(k int, lack func(i int) (ours, theirs int)) []stretch {
	ranges := make([]stretch, k)
	for i := range ranges {
		ours, theirs := lack(i)
		ranges[i] = stretch{ours: 256 - ours, theirs: 256 - theirs, stale: true}
	}
	return ranges
}

func TestFirstFlightIsGuessedFromCounts(t *testing.T) {
	const k, each = 20, 50 // differences of a range
	r := rand.New(rand.NewPCG(1, 2))
	// toss returns how many of n differences one side lacks, if it lacks so many per cent.
	toss := func(n, percent int) (lack int) {
		for range n {
			if r.IntN(100) < percent {
				lack++
			}
		}
		return lack
	}
	for _, c := range []struct {
		name     string
		percent  func(i int) int // of the differences of range i that we lack
		min, max int             // guess on average, in per cent of the differences
	}{
		{"as much as the other", func(int) int { return 50 }, 60, 100},
		{"all of it", func(int) int { return 100 }, 0, 0},
		{"the older half", func(i int) int { return 100 * min(2*i/k, 1) }, 0, 80},
		{"every other quarter", func(i int) int { return 100 * (4 * i / k % 2) }, 0, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			const runs = 200
			sum := 0
			for range runs {
				sum += mutual(lacking(k, func(i int) (int, int) {
					n := toss(2*each, 50)
					ours := toss(n, c.percent(i))
					return ours, n - ours
				}))
			}
			if mean := 100 * sum / runs / (k * each); mean < c.min || mean > c.max {
				t.Errorf("guessed at %d %% of the differences, want %d to %d", mean, c.min, c.max)
			}
		})
	}
}

// Counts are the other's claim.
func TestGuessOfCountsThatAreNotTrueIsBounded(t *testing.T) {
	ranges := make([]stretch, 512)
	for i := range ranges {
		if i%2 == 0 {
			ranges[i].theirs = 1<<32 - 1
		} else {
			ranges[i].ours = 1 << 30
		}
	}
	if guess := mutual(ranges); guess < 0 || guess > ItemsMax {
		t.Errorf("guessed %d", guess)
	}
	if n := first(0, mutual(ranges), 1<<40); n != firstMax {
		t.Errorf("first flight of %d symbols, want %d", n, firstMax)
	}
	for _, few := range [][]stretch{nil, ranges[:1], {{ours: 5, theirs: 5}, {ours: 5, theirs: 5}}} {
		if guess := mutual(few); guess != 0 {
			t.Errorf("guessed %d of %v", guess, few)
		}
	}
}
