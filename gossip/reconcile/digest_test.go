package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/wire"
)

// definition computes a digest as the package comment defines it.
func definition(items []Item) Digest {
	var b []byte
	if len(items) <= 4096 {
		b = append(b, 0)
		for _, it := range items {
			b = append(b, it.ID[:]...)
		}
		return sha256.Sum256(b)
	}
	d := common(&items[0], &items[len(items)-1])
	b = append(b, 1)
	for x := range 16 {
		child := slices.DeleteFunc(slices.Clone(items), func(it Item) bool { return it.digit(d) != x })
		if len(child) > 0 {
			sum := definition(child)
			b = append(append(b, byte(x)), sum[:]...)
		}
	}
	return sha256.Sum256(b)
}

// heap is items of which many share an instant, many a second, and some stand apart.
func heap(r *rand.Rand, n int) []Item {
	items := make([]Item, n)
	for i := range items {
		t := wire.Time(1_790_000_000_000_000_000)
		switch r.IntN(4) {
		case 0:
			t += wire.Time(r.IntN(3))
		case 1:
			t += wire.Time(r.Int64N(1 << 30))
		default:
			t += wire.Time(r.Int64N(1 << 45))
		}
		items[i] = item(t, r.Uint64())
	}
	return items
}

func TestDigestIsAsDefinedForManyItems(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	items := heap(r, 40_000)
	s := setOf(items...)
	slices.SortFunc(items, Item.Compare)
	for i := 0; i < 40; i++ {
		low, high := items[r.IntN(len(items))].Time, items[r.IntN(len(items))].Time
		if i == 0 {
			low, high = math.MinInt64, math.MaxInt64
		}
		part := naive(items).in(low, high)
		var want Digest
		if len(part) > 0 {
			want = definition(part)
		}
		if got, n := s.Digest(low, high); got != want || n != len(part) {
			t.Fatalf("Digest(%d, %d) = %x of %d items, want %x of %d", low, high, got, n, want, len(part))
		}
		// Change the set: what is kept must not outlive it.
		gone := r.IntN(len(items))
		s.Remove(items[gone])
		items = slices.Delete(items, gone, gone+1)
	}
}

func TestDigestDoesNotDependOnOrderOrHistory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	items, others := heap(r, 20_000), heap(r, 20_000)
	a := setOf(items...)
	r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	b := setOf(others...)
	b.Digest(math.MinInt64, math.MaxInt64)
	for i := range items {
		b.Insert(items[i])
		b.Remove(others[i])
	}
	da, na := a.Digest(math.MinInt64, math.MaxInt64)
	db, nb := b.Digest(math.MinInt64, math.MaxInt64)
	if da != db || na != nb {
		t.Fatalf("digests %x of %d and %x of %d", da, na, db, nb)
	}
}

func TestDigestsAreEqualIfAndOnlyIfTheContentsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours := rapid.SliceOfN(rapid.Custom(drawItem), 0, 12).Draw(t, "ours")
		theirs := rapid.SliceOfN(rapid.Custom(drawItem), 0, 12).Draw(t, "theirs")
		same := rapid.SliceOfN(rapid.Custom(drawItem), 0, 12).Draw(t, "same")
		low, high := drawTime(t), drawTime(t)
		var a, b naive
		for _, it := range same {
			a.insert(it)
			b.insert(it)
		}
		for _, it := range ours {
			a.insert(it)
		}
		for _, it := range theirs {
			b.insert(it)
		}
		da, na := setOf(a...).Digest(low, high)
		db, nb := setOf(b...).Digest(low, high)
		if want := slices.Equal(a.in(low, high), b.in(low, high)); (da == db && na == nb) != want {
			t.Fatalf("digests %x of %d and %x of %d, equal contents: %v", da, na, db, nb, want)
		}
	})
}

// The digest is part of the protocol: another implementation has to get the same.
func TestDigestVectors(t *testing.T) {
	const start, second = wire.Time(1_790_000_000_000_000_000), wire.Time(1e9)
	for _, c := range []struct {
		n    int
		want string // the first 8 bytes
	}{
		{0, "0000000000000000"},
		{1, "014f1febbd74dd95"},
		{4096, "7fc53bd485d2f10c"},
		{4097, "feda2e975b527aea"},
	} {
		items := series(start, second, c.n)
		if got, _ := setOf(items...).Digest(start, math.MaxInt64); hex.EncodeToString(got[:8]) != c.want {
			t.Errorf("digest of %d items = %x, want %s…", c.n, got, c.want)
		}
	}
	sum := sha256.Sum256(append([]byte{0}, make([]byte, 32)...))
	if got, _ := setOf(Item{}).Digest(0, 1); got != sum {
		t.Errorf("digest of the zero item = %x, want %x", got, sum)
	}
}
