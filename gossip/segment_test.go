package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// lan returns nodes interested in x, all on one segment.
func lan(t *testing.T, seed uint64, count int, change func(*Config)) (*network, []*node) {
	n := newNetwork(t, seed)
	n.addSegment()
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = n.add(fmt.Sprintf("n%02d", i), cfg).interest("x")
	}
	n.segment.join(nodes...)
	return n, nodes
}

func TestWithoutAnyStreamASegmentBringsAll(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.2} {
		n, nodes := lan(t, 1, 5, nil)
		n.segment.loss = loss
		n.run(5 * time.Second)
		for _, x := range nodes {
			if s := x.segmentState(); !s.Active || s.Uncovered != 4 || s.Reason != SegmentUncovered {
				t.Errorf("loss %v: %s is %+v", loss, x.name, s)
			}
		}
		for i := range 100 {
			nodes[i%5].publish("x", 1)
			n.run(20 * time.Millisecond)
		}
		n.run(40 * time.Second) // with a fifth of the frames lost for good, which a carrier repairs, answers time out
		n.expect("x", 100, nodes...)
		for _, x := range nodes {
			head := x.core.Head("x", x.signer.Author())
			if held := x.core.HeldBy("x", x.signer.Author(), head); held != 4 && loss < 0.2 {
				// With more, members are taken for gone now and then, and so is what they acknowledged.
				t.Errorf("loss %v: %s knows of %d others who hold its events", loss, x.name, held)
			}
			s := x.core.Stats()
			if s.Demerits > 0 || s.Gaps > 0 || s.MembersUntold > 0 {
				t.Errorf("loss %v: %s: %+v", loss, x.name, s)
			}
		}
		t.Logf("loss %v: %d frames, %d bytes", loss, n.segment.frames, n.segment.bytes)
	}
}

func TestASegmentIsSilentWhileStreamsReachAll(t *testing.T) {
	n, nodes := lan(t, 2, 8, nil)
	n.connectAll(nodes...)
	for i := range 300 {
		nodes[i%8].publish("x", 1)
		n.run(100 * time.Millisecond)
	}
	n.expect("x", 300, nodes...)
	if n.segment.frames != 0 {
		t.Errorf("%d frames on the segment", n.segment.frames)
	}
	for _, x := range nodes {
		if s := x.segmentState(); s.Active || s.Members != 7 || s.Reason != SegmentIdle {
			t.Errorf("%s: %+v", x.name, s)
		}
	}
}

// The point 5: events published at the moment that unicast dies, before and after,
// reach all within 3 s; and afterwards all is back on streams.
func TestTheSegmentTakesOverWhenUnicastDies(t *testing.T) {
	for seed := range uint64(5) {
		n, nodes := lan(t, 10+seed, 6, nil)
		n.connectAll(nodes...)
		n.run(5 * time.Second)
		born := map[wire.Mark]Time{}
		var worst time.Duration
		for _, x := range nodes {
			x.onRead = func(h *wire.Header) {
				worst = max(worst, time.Duration(n.now-born[h.End()]))
			}
		}
		total := 0
		publish := func() {
			b := nodes[total%6].publish("x", 1)
			born[b.Header.End()] = n.now
			total++
		}
		for range 20 {
			publish()
			n.run(50 * time.Millisecond)
		}
		n.loseUnicast(4 * time.Second)
		for range 200 {
			publish()
			n.run(50 * time.Millisecond)
		}
		n.run(5 * time.Second)
		n.expect("x", total, nodes...)
		if worst > 3*time.Second {
			t.Errorf("seed %d: an event took %v", seed, worst)
		}
		n.silent = false
		n.connectAll(nodes...)
		worst = 0
		for range 100 {
			publish()
			n.run(500 * time.Millisecond)
		}
		n.run(5 * time.Second)
		n.expect("x", total, nodes...)
		frames := n.segment.frames
		for range 20 {
			publish()
			n.run(100 * time.Millisecond)
		}
		n.run(time.Second)
		n.expect("x", total, nodes...)
		for _, x := range nodes {
			if s := x.segmentState(); s.Active {
				t.Errorf("seed %d: %s is %+v", seed, x.name, s)
			}
			if s := x.core.Stats(); s.SegmentSwitches != 1 || s.Gaps+s.Late > 0 {
				t.Errorf("seed %d: %s: %+v", seed, x.name, s)
			}
		}
		if n.segment.frames != frames || worst > time.Second {
			t.Errorf("seed %d: after healing %d frames on the segment, an event took %v", seed, n.segment.frames-frames, worst)
		}
	}
}

// The point 7: who comes late, and who heard nothing for 5 s, complete by
// anti-entropy with members, and the others are not sent it all again.
func TestWhoMissedMuchCompletesOverASegment(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		n, nodes := lan(t, 30, 8, nil)
		n.segment.loss = loss
		n.run(3 * time.Second)
		for i := range 500 {
			nodes[i%8].publish("x", 1)
			n.run(10 * time.Millisecond)
		}
		n.run(20 * time.Second) // all of it is history now
		n.expect("x", 500, nodes...)
		nodes[7].crash() // who tells of its own no more
		nodes = nodes[:7]
		n.run(5 * time.Second)
		before, had := n.segment.bytes, twice(nodes)
		late := n.add("late", nodes[0].cfg).interest("x")
		n.segment.join(late)
		n.run(30 * time.Second)
		n.expect("x", 500, late)
		again := twice(nodes) - had
		t.Logf("loss %v: a late joiner cost %d bytes; %d batches came to others again", loss, n.segment.bytes-before, again)
		if again > 7*500/20 {
			t.Errorf("loss %v: others were sent %d batches again", loss, again)
		}
		opened := uint64(0)
		for _, x := range nodes {
			opened += x.core.Stats().MembersOpened
		}
		if loss == 0 && opened != 1 {
			t.Errorf("the late joiner and %d others greeted each other, want one", opened)
		}
		n.segment.deaf[nodes[3]] = true
		for i := range 100 {
			nodes[i%3].publish("x", 1)
			n.run(50 * time.Millisecond)
		}
		delete(n.segment.deaf, nodes[3])
		n.run(30 * time.Second)
		n.expect("x", 600, append(nodes, late)...)
		for _, x := range append(nodes, late) {
			if s := x.core.Stats(); s.Gaps+s.Demerits > 0 {
				t.Errorf("loss %v: %s: %+v", loss, x.name, s)
			}
		}
	}
}

// The point 5: a link that flaps does not make the segment come and go.
func TestASegmentDoesNotThrash(t *testing.T) {
	n, nodes := lan(t, 40, 5, nil)
	n.connectAll(nodes...)
	n.run(5 * time.Second)
	var changes []Time
	was, total := false, 0
	for i := range 240 {
		switch i % 4 {
		case 0:
			for _, x := range nodes[1:] {
				n.cut(nodes[0], x)
			}
		case 2:
			n.connectAll(nodes...)
		}
		nodes[i%5].publish("x", 1)
		total++
		n.run(250 * time.Millisecond)
		if s := nodes[0].segmentState(); s.Active != was {
			was = s.Active
			changes = append(changes, n.now)
		}
	}
	n.connectAll(nodes...)
	n.run(2 * time.Minute)
	n.expect("x", total, nodes...)
	for i := 1; i < len(changes); i++ {
		if d := time.Duration(changes[i] - changes[i-1]); d < 30*time.Second {
			t.Errorf("two changes within %v", d)
		}
	}
	if nodes[0].segmentState().Active {
		t.Errorf("%+v", nodes[0].segmentState())
	}
}

// Sensors only publish, a reader only reads: none has a stream.
func TestSensorsAndAReader(t *testing.T) {
	n := newNetwork(t, 50)
	n.addSegment()
	n.segment.loss = 0.05
	reader := n.add("reader", testConfig()).interest("sensors.>")
	all := []*node{reader}
	for i := range 20 {
		all = append(all, n.add(fmt.Sprintf("s%02d", i), testConfig()))
	}
	n.segment.join(all...)
	n.run(3 * time.Second)
	for range 20 {
		for i, x := range all[1:] {
			x.publish(fmt.Sprintf("sensors.s%02d", i), 1)
		}
		n.run(500 * time.Millisecond)
	}
	n.segment.deaf[reader] = true
	for i, x := range all[1:] {
		x.publish(fmt.Sprintf("sensors.s%02d", i), 1)
	}
	n.run(5 * time.Second)
	delete(n.segment.deaf, reader)
	n.run(40 * time.Second)
	for i, x := range all[1:] {
		topic := fmt.Sprintf("sensors.s%02d", i)
		n.expect(topic, 21, reader)
		if held := x.core.HeldBy(topic, x.signer.Author(), x.core.Head(topic, x.signer.Author())); held != 1 {
			t.Errorf("%s knows of %d who hold its events", x.name, held)
		}
		if s := x.core.Stats(); s.SegmentAccepted > 0 || s.Demerits > 0 {
			t.Errorf("%s: %+v", x.name, s)
		}
	}
	if s := reader.segmentState(); s.Active {
		t.Errorf("the reader, of whom nobody wants anything: %+v", s)
	}
}

func TestMulticastOffSendsNothing(t *testing.T) {
	n, nodes := lan(t, 62, 3, func(c *Config) { c.Multicast = MulticastOff })
	for i := range 30 {
		nodes[i%3].publish("x", 1)
		n.run(time.Second)
	}
	if n.segment.frames > 0 || nodes[0].segmentState().Reason != SegmentOff {
		t.Errorf("%d frames, %+v", n.segment.frames, nodes[0].segmentState())
	}
	other := n.add("other", testConfig()).interest("x")
	n.segment.join(other)
	n.run(5 * time.Second)
	other.publish("x", 1)
	n.run(5 * time.Second)
	n.expect("x", 11, nodes...)
	for _, x := range nodes {
		if n.segment.sentBy[x] > 0 {
			t.Errorf("%s answers with %d frames", x.name, n.segment.sentBy[x])
		}
	}
}

// What a segment brought says nothing about trees: they are as they were when it is no
// longer used.
func TestTreesOutliveASegmentsUse(t *testing.T) {
	n, nodes := lan(t, 65, 3, nil)
	a, b := nodes[0], nodes[1]
	n.connect(a, b)
	n.run(5 * time.Second)
	for range 20 {
		a.publish("x", 1)
		n.run(300 * time.Millisecond)
	}
	n.expect("x", 20, nodes...)
	s := b.core.Stats()
	if s.SegmentAccepted < 15 || s.Prunes+s.Grafts > 0 || s.Repaired > 0 {
		t.Errorf("%+v", s)
	}
	if l := b.core.topics["x"].authors[a.signer.Author()].linkOf(b.core.peers[a.id]); l == nil || !l.parent || l.lazy {
		t.Errorf("the author's tree at its neighbour: %+v", l)
	}
}

// Once in use a segment stays so for 30 s, and longer if it comes and goes.
func TestASegmentIsUsedForAWhile(t *testing.T) {
	n, nodes := lan(t, 67, 2, nil)
	a, b := nodes[0], nodes[1]
	n.connect(a, b)
	n.run(5 * time.Second)
	for i, want := range []time.Duration{30, 30, 30, 60, 120} {
		n.cut(a, b)
		n.run(3 * time.Second) // longer than alonePatience
		n.connect(a, b)
		began := n.now
		for a.segmentState().Active {
			n.run(time.Second)
		}
		took := time.Duration(n.now-began) + time.Second
		if want *= time.Second; took < want-2*time.Second || took > want+2*time.Second {
			t.Errorf("time %d: it was used for %v, want %v", i, took, want)
		}
	}
}

// With more topics than a presence names, those that differ and those that one of two does
// not know are found all the same, one after the other.
func TestManyTopicsAreComparedInTurn(t *testing.T) {
	for _, c := range []struct {
		name           string
		shared, topics int
		deaf           func(*wire.Batch) bool // to what b does not get over streams
	}{
		{"of which one holds none", 0, 40, nil},
		{"of which one does not know some", 30, 40, nil},
		{"of which one differs", 40, 40, func(b *wire.Batch) bool {
			return b.Header.Topic == "t.0" && b.Header.Prev.Seq > 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) { manyTopics(t, c.shared, c.topics, c.deaf) })
	}
}

func manyTopics(t *testing.T, shared, topics int, deaf func(*wire.Batch) bool) {
	n := newNetwork(t, 64)
	n.addSegment()
	a, b := n.add("a", testConfig()).interest("t.*"), n.add("b", testConfig()).interest("t.*")
	author := n.add("author", testConfig())
	b.deaf = deaf
	want := map[string]int{}
	publish := func(from, upto int) {
		for i := from; i < upto; i++ {
			topic := fmt.Sprintf("t.%d", i)
			author.publish(topic, 1)
			want[topic]++
			n.run(10 * time.Millisecond)
		}
	}
	n.connect(a, author)
	if shared > 0 {
		n.connect(b, author)
		publish(0, shared)
	}
	if deaf != nil {
		publish(0, shared) // the first is the oldest of the second round
	}
	n.run(time.Second)
	n.cut(b, author)
	publish(shared, topics)
	n.run(time.Minute)
	author.crash()
	b.deaf = nil
	n.segment.join(a, b)
	n.run(2 * time.Minute)
	for topic, events := range want {
		n.expect(topic, events, b)
	}
	if got := len(wire.AppendMessage(nil, a.presence)); got > wire.PresenceMaxBytes || !a.presence.Any {
		t.Errorf("a presence of %d bytes: %+v", got, a.presence)
	}
}
