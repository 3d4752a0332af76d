package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// idList is a list of IDs.
type idList []wire.BatchID

// twoSets are two nodes' sets of one topic, and in what they differ.
type twoSets struct {
	a, b         *reconcile.Set
	floor, cut   wire.Time
	onlyA, onlyB idList // ascending
}

const (
	batchGap  = 100 * time.Millisecond // between two batches: 10 a second
	settling  = 20                     // batches of 2 seconds after the cut: both have them, nobody compares them
	cutStep   = 250 * time.Millisecond // cuts fall on multiples, as the core's do
	yearSteps = 365 * 24 * time.Hour / cutStep
	stepItems = 1 << 14 // between two looks at the context
)

// makeTwoSets makes the sets that f asks for, and tells made now and then how many items
// they have. The same seed makes the same sets. Where the newest batch lies in its
// year is random too, for the trie's bounds are fixed.
func makeTwoSets(ctx context.Context, f *reconcileFlags, made func(items int)) (*twoSets, error) {
	ids := newSource(f.seed, "ids")
	rng := rand.New(newSource(f.seed, "sets"))
	year := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cut := wire.TimeOf(year.Add(time.Duration(rng.Int64N(int64(yearSteps))) * cutStep))
	s := &twoSets{a: reconcile.NewSet(), b: reconcile.NewSet(), cut: cut}
	window := f.items
	if f.spread == spreadRecent {
		window = min(window, 4*f.missing)
	}
	lacking := map[int]*reconcile.Set{} // who lacks the item; looked up, never ranged over
	for i, k := range rng.Perm(window)[:f.missing] {
		lacking[f.items-window+k] = s.a
		if i%2 == 1 { // one alone is what A lacks
			lacking[f.items-window+k] = s.b
		}
	}
	for i := range f.items + settling {
		it := reconcile.Item{Time: cut.Add(time.Duration(i-f.items)*batchGap + time.Duration(rng.Int64N(int64(batchGap))))}
		_, _ = ids.Read(it.ID[:]) // never fails
		s.add(it, lacking[i])
		if i%stepItems == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			made(i)
		}
	}
	slices.SortFunc(s.onlyA, compareIDs)
	slices.SortFunc(s.onlyB, compareIDs)
	return s, nil
}

// add puts it into both sets but for the one that lacks it.
func (s *twoSets) add(it reconcile.Item, lacking *reconcile.Set) {
	if lacking != s.a {
		s.a.Insert(it)
	}
	if lacking != s.b {
		s.b.Insert(it)
	}
	switch lacking {
	case s.a:
		s.onlyB = append(s.onlyB, it.ID)
	case s.b:
		s.onlyA = append(s.onlyA, it.ID)
	}
}

// newSource returns a source of its own for each purpose.
func newSource(seed uint64, purpose string) *rand.ChaCha8 {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	copy(key[8:], purpose)
	return rand.NewChaCha8(key)
}

func compareIDs(a, b wire.BatchID) int { return bytes.Compare(a[:], b[:]) }

// differBy reports whether lack and surplus, in any order, are what A lacks and what B lacks.
func (s *twoSets) differBy(lack, surplus idList) bool {
	return sameIDs(lack, s.onlyB) && sameIDs(surplus, s.onlyA)
}

func sameIDs(got, want idList) bool {
	got = slices.Clone(got)
	slices.SortFunc(got, compareIDs)
	return slices.Equal(got, want)
}

// same reports whether both sets have the same digest.
func (s *twoSets) same() bool {
	a, countA := s.a.View(nil).Digest(s.floor, s.cut)
	b, countB := s.b.View(nil).Digest(s.floor, s.cut)
	return a == b && countA == countB
}

// sortedIDs returns the IDs of what is compared, as an index by ID has them.
func sortedIDs(set *reconcile.Set, s *twoSets) idList {
	v := set.View(nil)
	ids := make(idList, 0, v.Count(s.floor, s.cut))
	for it := range v.Items(s.floor, s.cut) {
		ids = append(ids, it.ID)
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}
