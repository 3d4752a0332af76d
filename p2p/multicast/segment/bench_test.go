package segment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// benchPair returns two engines that know each other, and the first's address. The
// first's rate is as good as none.
func benchPair(b *testing.B) (from, to *Engine, w *segmentWire) {
	w = newWire(&testing.T{}, 1, 0)
	for range 2 {
		w.add(func(c *Config) { c.Rates = Rates{Start: 1e12, Max: 1e12} })
	}
	w.run(2 * time.Second)
	from, to = w.nodes[0].e, w.nodes[1].e
	if !w.nodes[0].hears(w.nodes[1]) {
		b.Fatal("no members")
	}
	return from, to, w
}

// setLoss has the engine reckon with a member that loses so much.
func (e *Engine) setLoss(loss float64) {
	for _, s := range e.streams {
		s.reported = uint8(loss*255 + 0.5)
	}
	e.parity.fresh = false
}

// BenchmarkSend is what a datagram costs from Send to its sealed bytes, parity included.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{128, 1024, roomBytes} {
		for _, loss := range []float64{0, 0.05, 0.20} {
			b.Run(fmt.Sprintf("frame=%d/loss=%v", size, loss), func(b *testing.B) {
				e, _, w := benchPair(b)
				e.setLoss(loss)
				f := frame(0, size)
				now := w.now
				b.ReportAllocs()
				sent, frames := 0, 0
				for b.Loop() {
					for used := 0; used < roomBytes; used += size + chunkBytes {
						if err := e.Send(now, "", carrier.News, f); err != nil {
							b.Fatal(err)
						}
						frames++
					}
					for {
						now = now.Add(100 * time.Microsecond)
						n := len(e.Take().Datagrams)
						if sent += n; n == 0 {
							break
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/datagram")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
			})
		}
	}
}

// BenchmarkReceive is what a datagram costs from its bytes to frames, lost ones
// restored.
func BenchmarkReceive(b *testing.B) {
	const blocks = 32
	for _, size := range []int{128, 1024, roomBytes} {
		for _, loss := range []float64{0, 0.05, 0.20} {
			b.Run(fmt.Sprintf("frame=%d/loss=%v", size, loss), func(b *testing.B) {
				e, to, w := benchPair(b)
				e.setLoss(2 * loss) // parity enough for all
				f := frame(0, size)
				r := rand.New(rand.NewPCG(1, 2))
				now := w.now
				from, wall := w.nodes[0].from, w.wall(w.nodes[0])
				b.ReportAllocs()
				got, frames := 0, 0
				for b.Loop() {
					b.StopTimer()
					var list [][]byte
					for range blocks { // many, for to stop the clock takes as long as some datagrams
						for used := 0; used < roomBytes; used += size + chunkBytes {
							if err := e.Send(now, "", carrier.News, f); err != nil {
								b.Fatal(err)
							}
						}
						for {
							now = now.Add(100 * time.Microsecond)
							out := e.Take()
							if len(out.Datagrams) == 0 {
								break
							}
							for _, d := range out.Datagrams {
								if r.Float64() >= loss {
									list = append(list, bytes.Clone(d))
								}
							}
						}
					}
					b.StartTimer()
					for _, d := range list {
						to.Receive(now, wall, from, d)
						frames += len(to.Take().Frames)
					}
					got += len(list)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(got), "ns/datagram")
				b.ReportMetric(float64(to.stats.BlocksDecoded)/float64(to.stats.BlocksReceived), "decoded/block")
				if frames == 0 {
					b.Fatal("nothing arrived")
				}
			})
		}
	}
}

// BenchmarkForged is what a datagram costs that a stranger sends: one that is none, one in
// a member's name, and a beacon of a run that he claims to begin, each alone; and such
// beacons at the rate at which they come one after another, of which most are refused
// before they are looked at.
func BenchmarkForged(b *testing.B) {
	const flood = 100_000 // a second
	for _, c := range []struct {
		name  string
		pause time.Duration // of virtual time between two
		forge func(w *segmentWire) []byte
	}{
		{"garbage", 0, func(w *segmentWire) []byte { return randomBytes(w.rng, datagram.MaxBytes) }},
		{"shard", 0, forgedShard},
		{"beacon", time.Second, forgedBeacon},
		{"beacons", time.Second / flood, forgedBeacon},
	} {
		b.Run(c.name, func(b *testing.B) {
			_, to, w := benchPair(b)
			d := c.forge(w)
			from, now, wall := w.nodes[0].from, w.now, w.wall(w.nodes[0])
			opened := to.stats.Opened
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(c.pause)
				to.Receive(now, wall, from, d)
			}
			if to.stats.Opened != opened {
				b.Fatal("it was taken")
			}
		})
	}
}

// forgedShard returns a member's shard with a byte changed.
func forgedShard(w *segmentWire) []byte {
	e := w.nodes[0].e
	if err := e.Send(w.now, "", carrier.News, make([]byte, roomBytes)); err != nil {
		w.t.Fatal(err)
	}
	d := bytes.Clone(e.Take().Datagrams[0])
	d[500]++
	return d
}

// forgedBeacon returns the longest text that may introduce a stream, and does not.
func forgedBeacon(w *segmentWire) []byte {
	d := forgedShard(w)[:590]
	d[3], d[8] = byte(datagram.TypeBeacon), d[8]+1
	return d
}
