package segment

import (
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

func TestFramesOfAllSizesArrive(t *testing.T) {
	for _, kind := range []Kind{Wired, Unknown, Wireless} {
		for _, loss := range []float64{0, 0.05} {
			w := newWire(t, 1, 0)
			for range 3 {
				w.add(func(c *Config) { c.Kind = kind })
			}
			w.loss = loss
			w.run(2 * time.Second)
			sizes := []int{8, 1000, 1124, 5000, 35000, roomBytes, roomBytes + 1, 100, 300_000, FrameMaxBytes, 9}
			for i, size := range sizes {
				if err := w.nodes[0].send("", carrier.News, frame(i, size)); err != nil {
					t.Fatal(err)
				}
			}
			w.run(30 * time.Second)
			for _, n := range w.nodes[1:] {
				if err := n.checkFrames(testPeer(0), carrier.News, false, sizes); err != nil {
					t.Errorf("kind %d, loss %v: %v; %+v", kind, loss, err, n.e.Stats())
				}
			}
			t.Logf("kind %d, loss %v: %s", kind, loss, traffic(w))
		}
	}
}

// TestTheFirstFramesArrive has a node come up and speak at once, while the others
// lose a tenth, of its first beacons too.
func TestTheFirstFramesArrive(t *testing.T) {
	for seed := range uint64(10) {
		w := newWire(t, 60+seed, 5)
		w.run(2 * time.Second)
		w.loss = 0.10
		n := w.add(func(*Config) {})
		var sizes []int
		for i := range 20 {
			if err := n.send("", carrier.News, frame(i, 500)); err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, 500)
			w.run(30 * time.Millisecond)
		}
		w.run(2 * time.Second)
		for _, other := range w.nodes[:5] {
			if err := other.checkFrames(testPeer(5), carrier.News, false, sizes); err != nil {
				t.Errorf("seed %d: %v; refused %v", seed, err, other.e.Stats().Refused)
			}
		}
	}
}

// TestNothingIsSaidBeforeTheBeacon has a node come up and speak at once: to those who
// miss nothing it is never a stranger.
func TestNothingIsSaidBeforeTheBeacon(t *testing.T) {
	w := newWire(t, 71, 2)
	w.most = w.least // nothing is overtaken
	n := w.add(func(*Config) {})
	if err := n.send("", carrier.News, frame(0, 500)); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	for _, other := range w.nodes[:2] {
		if err := other.checkFrames(testPeer(2), carrier.News, false, []int{500}); err != nil {
			t.Error(err)
		}
		if got := other.e.Stats().Refused[datagram.RefusedStranger]; got != 0 {
			t.Errorf("%d datagrams of a stranger", got)
		}
	}
}

// TestSlowBlocksAreWaitedFor sends blocks in turns that take longer than LiveWindow.
func TestSlowBlocksAreWaitedFor(t *testing.T) {
	w := newWire(t, 73, 0)
	for range 3 {
		w.add(func(c *Config) { c.Kind, c.Rates = Wireless, Rates{Start: 400_000, Max: 400_000} })
	}
	w.run(2 * time.Second)
	if err := w.nodes[0].send("", carrier.News, frame(0, trainMax*roomBytes)); err != nil {
		t.Fatal(err)
	}
	w.run(10 * time.Second)
	for _, n := range w.nodes[1:] {
		if err := n.checkFrames(testPeer(0), carrier.News, false, []int{trainMax * roomBytes}); err != nil {
			t.Errorf("%v; %+v", err, n.e.Stats())
		}
		if took := time.Duration(n.frames[0].at); took < 2*time.Second+LiveWindow {
			t.Errorf("it took %v: this tests nothing", took)
		}
	}
}

// TestFewAskForWhatAllLack loses the same shards at fifty receivers.
func TestFewAskForWhatAllLack(t *testing.T) {
	w := newWire(t, 75, 51)
	w.run(3 * time.Second)
	const blocks = 20
	for i := range blocks {
		seen := 0
		w.drop = func(from *node, d []byte) bool {
			if from != w.nodes[0] || d[3] != byte(datagram.TypeShard) {
				return false
			}
			seen++
			return seen%10 == 0 && seen < 30
		}
		if err := w.nodes[0].send("", carrier.News, frame(i, roomBytes)); err != nil {
			t.Fatal(err)
		}
		w.run(100 * time.Millisecond)
	}
	w.run(time.Second)
	var asked uint64
	for _, n := range w.nodes[1:] {
		asked += n.e.Stats().Nacks
		if err := n.checkFrames(testPeer(0), carrier.News, false, slices.Repeat([]int{roomBytes}, blocks)); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%.2f NACKs a block; %s", float64(asked)/blocks, traffic(w))
	if asked > 2*blocks {
		t.Errorf("%d NACKs for %d blocks that 50 lack alike", asked, blocks)
	}
	if s := w.nodes[0].e.Stats(); s.Repair > 3*blocks {
		t.Errorf("%d shards repaired, want about 2 a block", s.Repair)
	}
}

// TestWhoHearsAnotherAskIsSilent has fifty receivers lack a block whose sender does
// not answer for a while.
func TestWhoHearsAnotherAskIsSilent(t *testing.T) {
	w := newWire(t, 77, 51)
	w.run(3 * time.Second)
	seen := 0
	w.drop = func(from *node, d []byte) bool {
		seen++
		return from == w.nodes[0] && d[3] == byte(datagram.TypeShard) && seen == 5
	}
	if err := w.nodes[0].send("", carrier.News, frame(0, roomBytes)); err != nil {
		t.Fatal(err)
	}
	w.nodes[0].deaf = true
	const silence = 300 * time.Millisecond
	w.run(silence)
	var asked uint64
	for _, n := range w.nodes[1:] {
		asked += n.e.Stats().Nacks
	}
	t.Logf("%d NACKs in %v; %s", asked, silence, traffic(w))
	if asked == 0 || asked > 100 {
		t.Errorf("%d NACKs in %v", asked, silence)
	}
	w.nodes[0].deaf = false
	w.run(300 * time.Millisecond)
	for _, n := range w.nodes[1:] {
		if err := n.checkFrames(testPeer(0), carrier.News, false, []int{roomBytes}); err != nil {
			t.Error(err)
		}
	}
}
