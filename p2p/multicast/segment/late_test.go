package segment

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
)

// lateWire returns a segment whose receivers get the processor once in a time: their timers
// are due before they have read what lies in their sockets. All know each other.
func lateWire(t *testing.T, receivers int, late time.Duration) *segmentWire {
	w := newWire(t, 71, 1+receivers)
	w.run(3 * time.Second)
	for _, n := range w.nodes[1:] {
		n.late = late
	}
	return w
}

// publish has the first node send frames, waits until all have them, and returns how
// often the others asked.
func publish(t *testing.T, w *segmentWire, frames int) (nacks uint64) {
	t.Helper()
	const size = 1100
	var sizes []int
	for i := range frames {
		if err := w.nodes[0].send("", carrier.News, frame(i, size)); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, size)
		w.run(300 * time.Microsecond)
	}
	w.run(3 * time.Second)
	for _, n := range w.nodes[1:] {
		if err := n.checkFrames(testPeer(0), carrier.News, false, sizes); err != nil {
			t.Errorf("%v %+v", err, n.e.Stats())
		}
		nacks += n.e.Stats().Nacks
	}
	return nacks
}

// TestWhoIsLateAsksForNothingThatCame loses nothing: each request would be for what
// waits to be received.
func TestWhoIsLateAsksForNothingThatCame(t *testing.T) {
	for _, c := range []struct {
		late  time.Duration
		peeks bool
	}{
		{20 * time.Millisecond, false}, // a late Tick tells by itself
		{40 * time.Millisecond, false},
		{5 * time.Millisecond, true}, // a Tick that is in time need not be
		{10 * time.Millisecond, true},
		{20 * time.Millisecond, true},
	} {
		t.Run(fmt.Sprintf("late=%v/peeks=%v", c.late, c.peeks), func(t *testing.T) {
			w := lateWire(t, 10, c.late)
			for _, n := range w.nodes[1:] {
				n.peeks = c.peeks
			}
			nacks := publish(t, w, 500)
			if s := w.nodes[0].e.Stats(); nacks > 2 || s.Repair > s.Data/100 {
				t.Errorf("%d requests, %d repairs of %d datagrams", nacks, s.Repair, s.Data)
			}
		})
	}
}

// TestWhoIsLateGetsWhatWasLost has requests put off, not given up.
func TestWhoIsLateGetsWhatWasLost(t *testing.T) {
	for _, peeks := range []bool{false, true} {
		w := lateWire(t, 10, 20*time.Millisecond)
		w.loss = 0.05
		for _, n := range w.nodes[1:] {
			n.peeks = peeks
		}
		publish(t, w, 500)
		if s := w.nodes[0].e.Stats(); s.Repair == 0 || s.Repair+s.Parity > s.Data/2 {
			t.Errorf("%d repairs and %d ahead for %d datagrams", s.Repair, s.Parity, s.Data)
		}
	}
}

// TestAFloodStopsNoRequests has somebody keep a receiver's socket from ever being empty.
func TestAFloodStopsNoRequests(t *testing.T) {
	w := lateWire(t, 1, time.Millisecond)
	n := w.nodes[1]
	n.peeks = true
	var flood func()
	flood = func() {
		n.receive([]byte("garbage"), w.nodes[0].from)
		w.at(w.now.Add(100*time.Microsecond), flood)
	}
	flood()
	w.loss = 0.2
	publish(t, w, 200)
}
