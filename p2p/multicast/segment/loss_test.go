package segment

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// idealCode is the number of datagrams that a code of which any k suffice needs
// until each of n receivers has k, a datagram being lost to each with chance p:
// the expectation of the greatest of n negative binomial times, exactly.
func idealCode(k, n int, p float64) float64 {
	last := math.Pow(1-p, float64(k)) // chance that the kth arrives with datagram m
	have := last
	sum := float64(k)
	for m := k; m < 40*k; m++ {
		sum += 1 - math.Pow(have, float64(n))
		last *= p * float64(m) / float64(m-k+1)
		have += last
	}
	return sum
}

// TestIdealCodeIsThatOfTheLiterature holds the bound to the values that were computed elsewhere.
func TestIdealCodeIsThatOfTheLiterature(t *testing.T) {
	for _, c := range []struct {
		k, n int
		p    float64
		want float64
	}{
		{32, 50, 0.05, 1.167},
		{32, 50, 0.20, 1.503},
		{32, 20, 0.05, 1.143},
		{32, 20, 0.20, 1.454},
		{32, 20, 0.01, 1.053},
		{1024, 50, 0.05, 1.070},
		{1, 1, 0.5, 2},
	} {
		if got := idealCode(c.k, c.n, c.p) / float64(c.k); math.Abs(got-c.want) > 0.001 {
			t.Errorf("k=%d n=%d p=%v: %.4f, want %.3f", c.k, c.n, c.p, got, c.want)
		}
	}
}

// TestLossIsRepairedAtTheCodesPrice sends full blocks at half of a fixed rate and
// holds the engine to four bounds: all arrives, for hardly more datagrams than the
// ideal code, for few requests, and soon.
func TestLossIsRepairedAtTheCodesPrice(t *testing.T) {
	blocks := 250
	if testing.Short() || raceEnabled {
		blocks = 40
	}
	for _, loss := range []float64{0, 0.01, 0.05, 0.20} {
		for _, receivers := range []int{5, 20, 50} {
			t.Run(fmt.Sprintf("loss=%v/receivers=%d", loss, receivers), func(t *testing.T) {
				if raceEnabled && (receivers > 20 || loss == 0.01) {
					t.Skip("skipped: one goroutine, and long under the race detector; runs without it")
				}
				testLoss(t, loss, receivers, blocks)
			})
		}
	}
}

func testLoss(t *testing.T, loss float64, receivers, blocks int) {
	w := newWire(t, uint64(receivers)*1000+uint64(loss*100), 0)
	for range receivers + 1 {
		w.add(func(c *Config) { c.Rates = Rates{Start: 20_000_000, Max: 20_000_000} })
	}
	w.loss = loss
	w.run(10 * time.Second)
	sender := w.nodes[0]
	for _, n := range w.nodes {
		if n != sender && !n.hears(sender) || !sender.hears(n) && n != sender {
			t.Fatalf("node %d and the sender do not hear each other", n.n)
		}
	}
	// Members report their losses once they have something to report.
	const warm = 20
	interval := 2 * time.Duration(datagram.DataMax*(fullBytes+headersBytes)*8) * time.Second / 20e6
	var sentAt []Time
	var sizes []int
	var before Stats
	nacks := func() (n uint64) {
		for _, n2 := range w.nodes[1:] {
			n += n2.e.Stats().Nacks
		}
		return n
	}
	var nacksBefore uint64
	for i := range warm + blocks {
		if i == warm {
			w.run(time.Second)
			before, nacksBefore = sender.e.Stats(), nacks()
		}
		sentAt = append(sentAt, w.now)
		sizes = append(sizes, roomBytes)
		if err := sender.send("", carrier.News, frame(i, roomBytes)); err != nil {
			t.Fatal(err)
		}
		w.run(interval)
	}
	w.run(3 * time.Second)
	after := sender.e.Stats()
	rate := float64(after.RateBits)
	own := time.Duration(float64(after.Data+after.Parity-before.Data-before.Parity) / float64(blocks) *
		float64((fullBytes+headersBytes)*8) / rate * 1e9)
	var delays []time.Duration
	for _, n := range w.nodes[1:] {
		if err := n.checkFrames(testPeer(0), carrier.News, false, sizes); err != nil {
			t.Errorf("%v; %+v", err, n.e.Stats())
			continue
		}
		for i := warm; i < len(sizes); i++ {
			delays = append(delays, time.Duration(n.frames[i].at-sentAt[i]))
		}
	}
	if t.Failed() {
		t.Fatalf("sender: %+v", after)
	}
	slices.Sort(delays)
	p50, p99 := delays[len(delays)/2], delays[len(delays)*99/100]
	sent := float64(after.Data + after.Parity + after.Repair - before.Data - before.Parity - before.Repair)
	ideal := idealCode(datagram.DataMax, receivers, loss) * float64(blocks)
	asked := float64(nacks()-nacksBefore) / float64(blocks)
	t.Logf("datagrams ÷ data %.3f, ÷ ideal %.3f (parity first %.2f, repair %.2f a block); NACKs a block %.2f;"+
		" delay p50 %v p99 %v, own sending time %v",
		sent/float64(blocks*datagram.DataMax), sent/ideal, float64(after.Parity-before.Parity)/float64(blocks),
		float64(after.Repair-before.Repair)/float64(blocks), asked,
		p50.Round(100*time.Microsecond), p99.Round(100*time.Microsecond), own.Round(100*time.Microsecond))
	if sent > 1.05*ideal {
		t.Errorf("%.3f times the ideal code's datagrams, want 1.05 at most", sent/ideal)
	}
	if limit := map[float64]float64{0: 0.01, 0.05: 1.5, 0.20: 7}[loss]; limit != 0 && asked > limit {
		t.Errorf("%.2f NACKs a block, want %v at most", asked, limit)
	}
	extra := 20 * time.Millisecond
	if loss > 0.05 {
		extra = 80 * time.Millisecond
	}
	if p99 > own+extra {
		t.Errorf("p99 is %v, want %v + %v at most", p99, own, extra)
	}
}

// TestLoneFramesArriveSoon sends small frames one by one, far apart: nothing that follows
// tells the members that one was lost.
func TestLoneFramesArriveSoon(t *testing.T) {
	for _, loss := range []float64{0.05, 0.20} {
		for _, receivers := range []int{5, 20} {
			if raceEnabled && receivers > 5 {
				continue
			}
			w := newWire(t, 51, receivers+1)
			w.loss = loss
			w.run(5 * time.Second)
			var sentAt []Time
			warm, frames := 600, 200
			if raceEnabled {
				warm, frames = 100, 50
			}
			for i := range warm + frames {
				sentAt = append(sentAt, w.now)
				if err := w.nodes[0].send("", carrier.News, frame(i, 300)); err != nil {
					t.Fatal(err)
				}
				w.run(200 * time.Millisecond)
			}
			w.run(2 * time.Second)
			var delays []time.Duration
			for _, n := range w.nodes[1:] {
				if err := n.checkFrames(testPeer(0), carrier.News, false, slices.Repeat([]int{300}, warm+frames)); err != nil {
					t.Fatal(err)
				}
				for i := warm; i < len(sentAt); i++ {
					delays = append(delays, time.Duration(n.frames[i].at-sentAt[i]))
				}
			}
			slices.Sort(delays)
			p50, p99 := delays[len(delays)/2], delays[len(delays)*99/100]
			t.Logf("loss %v, %d receivers: p50 %v p99 %v; %s", loss, receivers,
				p50.Round(100*time.Microsecond), p99.Round(100*time.Microsecond), traffic(w))
			if limit := map[float64]time.Duration{0.05: 20, 0.20: 80}[loss] * time.Millisecond; p99 > limit {
				t.Errorf("p99 is %v, want %v at most", p99, limit)
			}
		}
	}
}
