package gossip

import (
	"runtime"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// stranger returns a node with an interest in x, and a peer of which nothing is
// heard but what the test has it say.
func stranger(t *testing.T, seed uint64, cfg Config) (n *network, a, m *node) {
	n = newNetwork(t, seed)
	a, m = n.add("a", cfg).interest("x"), n.add("m", cfg)
	m.puppet = func(*node, wire.Message) {}
	n.connect(a, m)
	n.run(time.Second)
	m.mute = true
	a.core.Receive(m.id, &wire.Hello{Mine: 1, Yours: a.core.peers[m.id].mine})
	return n, a, m
}

// push has a peer that the test speaks for push its next batch on the topic.
func (x *node) push(to *node, topic string) *wire.Batch {
	b := x.seal(topic, 1, x.seqs[topic])
	x.seqs[topic] = wire.Prev{Mark: b.Header.End(), Time: b.Header.Time}
	to.pending[b.ID] = b
	to.core.Receive(x.id, &wire.Push{Batch: b})
	to.step()
	x.net.run(2 * x.net.storing)
	return b
}

func ownTopics(names ...string) *wire.Topics {
	m := &wire.Topics{}
	for _, name := range names {
		m.Add = append(m.Add, wire.TopicEntry{Name: name, Scope: wire.ScopeOwn})
	}
	return m
}

// An author that leaves the topic while it is to be told its head, and then begins
// its connection anew, had numbers looked up that were forgotten.
func TestAnAuthorThatLeavesIsNotToldItsHead(t *testing.T) {
	n, a, m := stranger(t, 70, testConfig())
	a.core.Receive(m.id, ownTopics("x"))
	for range 2 * calmAfter {
		m.push(a, "x")
	}
	n.run(time.Second)
	m.push(a, "x")
	if len(a.core.acks) == 0 {
		t.Fatal("no author is to be told")
	}
	a.core.Receive(m.id, &wire.Topics{Remove: []string{"x"}})
	n.tap = func(_, y *node, msg wire.Message) {
		switch msg.(type) {
		case *wire.Have, *wire.Advance:
			if y == m {
				t.Errorf("it is told %+v", msg)
			}
		}
	}
	n.run(time.Second)
	n.tap = nil
	a.core.Receive(m.id, &wire.Hello{Mine: 2, Yours: a.core.peers[m.id].mine})
	a.core.Receive(m.id, ownTopics("x"))
	for range 2 * calmAfter {
		m.push(a, "x")
	}
	n.run(time.Second)
	if got := a.events("x"); got != 4*calmAfter+1 {
		t.Errorf("a reads %d events", got)
	}
}

// What an author's batches and a peer have to do with each other is forgotten
// with the connection, also if the peer never had to do with the topic.
func TestPeersThatPushWhatIsNoTopicOfTheirsLeaveNothingBehind(t *testing.T) {
	n := newNetwork(t, 71)
	a := n.add("a", testConfig()).interest("x")
	for i := range 20 {
		m := n.add(string(rune('A'+i)), testConfig())
		m.puppet = func(*node, wire.Message) {}
		n.connect(a, m)
		b := m.seal("x", 1, wire.Prev{})
		for _, to := range []*node{m, n.nodes[1]} { // as itself, and under another's name
			a.pending[b.ID] = b
			a.core.Receive(to.id, &wire.Push{Batch: b})
		}
		a.step()
		n.run(time.Second)
		n.cut(a, m)
	}
	links := 0
	for _, x := range a.core.topics["x"].authorList {
		links += len(x.links)
	}
	if got := a.events("x"); got != 20 || links != 0 {
		t.Errorf("%d batches are taken, and %d links remembered of peers that are down", got, links)
	}
}

// Numbers are given one after another. One that came with a head of no use here was
// not noted, and then none that came after it on the connection.
func TestNumbersOfHeadsThatAreOfNoUseAreNoted(t *testing.T) {
	full := testConfig()
	full.AuthorsMax = 1
	for name, x := range map[string]struct {
		cfg  Config
		junk func(a, m *node) // tells heads 1 to 8 that a takes no note of
	}{
		"a topic that is not known": {testConfig(), func(a, m *node) {
			a.core.Receive(m.id, junkHeads("y"))
		}},
		"a topic that the peer has nothing to do with": {testConfig(), func(a, m *node) {
			a.core.Announce("y")
			a.core.Receive(m.id, junkHeads("y"))
		}},
		"an interest that was lost": {testConfig(), func(a, m *node) {
			a.interest("y")
			a.core.Receive(m.id, ownTopics("y"))
			a.core.RemoveInterest("y")
			a.core.Receive(m.id, junkHeads("y"))
		}},
		"more authors than may be known": {full, func(a, m *node) {
			a.core.Receive(m.id, junkHeads("x"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, a, m := stranger(t, 72, x.cfg)
			a.core.Receive(m.id, ownTopics("x"))
			x.junk(a, m)
			h := wire.Head{Author: m.signer.Author(), Head: wire.Mark{Epoch: 7, Seq: 1}, Number: 9}
			a.core.Receive(m.id, &wire.Have{Topic: "x", Heads: []wire.Head{h}})
			a.core.Receive(m.id, &wire.Advance{Heads: []wire.AdvancedHead{{Number: 9, Seq: 5}}})
			if got, want := a.core.Lag("x"), uint64(5); got != want {
				t.Errorf("a lacks %d events, as far as it knows, want %d; %d heads unknown",
					got, want, a.core.Stats().HeadsUnknown)
			}
		})
	}
}

func junkHeads(topic string) *wire.Have {
	m := &wire.Have{Topic: topic}
	for i := range 8 {
		m.Heads = append(m.Heads, wire.Head{
			Author: wire.Author{9, byte(i)}, Head: wire.Mark{Epoch: 1, Seq: 1}, Number: uint32(i + 1),
		})
	}
	return m
}

// A peer names as many authors as there are numbers, and takes its word back. Nothing of
// what it made us know may be kept by the numbers.
func TestNumbersKeepNoAuthors(t *testing.T) {
	_, a, m := stranger(t, 73, testConfig())
	a.core.Receive(m.id, &wire.Topics{Add: []wire.TopicEntry{{Name: "x", Scope: wire.ScopeFull}}})
	a.core.Receive(m.id, junkHeads("x"))
	gone := make(chan struct{})
	runtime.SetFinalizer(a.core.topics["x"].authors[wire.Author{9, 0}], func(*author) { close(gone) })
	a.core.Receive(m.id, &wire.Topics{Remove: []string{"x"}})
	if got := a.core.Stats().Authors; got != 0 {
		t.Fatalf("%d authors are known", got)
	}
	a.core.timers = timerHeap{} // they end by themselves
	for range 10 {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	runtime.KeepAlive(a)
	t.Error("an author that nobody knows is kept")
}
