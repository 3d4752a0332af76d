package segment

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// recording is what a node sent, as somebody on the segment captured it.
type recording struct {
	datagrams [][]byte
	from      netip.AddrPort
}

func (w *segmentWire) record(n *node) *recording {
	r := &recording{from: n.from}
	w.tap = func(from *node, d []byte) {
		if from == n {
			r.datagrams = append(r.datagrams, bytes.Clone(d))
		}
	}
	return r
}

// play hands captured datagrams to a node.
func (r *recording) play(to *node) {
	for _, d := range r.datagrams {
		to.receive(d, r.from)
	}
}

// quiet checks that a node neither handed on nor sent anything nor came to know
// anybody during f.
func quiet(t *testing.T, w *segmentWire, n *node, f func()) {
	t.Helper()
	frames, changes, sent := len(n.frames), len(n.changes), n.e.Stats().SentBytes
	streams, held := n.e.Stats().Streams, n.e.Stats().ReassemblyBytes
	f()
	s := n.e.Stats()
	if len(n.frames) != frames || len(n.changes) != changes || s.Streams != streams || s.ReassemblyBytes != held {
		t.Errorf("%d frames, %d changes, %d streams, %d bytes held", len(n.frames)-frames, len(n.changes)-changes,
			s.Streams-streams, s.ReassemblyBytes-held)
	}
	if s.SentBytes != sent {
		t.Errorf("answered by %d bytes", s.SentBytes-sent)
	}
}

// talk has the first node send frames, and records it.
func talk(t *testing.T, w *segmentWire, frames int) *recording {
	t.Helper()
	r := w.record(w.nodes[0])
	w.run(2 * time.Second)
	for i := range frames {
		if err := w.nodes[0].send("", carrier.News, frame(i, 2000)); err != nil {
			t.Fatal(err)
		}
		w.run(5 * time.Millisecond)
	}
	w.run(500 * time.Millisecond)
	w.tap = nil
	return r
}

func TestReplaysAreRefused(t *testing.T) {
	w := newWire(t, 31, 2)
	r := talk(t, w, 100)
	n := w.nodes[1]
	t.Run("at once", func(t *testing.T) { quiet(t, w, n, func() { r.play(n) }) })
	t.Run("from elsewhere", func(t *testing.T) {
		quiet(t, w, n, func() {
			r := *r
			r.from = netip.MustParseAddrPort("10.0.0.99:1")
			r.play(n)
		})
	})
	t.Run("after the window", func(t *testing.T) {
		for range 4200 {
			if err := w.nodes[0].send("", carrier.News, frame(0, 8)); err != nil {
				t.Fatal(err)
			}
			w.run(2100 * time.Microsecond)
		}
		quiet(t, w, n, func() { r.play(n) })
	})
	t.Run("when the sender has fallen silent", func(t *testing.T) {
		r := w.record(w.nodes[0])
		w.run(5 * time.Second)
		w.tap, w.nodes[0].dead = nil, true
		w.run(20 * time.Second)
		if len(n.e.Members(nil)) != 0 {
			t.Fatal("it is still a member")
		}
		quiet(t, w, n, func() { r.play(n) }) // its last beacons are fresh enough
	})
	t.Run("after the sender was forgotten", func(t *testing.T) {
		w.run(2 * time.Minute)
		if s := n.e.Stats(); s.Streams != 0 {
			t.Fatalf("%d streams are remembered", s.Streams)
		}
		quiet(t, w, n, func() { r.play(n) })
	})
	t.Run("after a restart", func(t *testing.T) {
		n := w.add(func(*Config) {})
		w.run(time.Second)
		quiet(t, w, n, func() { r.play(n) })
		if got := n.e.Stats().Refused[datagram.RefusedTime]; got == 0 {
			t.Error("no beacon was refused for its time")
		}
	})
	t.Run("in the next epoch", func(t *testing.T) {
		w.skew += datagram.EpochLength
		w.run(time.Second)
		quiet(t, w, n, func() { r.play(n) })
	})
	t.Run("two epochs later", func(t *testing.T) {
		w.skew += datagram.EpochLength
		w.run(time.Second)
		before := n.e.Stats().Refused[datagram.RefusedKey]
		quiet(t, w, n, func() { r.play(n) })
		if got := n.e.Stats().Refused[datagram.RefusedKey]; got-before != uint64(len(r.datagrams)) {
			t.Errorf("%d of %d were refused for their keys", got-before, len(r.datagrams))
		}
	})
}

// TestMidnightGoesUnnoticed sends across the change of epochs, between nodes whose
// clocks differ.
func TestMidnightGoesUnnoticed(t *testing.T) {
	w := newWire(t, 33, 3)
	w.nodes[1].skew, w.nodes[2].skew = 9*time.Second, -9*time.Second
	w.skew = 12*time.Hour - 30*time.Second
	w.run(5 * time.Second)
	w.loss = 0.05
	var sizes []int
	for i := range 600 {
		if err := w.nodes[0].send("", carrier.News, frame(i, 3000)); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, 3000)
		w.run(100 * time.Millisecond)
	}
	for _, n := range w.nodes[1:] {
		if err := n.checkFrames(testPeer(0), carrier.News, false, sizes); err != nil {
			t.Errorf("%v %+v", err, n.e.Stats())
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	w := newWire(t, 35, 2)
	r := talk(t, w, 50)
	n := w.nodes[1]
	last := r.datagrams[len(r.datagrams)-1]
	t.Run("another group", func(t *testing.T) {
		other := newWire(t, 36, 0)
		for range 2 {
			other.add(func(c *Config) { c.Roots = []datagram.Root{datagram.RootOf("test", []byte("another key"))} })
		}
		quiet(t, w, n, func() { talk(t, other, 50).play(n) })
	})
	t.Run("forged", func(t *testing.T) {
		quiet(t, w, n, func() {
			for i := range len(last) * 8 {
				d := bytes.Clone(last)
				d[i/8] ^= 1 << (i % 8)
				n.receive(d, r.from)
			}
		})
	})
	t.Run("cut", func(t *testing.T) {
		quiet(t, w, n, func() {
			for i := range last {
				n.receive(last[:i], r.from)
			}
		})
	})
	t.Run("garbage", func(t *testing.T) {
		quiet(t, w, n, func() {
			for range 20_000 {
				d := randomBytes(w.rng, w.rng.IntN(2000))
				copy(d, last[:min(len(d), w.rng.IntN(datagram.HeaderBytes+1))])
				n.receive(d, r.from)
			}
		})
	})
	t.Run("a clock that is off", func(t *testing.T) {
		off := w.add(func(*Config) {})
		off.skew = 40 * time.Second
		w.run(5 * time.Second)
		if n.hears(off) || off.hears(n) {
			t.Error("clocks 40 s apart were accepted")
		}
	})
	t.Run("not on the list", func(t *testing.T) {
		picky := w.add(func(c *Config) { c.Admit = func(p wire.PeerID) bool { return p == testPeer(0) } })
		w.run(3 * time.Second)
		if !picky.hears(w.nodes[0]) || picky.hears(n) {
			t.Error("who may be a member was not heeded")
		}
	})
}

// TestReplayedBeaconsKeepNobodyOut floods a node that was started anew with the last
// beacons of its own run before, and of another's, while a newcomer says hello.
func TestReplayedBeaconsKeepNobodyOut(t *testing.T) {
	w := newWire(t, 53, 2)
	own := w.record(w.nodes[0])
	w.run(2 * time.Second)
	others := w.record(w.nodes[1])
	w.run(2 * time.Second)
	w.tap = nil
	for _, old := range w.nodes {
		old.dead = true
	}
	again := func(i int) *node {
		return w.add(func(c *Config) { key := testConfig(i, w.rng); c.Self, c.Sign = key.Self, key.Sign })
	}
	n, other := again(0), again(1)
	w.run(time.Second)
	if !n.hears(other) {
		t.Fatal("the other is not heard")
	}
	play := func(rounds int) {
		for range rounds {
			own.play(n)
			others.play(n)
			w.run(time.Millisecond)
		}
	}
	play(200)
	newcomer := w.add(func(*Config) {})
	play(500) // it says hello twice
	if !n.hears(newcomer) {
		t.Errorf("the newcomer is not heard; refused %v", n.e.Stats().Refused)
	}
}

// TestForgedBeaconsAreBounded floods a node with beacons of runs that nobody began, from
// a stranger who has seen the network's datagrams. Above a rate most are refused
// unread, and a newcomer gets in all the same.
func TestForgedBeaconsAreBounded(t *testing.T) {
	w := newWire(t, 57, 2)
	r := talk(t, w, 1)
	n, flood := w.nodes[1], 40*time.Microsecond
	beacon := bytes.Clone(r.datagrams[slices.IndexFunc(r.datagrams, isBeacon)])
	forge := func(d time.Duration) (sent uint64) {
		for range d / flood {
			binary.BigEndian.PutUint64(beacon[8:], w.rng.Uint64())
			n.receive(beacon, r.from)
			w.run(flood)
			sent++
		}
		return sent
	}
	before := n.e.Stats().Refused
	var sent uint64
	quiet(t, w, n, func() { sent = forge(100 * time.Millisecond) })
	after := n.e.Stats().Refused
	opened := after[datagram.RefusedSeal] - before[datagram.RefusedSeal]
	unread := after[datagram.RefusedLimit] - before[datagram.RefusedLimit]
	if opened+unread != sent || opened < openBurst || opened > openBurst+openRate/10 {
		t.Errorf("of %d forged beacons %d were opened and %d refused unread", sent, opened, unread)
	}
	newcomer := w.add(func(*Config) {})
	forge(10 * time.Second)
	if !n.hears(newcomer) || !newcomer.hears(n) {
		t.Errorf("the newcomer is not heard; refused %v", n.e.Stats().Refused)
	}
	if !n.hears(w.nodes[0]) {
		t.Error("who was heard before is heard no more")
	}
}

func isBeacon(d []byte) bool { return d[3] == byte(datagram.TypeBeacon) }
