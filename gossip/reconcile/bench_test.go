package reconcile

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

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
		s.View(nil).Ranges(testLink, benchStart+50*benchStep, benchEnd-50*benchStep, RangesDefault)
	}
}

func BenchmarkCompareInAgreement(b *testing.B) {
	s, other := large()
	high := benchEnd - 50*benchStep
	ranges := other.View(nil).Ranges(testLink, benchStart+50*benchStep, high, RangesDefault)
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range s.View(nil).compare(testLink, high, ranges) {
			if r.stale {
				b.Fatal(r)
			}
		}
	}
}

// BenchmarkSymbols makes the first symbols of items: hashing and filling.
func BenchmarkSymbols(b *testing.B) {
	s, _ := large()
	const n = 100_000
	for _, m := range []int{32, 158, 1600, 140_000} {
		b.Run(fmt.Sprint(m), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := newCoder(s.View(nil), testLink, []span{{benchStart, benchStart + n*benchStep}})
				c.symbols(m)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/item")
		})
	}
}

// BenchmarkFind finds items again among many.
func BenchmarkFind(b *testing.B) {
	s, _ := large()
	items := series(benchStart, benchStep, million)
	for _, of := range []int{400_000, million} {
		c := newCoder(s.View(nil), testLink, []span{{benchEnd - wire.Time(of)*benchStep, benchEnd}})
		r := rand.New(rand.NewPCG(3, 3))
		for _, n := range []int{50, 50_000} {
			var short []uint64
			for range n {
				short = append(short, testLink.short(&items[million-of+r.IntN(of)].ID))
			}
			b.Run(fmt.Sprint(n, " of ", of), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, unknown := c.find(short); unknown > 0 {
						b.Fatal(unknown)
					}
				}
			})
		}
	}
}

// BenchmarkNext walks the mapping of an item through m symbols.
func BenchmarkNext(b *testing.B) {
	for _, m := range []uint32{32, 158, 1600, 140_000} {
		b.Run(fmt.Sprint(m), func(b *testing.B) {
			seed := uint64(1)
			for b.Loop() {
				seed += 0x9e3779b97f4a7c16
				for state, at := seed, uint32(0); at < m; {
					state, at = next(state, at)
				}
			}
		})
	}
}

// differ takes d items out of the sets, half of them each, and returns what puts them back.
func differ(a, b *Set, items []Item, d int, recent bool, seed uint64) (restore func()) {
	r := rand.New(rand.NewPCG(seed, 0))
	if recent {
		items = items[len(items)-min(4*d, len(items)):]
	}
	var gone []Item
	for i, k := range r.Perm(len(items))[:d] {
		gone = append(gone, items[k])
		if i%2 == 0 {
			a.Remove(items[k])
		} else {
			b.Remove(items[k])
		}
	}
	return func() {
		for _, it := range gone {
			a.Insert(it)
			b.Insert(it)
		}
	}
}

// BenchmarkExchange runs whole exchanges between two nodes with a million batches, over the
// codec, each under another key. Digests are known, as heartbeats keep them.
func BenchmarkExchange(b *testing.B) {
	sa, sb := large()
	items := series(benchStart, benchStep, million)
	for _, c := range []struct {
		name   string
		d      int
		recent bool
	}{
		{"1 recent", 1, true},
		{"100 recent", 100, true},
		{"100 uniform", 100, false},
		{"1000 recent", 1000, true},
		{"100000 recent", 100_000, true},
		{"100000 uniform", 100_000, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			defer differ(sa, sb, items, c.d, c.recent, 1)()
			sa.Digest(benchStart, benchEnd)
			sb.Digest(benchStart, benchEnd)
			r := rand.New(rand.NewPCG(2, 0))
			var sum cost
			b.ReportAllocs()
			for b.Loop() {
				p := parameters{nonceA: r.Uint64(), nonceB: r.Uint64(), low: benchStart, high: benchEnd}
				o, _, err := run(b, end{sa, nil, DefaultLimits()}, end{sb, nil, DefaultLimits()}, p, &sum)
				if err != nil || len(o.lack)+len(o.surplus) != c.d {
					b.Fatal(len(o.lack), len(o.surplus), err)
				}
			}
			n := float64(b.N)
			b.ReportMetric(float64(sum.bytes)/n, "bytes/exchange")
			b.ReportMetric(float64(sum.trips)/n, "trips/exchange")
			b.ReportMetric(float64(sum.symbols)/n, "symbols/exchange")
			b.ReportMetric(float64(sum.timeA)/float64(time.Millisecond)/n, "ms/asker")
			b.ReportMetric(float64(sum.timeB)/float64(time.Millisecond)/n, "ms/answerer")
		})
	}
}
