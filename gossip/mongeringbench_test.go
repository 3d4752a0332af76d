package gossip

import (
	"testing"
	"time"
)

// BenchmarkRumorAmongThousand is a rumor's whole life among 1,000 nodes, with
// what the test needs to carry its contacts. A send is a batch pushed (both
// sides' work, the feedback and its share of the cycles), or where nodes pull, named.
func BenchmarkRumorAmongThousand(b *testing.B) {
	for name, m := range map[string]Mongering{
		"push":     {Mode: Push, K: 3},
		"pull":     {Mode: Pull, K: 2},
		"pushpull": {Mode: PushPull, K: 2},
	} {
		b.Run(name, func(b *testing.B) {
			m.Fanout, m.Interval = 1, 100*time.Millisecond
			n := newRounds(b, 1, 1000, m)
			sends := 0
			b.ReportAllocs()
			for b.Loop() {
				n.spread(1)
				sends += n.pushes + n.named
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sends), "ns/send")
		})
	}
}
