package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/reconcile"
)

// reconcileCases are differences of all kinds: none, one, few, all, old and recent.
var reconcileCases = []reconcileFlags{
	{items: 1, missing: 0, spread: spreadRecent, seed: 1},
	{items: 1, missing: 1, spread: spreadRecent, seed: 2},
	{items: 2, missing: 2, spread: spreadUniform, seed: 3},
	{items: 1000, missing: 1, spread: spreadUniform, seed: 4},
	{items: 20000, missing: 0, spread: spreadUniform, seed: 5},
	{items: 20000, missing: 101, spread: spreadRecent, seed: 6},
	{items: 20000, missing: 100, spread: spreadUniform, seed: 7},
	{items: 5000, missing: 5000, spread: spreadUniform, seed: 8},
}

// eachCase runs f with the sets of each case.
func eachCase(t *testing.T, f func(t *testing.T, flags *reconcileFlags, sets *twoSets)) {
	t.Helper()
	for i := range reconcileCases {
		flags := &reconcileCases[i]
		t.Run(fmt.Sprintf("%d of %d %s", flags.missing, flags.items, flags.spread), func(t *testing.T) {
			sets, err := makeTwoSets(t.Context(), flags, func(int) {})
			if err != nil {
				t.Fatal(err)
			}
			f(t, flags, sets)
		})
	}
}

func TestTwoSetsDifferAsAsked(t *testing.T) {
	eachCase(t, func(t *testing.T, flags *reconcileFlags, s *twoSets) {
		lackA, lackB := (flags.missing+1)/2, flags.missing/2
		if len(s.onlyB) != lackA || len(s.onlyA) != lackB {
			t.Errorf("A lacks %d and B %d, want %d and %d", len(s.onlyB), len(s.onlyA), lackA, lackB)
		}
		a, b := sortedIDs(s.a, s), sortedIDs(s.b, s)
		if len(a) != flags.items-lackA || len(b) != flags.items-lackB {
			t.Errorf("A compares %d and B %d of %d items", len(a), len(b), flags.items)
		}
		if got := s.a.Len() - len(a); got != settling {
			t.Errorf("%d batches of A's are after the cut, want %d", got, settling)
		}
		if got := s.same(); got != (flags.missing == 0) {
			t.Errorf("the sets are the same: %v, with %d missing", got, flags.missing)
		}
		if flags.spread != spreadRecent {
			return
		}
		oldest := s.cut.Add(-batchGap * time.Duration(4*flags.missing))
		older := func(set *reconcile.Set) reconcile.Digest {
			d, _ := set.View(nil).Digest(s.floor, oldest)
			return d
		}
		if older(s.a) != older(s.b) {
			t.Error("the sets differ before the newest 4 × missing items")
		}
	})
}

func TestRivalsFindTheDifference(t *testing.T) {
	ways := map[string]func(a, b idList) (measure, idList, idList, error){
		"list": fullList,
		"tree": func(a, b idList) (measure, idList, idList, error) {
			m, lack, surplus, _, err := merkleTrees(a, b)
			return m, lack, surplus, err
		},
	}
	eachCase(t, func(t *testing.T, flags *reconcileFlags, s *twoSets) {
		for name, find := range ways {
			a, b := sortedIDs(s.a, s), sortedIDs(s.b, s)
			cost, lack, surplus, err := find(a, b)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !s.differBy(lack, surplus) {
				t.Errorf("%s: A lacks %d and B %d, which is not the difference", name, len(lack), len(surplus))
			}
			if name == "list" && (cost.bytes < 32*(len(a)+flags.missing) || cost.roundTrips != 1) {
				t.Errorf("%s: %d bytes, %d round trips for %d items", name, cost.bytes, cost.roundTrips, len(a))
			}
			if name == "tree" && (cost.bytes < 32*merkleLeaves || cost.roundTrips != 1+min(flags.missing, 1)) {
				t.Errorf("%s: %d bytes, %d round trips", name, cost.bytes, cost.roundTrips)
			}
		}
	})
}

func TestMerkleTreeTellsWhichLeavesDiffer(t *testing.T) {
	a := idList{{0: 0x00}, {0: 0x12, 1: 0x34}, {0: 0xff, 1: 0xff}}
	b := idList{{0: 0x00}, {0: 0x12, 1: 0x35}, {0: 0xff, 1: 0xfd}}
	got := newMerkleTree(a).differing(newMerkleTree(b), 1, nil)
	// 0x1234 and 0x1235 share their first 15 bits, and so a leaf; 0xfffd and 0xffff do not.
	want := []int{0x1234 >> 1, 0xfffd >> 1, 0xffff >> 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("leaves %x differ, want %x", got, want)
	}
}

func TestFrameOfARivalIsChecked(t *testing.T) {
	r := &rivalRun{}
	fill := func(b []byte) []byte { return append(b, make([]byte, idBytes-1)...) }
	take := func(body []byte) error {
		if len(body)%idBytes != 0 {
			return errRivalFrame
		}
		return nil
	}
	if err := r.carry(&r.a, &r.b, rivalList, fill, take); err == nil {
		t.Error("half an ID was taken")
	}
	fill = func(b []byte) []byte { return append(b, make([]byte, rivalFrameMax)...) }
	if err := r.carry(&r.a, &r.b, rivalList, fill, nil); err == nil {
		t.Error("a frame over the limit was taken")
	}
}

func TestExchangeFindsTheDifference(t *testing.T) {
	eachCase(t, func(t *testing.T, flags *reconcileFlags, s *twoSets) {
		if flags.missing == 0 {
			return
		}
		x := newExchangeRun(s, flags.seed)
		equal, err := x.find(t.Context())
		if err != nil || !equal {
			t.Fatalf("found: %v, %v", equal, err)
		}
		if x.bytes == 0 || x.roundTrips == 0 {
			t.Errorf("%d bytes in %d round trips", x.bytes, x.roundTrips)
		}
	})
}

func TestHeartbeatSaysWhetherSetsDiffer(t *testing.T) {
	eachCase(t, func(t *testing.T, flags *reconcileFlags, s *twoSets) {
		x := newExchangeRun(s, flags.seed)
		equal, err := x.agree()
		if err != nil || equal != (flags.missing == 0) {
			t.Errorf("equal: %v, %v, with %d missing", equal, err, flags.missing)
		}
		if x.roundTrips != 1 || x.bytes > 48 {
			t.Errorf("%d bytes in %d round trips, want at most 48 in 1", x.bytes, x.roundTrips)
		}
	})
}

func TestEqualMeansTheWholeDifferenceAndNoMore(t *testing.T) {
	s := &twoSets{onlyA: idList{{1}, {2}}, onlyB: idList{{3}}}
	if !s.differBy(idList{{3}}, idList{{2}, {1}}) {
		t.Error("the difference in another order was not taken for it")
	}
	for what, found := range map[string][2]idList{
		"too little":        {{{3}}, {{1}}},
		"too much":          {{{3}}, {{1}, {2}, {4}}},
		"one of them twice": {{{3}, {3}}, {{1}, {2}}},
		"the wrong side":    {{{1}, {2}}, {{3}}},
	} {
		if s.differBy(found[0], found[1]) {
			t.Errorf("%s was taken for the difference", what)
		}
	}
}
