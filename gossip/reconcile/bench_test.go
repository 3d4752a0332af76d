package reconcile

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/busnode/busnode/gossip/wire"
)

const (
	million    = 1_000_000
	benchStart = wire.Time(1_790_000_000_000_000_000)
	benchStep  = wire.Time(100_000_000) // ten a second
	benchEnd   = benchStart + million*benchStep
)

// large returns two equal sets of a million items. Benchmarks that change them undo it.
var large = sync.OnceValues(func() (*Set, *Set) {
	items := series(benchStart, benchStep, million)
	return setOf(items...), setOf(items...)
})

func BenchmarkInsertNewest(b *testing.B) {
	b.ReportAllocs()
	var s Set
	i := uint64(0)
	for b.Loop() {
		s.Insert(item(benchStart+wire.Time(i)*benchStep, i+1))
		i++
	}
}

func BenchmarkInsertAndRemoveAnywhere(b *testing.B) {
	s, _ := large()
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		it := item(benchStart+wire.Time(r.Int64N(int64(benchEnd-benchStart))), r.Uint64())
		if s.Insert(it) {
			s.Remove(it)
		}
	}
}

// BenchmarkDigest asks for the digest up to a cut that moves on, so that the
// edge is hashed each time.
func BenchmarkDigest(b *testing.B) {
	s, _ := large()
	s.Digest(benchStart, benchEnd)
	b.ReportAllocs()
	i := wire.Time(0)
	for b.Loop() {
		i++
		s.Digest(benchStart+benchStep/2, benchEnd-i%1000*benchStep)
	}
}

func BenchmarkDigestAgain(b *testing.B) {
	s, _ := large()
	b.ReportAllocs()
	for b.Loop() {
		s.Digest(benchStart+50*benchStep, benchEnd-50*benchStep)
	}
}

func BenchmarkRanges(b *testing.B) {
	s, _ := large()
	b.ReportAllocs()
	for b.Loop() {
		s.Ranges(benchStart+50*benchStep, benchEnd-50*benchStep, RangesDefault)
	}
}

func BenchmarkCompareInAgreement(b *testing.B) {
	s, other := large()
	high := benchEnd - 50*benchStep
	ranges := other.Ranges(benchStart+50*benchStep, high, RangesDefault)
	b.ReportAllocs()
	for b.Loop() {
		if stale := s.Compare(high, ranges); stale != nil {
			b.Fatal(stale)
		}
	}
}

// BenchmarkDifference runs an exchange over one recent batch that is missing.
func BenchmarkDifference(b *testing.B) {
	s, other := large()
	missing := item(benchEnd-100*benchStep, million-99)
	other.Remove(missing)
	defer other.Insert(missing)
	b.ReportAllocs()
	for b.Loop() {
		open := other.Ranges(benchStart, benchEnd, RangesDefault)
		answer, _ := Encode(s, benchEnd, open, s.Compare(benchEnd, open), wire.ShortIDsMax)
		if lack, surplus := Decode(other, benchEnd, open, answer); len(lack) != 1 || len(surplus) != 0 {
			b.Fatal(lack, surplus)
		}
	}
}
