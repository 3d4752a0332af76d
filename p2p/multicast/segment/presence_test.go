package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// TestIdleSegmentCostsLittle counts what fifty nodes that have nothing to say
// send, IP and UDP headers included.
func TestIdleSegmentCostsLittle(t *testing.T) {
	nodes, lasts := 50, 20
	if raceEnabled {
		nodes, lasts = 20, 5
	}
	for _, c := range []struct {
		text int
		loss float64
	}{{0, 0}, {AnnounceMaxBytes, 0.2}} {
		w := newWire(t, 17, 0)
		w.loss = c.loss
		for range nodes {
			w.add(func(cfg *Config) {
				cfg.Text = make([]byte, c.text)
				cfg.Addrs = [][]byte{make([]byte, 10), make([]byte, 22)}
			})
		}
		w.run(12 * time.Second) // the first second's beacons are more
		datagrams, bytes := w.datagrams, w.bytes
		w.run(time.Duration(lasts) * time.Second)
		perSecond := float64(w.datagrams-datagrams) / float64(lasts)
		kbits := float64(w.bytes-bytes) * 8 / float64(lasts) / 1000
		downs := 0
		for _, n := range w.nodes {
			for _, change := range n.changes {
				if change.Kind == Down {
					downs++
				}
			}
			if got := len(n.e.Members(nil)); c.loss == 0 && got != nodes-1 {
				t.Errorf("node %d hears %d members", n.n, got)
			}
		}
		t.Logf("text of %d bytes, loss %v: %.1f datagrams/s, %.1f kbit/s, %d false departures among %d pairs in %v",
			c.text, c.loss, perSecond, kbits, downs, nodes*(nodes-1), time.Duration(w.now))
		if perSecond > 20 || kbits > 40 {
			t.Errorf("%.1f datagrams/s and %.1f kbit/s, want 20 and 40 at most", perSecond, kbits)
		}
	}
}

// TestWhatChangesAllTheTimeCostsLittle has all say something new every other second, as nodes do
// that hold more topics than they can name, or on whose topics something is published now and then.
func TestWhatChangesAllTheTimeCostsLittle(t *testing.T) {
	const first, lasts = 10, 10 // seconds; the first changes are told soon
	nodes := 50
	if raceEnabled {
		nodes = 20
	}
	w := newWire(t, 19, 0)
	for range nodes {
		w.add(func(cfg *Config) { cfg.Text = make([]byte, AnnounceMaxBytes) })
	}
	var datagrams, bytes uint64
	for second := range first + lasts {
		if second == first {
			datagrams, bytes = w.datagrams, w.bytes
		}
		for i, n := range w.nodes {
			if i%2 == second%2 {
				n.announce(second)
			}
		}
		w.run(time.Second)
	}
	perSecond, kbits := float64(w.datagrams-datagrams)/lasts, float64(w.bytes-bytes)*8/1000/lasts
	t.Logf("%.1f datagrams/s, %.1f kbit/s", perSecond, kbits)
	if perSecond > 20 || kbits > 40 {
		t.Errorf("%.1f datagrams/s and %.1f kbit/s, want 20 and 40 at most", perSecond, kbits)
	}
}

// TestWhatChangesRarelyIsToldSoon has a node that spent what it may say ahead of its time wait.
func TestWhatChangesRarelyIsToldSoon(t *testing.T) {
	w := newWire(t, 20, 2)
	w.run(3 * time.Second)
	n := w.nodes[0]
	quick := func() (told bool) {
		for w.now > n.e.presence.last.Add(intervalMin/4) {
			w.run(10 * time.Millisecond) // a beacon has just gone
		}
		before := n.e.stats.Beacons
		n.announce(int(w.now))
		w.run(intervalMin * 3 / 8)
		return n.e.stats.Beacons > before
	}
	for i := range changesBurst + 2 {
		if quick() != (i < changesBurst) {
			t.Errorf("change %d", i)
		}
	}
	w.run(changesEach * intervalMin)
	if !quick() {
		t.Error("what changes rarely is not told soon")
	}
}

func (n *node) announce(number int) {
	text := make([]byte, AnnounceMaxBytes)
	binary.BigEndian.PutUint64(text, uint64(number))
	if err := n.e.Announce(text); err != nil {
		n.w.t.Fatal(err)
	}
	n.settle()
}

// TestNobodyAloneTalksALot counts what a node without company sends.
func TestNobodyAloneTalksALot(t *testing.T) {
	w := newWire(t, 18, 1)
	w.run(60 * time.Second)
	if w.datagrams > 70 || w.datagrams < 40 {
		t.Errorf("%d datagrams in a minute, want one a second", w.datagrams)
	}
}

// TestMembersComeChangeAndGo follows a member through its life.
func TestMembersComeChangeAndGo(t *testing.T) {
	w := newWire(t, 19, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.run(time.Second)
	if !a.hears(b) || !b.hears(a) {
		t.Fatal("they do not hear each other within a second")
	}
	if err := b.e.Announce([]byte("orders.>")); err != nil {
		t.Fatal(err)
	}
	b.e.SetAddrs([][]byte{{4, 10, 0, 0, 1}, {6, 0, 80}})
	b.settle()
	w.run(time.Second)
	m := a.e.Members(nil)[0]
	if string(m.Text) != "orders.>" || len(m.Addrs) != 2 || !bytes.Equal(m.Addrs[1], []byte{6, 0, 80}) {
		t.Errorf("member %+v", m)
	}
	b.e.Leave()
	b.settle()
	w.run(10 * time.Millisecond)
	if a.hears(b) {
		t.Error("it said that it leaves and is still a member")
	}
	if err := b.send("", carrier.News, frame(0, 10)); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Leave: %v", err)
	}
	var kinds []ChangeKind
	for _, c := range a.changes {
		kinds = append(kinds, c.Kind)
	}
	if !slices.Equal(kinds, []ChangeKind{Up, Changed, Down}) {
		t.Errorf("changes %v", kinds)
	}
}

// TestSilentMembersExpire checks that a dead member is noticed and that one that
// was only not heard is back with its first word.
func TestSilentMembersExpire(t *testing.T) {
	w := newWire(t, 20, 3)
	w.run(3 * time.Second)
	a, dead, deaf := w.nodes[0], w.nodes[1], w.nodes[2]
	dead.dead = true
	w.run(4 * time.Second)
	if !a.hears(dead) {
		t.Error("gone after 4 s of silence already")
	}
	w.run(4 * time.Second)
	if a.hears(dead) {
		t.Error("still there after 8 s of silence")
	}
	deaf.deaf = true
	w.run(10 * time.Second)
	if len(deaf.e.Members(nil)) != 0 || !a.hears(deaf) {
		t.Error("who hears nothing has members, or is not heard")
	}
	deaf.deaf = false
	if err := a.send("", carrier.News, frame(0, 100)); err != nil {
		t.Fatal(err)
	}
	w.run(5 * time.Millisecond)
	if err := deaf.checkFrames(testPeer(0), carrier.News, false, []int{100}); err != nil {
		t.Error(err)
	}
}

// TestRestartedMemberIsNew restarts a node that could not say farewell.
func TestRestartedMemberIsNew(t *testing.T) {
	w := newWire(t, 21, 2)
	w.run(2 * time.Second)
	a, old := w.nodes[0], w.nodes[1]
	old.dead = true
	again := w.add(func(c *Config) {
		c.Self, c.Sign = testPeer(1), testConfig(1, w.rng).Sign
	})
	w.run(time.Second)
	if len(a.e.Members(nil)) != 1 || len(a.changes) != 3 || a.changes[1].Kind != Down || a.changes[2].Kind != Up {
		t.Errorf("changes %+v", a.changes)
	}
	for i := range 3 {
		if err := a.send(testPeer(1), carrier.News, frame(i, 3000)); err != nil {
			t.Fatal(err)
		}
	}
	w.run(100 * time.Millisecond)
	if err := again.checkFrames(testPeer(0), carrier.News, true, []int{3000, 3000, 3000}); err != nil {
		t.Error(err)
	}
}

// TestTwoInterfacesOnOneWire checks that an engine hears of its sibling, and that
// one that turns passive is silent and goes on hearing it.
func TestTwoInterfacesOnOneWire(t *testing.T) {
	w := newWire(t, 22, 2)
	sibling := w.add(func(c *Config) { c.Self, c.Sign = testPeer(0), testConfig(0, w.rng).Sign })
	w.run(50 * time.Millisecond)
	heard := 0
	for _, n := range []*node{w.nodes[0], sibling} {
		if n.e.stats.Siblings != 0 {
			heard++
		}
	}
	if heard == 0 {
		t.Fatal("neither heard the other")
	}
	sibling.e.SetPassive(true)
	sibling.settle()
	w.run(3 * time.Second)
	var from []datagram.StreamID
	w.tap = func(n *node, _ []byte) {
		if n == sibling {
			from = append(from, n.e.cfg.Stream)
		}
	}
	before := sibling.e.stats.Siblings
	if err := sibling.send("", carrier.News, frame(0, 10)); !errors.Is(err, ErrPassive) {
		t.Errorf("Send of a passive engine: %v", err)
	}
	if err := w.nodes[1].send("", carrier.News, frame(0, 10)); err != nil {
		t.Error(err)
	}
	w.run(5 * time.Second)
	switch {
	case len(from) != 0:
		t.Errorf("a passive engine sent %d datagrams", len(from))
	case len(sibling.frames) != 0 || len(sibling.e.Members(nil)) != 0:
		t.Error("a passive engine handed on frames or has members")
	case sibling.e.stats.Siblings == before:
		t.Error("a passive engine does not hear its sibling")
	}
	if len(w.nodes[0].frames) != 1 {
		t.Error("the active one missed a frame")
	}
	sibling.e.SetPassive(false)
	sibling.settle()
	w.nodes[0].e.SetPassive(true)
	w.nodes[0].settle()
	w.run(3 * time.Second)
	if !sibling.hears(w.nodes[1]) || !w.nodes[1].hears(sibling) {
		t.Error("the passive one did not come back")
	}
}

// TestLateJoinerDoesNotAskForHistory has a node join in the middle, and another
// stop listening for 5 s: what the others pay for them is bounded.
func TestLateJoinerDoesNotAskForHistory(t *testing.T) {
	run := func(disturb func(w *segmentWire, i int)) (shards uint64, w *segmentWire) {
		w = newWire(t, 23, 0)
		for range 11 {
			w.add(func(c *Config) { c.Rates = Rates{Start: 20_000_000, Max: 20_000_000} })
		}
		w.loss = 0.05
		w.run(5 * time.Second)
		for i := range 600 {
			disturb(w, i)
			if err := w.nodes[0].send("", carrier.News, frame(i, 20_000)); err != nil {
				t.Fatal(err)
			}
			w.run(20 * time.Millisecond)
		}
		w.run(3 * time.Second)
		s := w.nodes[0].e.Stats()
		return s.Data + s.Parity + s.Repair, w
	}
	sizes := slices.Repeat([]int{20_000}, 600)
	alone, _ := run(func(*segmentWire, int) {})
	for name, disturb := range map[string]func(w *segmentWire, i int){
		"late joiner": func(w *segmentWire, i int) {
			if i == 300 {
				w.add(func(*Config) {})
			}
		},
		"stopped for 5 s": func(w *segmentWire, i int) { w.nodes[1].deaf = i >= 200 && i < 450 },
	} {
		if raceEnabled && name == "late joiner" {
			continue
		}
		shards, w := run(disturb)
		t.Logf("%s: %.3f times the datagrams, %d NACKs by it", name, float64(shards)/float64(alone),
			w.nodes[1].e.Stats().Nacks+w.nodes[len(w.nodes)-1].e.Stats().Nacks)
		if float64(shards) > 1.05*float64(alone) {
			t.Errorf("%s: %d shards, %d without", name, shards, alone)
		}
		for _, n := range w.nodes[2:11] {
			if err := n.checkFrames(testPeer(0), carrier.News, false, sizes); err != nil {
				t.Error(err)
			}
		}
		last := w.nodes[1]
		if len(w.nodes) == 12 {
			last = w.nodes[11]
		}
		if len(last.frames) < 200 || !bytes.Equal(last.frames[len(last.frames)-1].Bytes, frame(599, 20_000)) {
			t.Errorf("%s got %d frames, and not the last", name, len(last.frames))
		}
	}
}

// TestWhoIsNoLongerAdmittedGoesDown has a member sent off that goes on to send.
func TestWhoIsNoLongerAdmittedGoesDown(t *testing.T) {
	w := newWire(t, 57, 1)
	admitted := true
	n := w.add(func(c *Config) { c.Admit = func(wire.PeerID) bool { return admitted } })
	w.run(time.Second)
	if !n.hears(w.nodes[0]) {
		t.Fatal("it is no member at first")
	}
	admitted = false
	w.run(300 * time.Millisecond)
	frames := len(n.frames)
	for i := range 100 {
		if n.hears(w.nodes[0]) {
			t.Fatal("it is a member still")
		}
		if err := w.nodes[0].send("", carrier.News, frame(i, 100)); err != nil {
			t.Fatal(err)
		}
		w.run(20 * time.Millisecond)
	}
	if len(n.frames) != frames {
		t.Errorf("%d frames of it", len(n.frames)-frames)
	}
	admitted = true
	w.run(3 * time.Second)
	if !n.hears(w.nodes[0]) {
		t.Error("it is no member again")
	}
}

// TestIntervalsAreBounded has a member claim that it is long silent.
func TestIntervalsAreBounded(t *testing.T) {
	w := newWire(t, 58, 2)
	w.run(time.Second)
	n := w.nodes[1]
	e := n.e
	e.heardBeacon(e.streams[0], 1000, &datagram.Beacon{Interval: 600 * time.Second})
	if got := e.streams[0].interval; got != intervalMax {
		t.Errorf("its interval is taken to be %v, want %v", got, intervalMax)
	}
}

// TestTheFarewellIsNotHeldBack has a node leave that has sent all its rate allows.
func TestTheFarewellIsNotHeldBack(t *testing.T) {
	w := newWire(t, 59, 2)
	w.run(time.Second)
	n := w.nodes[0]
	for i := range 20 {
		if err := n.send("", carrier.News, frame(i, 50_000)); err != nil {
			t.Fatal(err)
		}
	}
	n.e.Leave()
	out := n.e.Take()
	if len(out.Datagrams) != 1 || out.Datagrams[0][3] != byte(datagram.TypeBye) {
		t.Errorf("%d datagrams, want the farewell", len(out.Datagrams))
	}
}

// TestChangesTellWhatCameBefore has a frame and the farewell behind it arrive before a Take.
func TestChangesTellWhatCameBefore(t *testing.T) {
	w := newWire(t, 61, 2)
	w.run(2 * time.Second)
	from, n := w.nodes[0], w.nodes[1]
	n.deaf = true
	r := w.record(from)
	if err := from.send("", carrier.News, frame(0, 100)); err != nil {
		t.Fatal(err)
	}
	w.run(10 * time.Millisecond)
	from.e.Leave()
	from.settle()
	for _, d := range r.datagrams {
		n.e.Receive(w.now, w.wall(n), from.from, d)
	}
	out := n.e.Take()
	if len(out.Frames) != 1 || len(out.Members) != 1 || out.Members[0].Kind != Down || out.Members[0].After != 1 {
		t.Errorf("%d frames, changes %+v", len(out.Frames), out.Members)
	}
}
