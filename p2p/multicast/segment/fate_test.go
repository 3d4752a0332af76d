package segment

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
)

// TestEachFrameArrivesOnceAndInOrder sends frames of mixed sizes on both lanes over
// a segment that does to datagrams what segments do.
func TestEachFrameArrivesOnceAndInOrder(t *testing.T) {
	frames := 1000
	if raceEnabled {
		frames = 300
	}
	for _, c := range []struct {
		name               string
		loss               float64
		burst              int
		reorder, duplicate float64
	}{
		{"bursts of 4", 0.05, 4, 0, 0},
		{"bursts of 16", 0.05, 16, 0, 0},
		{"bursts of 8 and a fifth lost", 0.20, 8, 0, 0},
		{"reordered and duplicated", 0, 0, 0.10, 0.20},
		{"all of it", 0.05, 4, 0.10, 0.20},
	} {
		if raceEnabled && c.name != "all of it" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, 7, 11)
			w.run(5 * time.Second)
			w.loss, w.burst, w.reorder, w.duplicate = c.loss, c.burst, c.reorder, c.duplicate
			sizes := [carrier.Lanes][]int{}
			for i := range frames {
				size := []int{8, 100, 1000, 3000, 20_000, 100_000}[w.rng.IntN(6)]
				lane := carrier.Lane(0)
				if w.rng.IntN(10) == 0 {
					lane, size = carrier.Repair, min(size, 3000)
				}
				if i%50 == 49 {
					w.run(400 * time.Millisecond)
				}
				if err := w.nodes[0].send("", lane, frame(len(sizes[lane]), size)); err != nil {
					t.Fatal(err)
				}
				sizes[lane] = append(sizes[lane], size)
				w.run(time.Duration(w.rng.IntN(20)) * time.Millisecond)
			}
			w.run(5 * time.Second)
			for _, n := range w.nodes[1:] {
				for lane, s := range sizes {
					if err := n.checkFrames(testPeer(0), carrier.Lane(lane), false, s); err != nil {
						t.Errorf("lane %d: %v; %+v", lane, err, n.e.Stats())
					}
				}
				if s := n.e.Stats(); s.BlocksPoisoned != 0 || s.ReassemblyBytes != 0 {
					t.Errorf("node %d: %+v", n.n, s)
				}
			}
			t.Log(traffic(w))
		})
	}
}

func traffic(w *segmentWire) string {
	s := w.nodes[0].e.Stats()
	var nacks, suppressed uint64
	for _, n := range w.nodes[1:] {
		nacks += n.e.Stats().Nacks
		suppressed += n.e.Stats().NacksSuppressed
	}
	return fmt.Sprintf("%d blocks: %d data, %d parity first, %d repair, %d digests; %d NACKs, %d suppressed; %.1f Mbit/s",
		s.BlocksSent, s.Data, s.Parity, s.Repair, s.Digests, nacks, suppressed, float64(s.RateBits)/1e6)
}

// TestManySendersAtOnce has each of twenty nodes send while all lose a twentieth.
func TestManySendersAtOnce(t *testing.T) {
	w := newWire(t, 9, 20)
	w.loss = 0.05
	w.run(10 * time.Second)
	sizes := make([][]int, len(w.nodes))
	rounds := 30
	if raceEnabled {
		rounds = 5
	}
	for range rounds {
		for i, n := range w.nodes {
			size := 8 + w.rng.IntN(4000)
			if err := n.send("", carrier.News, frame(len(sizes[i]), size)); err != nil {
				t.Fatal(err)
			}
			sizes[i] = append(sizes[i], size)
			w.run(3 * time.Millisecond)
		}
	}
	w.run(5 * time.Second)
	for _, n := range w.nodes {
		for i := range w.nodes {
			if i == n.n {
				continue
			}
			if err := n.checkFrames(testPeer(i), carrier.News, false, sizes[i]); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestAddressedFramesReachOne checks that only the addressee gets them, that loss
// is repaired for it, and that the others neither keep nor ask for anything.
func TestAddressedFramesReachOne(t *testing.T) {
	w := newWire(t, 11, 5)
	w.run(5 * time.Second)
	w.loss = 0.10
	var toOne, toAll []int
	for range 300 {
		size := 8 + w.rng.IntN(6000)
		if err := w.nodes[0].send(testPeer(1), carrier.News, frame(len(toOne), size)); err != nil {
			t.Fatal(err)
		}
		toOne = append(toOne, size)
		if w.rng.IntN(3) == 0 {
			if err := w.nodes[0].send("", carrier.News, frame(len(toAll), size)); err != nil {
				t.Fatal(err)
			}
			toAll = append(toAll, size)
		}
		w.run(10 * time.Millisecond)
	}
	w.run(4 * time.Second)
	for _, n := range w.nodes[1:] {
		addressed := toOne
		if n.n != 1 {
			addressed = nil
		}
		if err := n.checkFrames(testPeer(0), carrier.News, true, addressed); err != nil {
			t.Errorf("addressed: %v", err)
		}
		if err := n.checkFrames(testPeer(0), carrier.News, false, toAll); err != nil {
			t.Errorf("to all: %v", err)
		}
	}
	if err := w.nodes[0].send(testPeer(77), carrier.News, frame(0, 8)); !errors.Is(err, ErrNoMember) {
		t.Errorf("a frame to nobody: %v", err)
	}
}

// TestRepairLaneKeepsToItsShare fills both lanes: News goes first, and Repair
// takes a tenth of the rate at most, also when it is alone.
func TestRepairLaneKeepsToItsShare(t *testing.T) {
	w := newWire(t, 13, 2)
	w.run(2 * time.Second)
	fill := func(lane carrier.Lane) {
		for w.nodes[0].e.Room(lane) {
			if err := w.nodes[0].send("", lane, frame(0, 10_000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	shares := func(news bool) [carrier.Lanes]float64 {
		w.nodes[1].frames = nil
		for range 20 {
			if news {
				fill(carrier.News)
			}
			fill(carrier.Repair)
			w.run(10 * time.Millisecond)
		}
		var got [carrier.Lanes]float64
		for _, a := range w.nodes[1].frames {
			got[a.Lane] += float64(len(a.Bytes)) * 8 / 0.2
		}
		rate := float64(w.nodes[0].e.Stats().RateBits)
		return [carrier.Lanes]float64{got[0] / rate, got[1] / rate}
	}
	if s := shares(true); s[carrier.News] < 0.75 || s[carrier.Repair] > 0.15 {
		t.Errorf("shares of the rate %v", s)
	}
	w.run(3 * time.Second)
	if s := shares(false); s[carrier.Repair] > 0.15 || s[carrier.Repair] < 0.05 {
		t.Errorf("shares of the rate with Repair alone %v", s)
	}
}

// TestRateFindsTheCapacity sends without end over a segment that is slower than
// the engine may be, or faster.
func TestRateFindsTheCapacity(t *testing.T) {
	for _, c := range []struct{ capacity, least int }{{8e6, 4e6}, {50e6, 30e6}, {500e6, 150e6}} {
		if raceEnabled && c.capacity > 10e6 {
			continue
		}
		w := newWire(t, 15, 6)
		w.capacity = c.capacity
		w.loss = 0.02
		w.run(2 * time.Second)
		fill := func() {
			for w.nodes[0].e.Room(carrier.News) {
				if err := w.nodes[0].send("", carrier.News, frame(0, 50_000)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.nodes[0].onRoom = func(carrier.Lane) {}
		bits := 0
		for i := range 1500 {
			if i == 500 {
				for _, n := range w.nodes[1:] {
					n.frames = nil
				}
			}
			fill()
			w.run(10 * time.Millisecond)
		}
		for _, a := range w.nodes[1].frames {
			bits += len(a.Bytes) * 8
		}
		s := w.nodes[0].e.Stats()
		t.Logf("capacity %.0f Mbit/s: goodput %.1f Mbit/s, loss %.3f, %s",
			float64(c.capacity)/1e6, float64(bits)/10e6, s.WorstLoss, traffic(w))
		if bits/10 < c.least {
			t.Errorf("capacity %d: %d bit/s, want %d", c.capacity, bits/10, c.least)
		}
	}
}
