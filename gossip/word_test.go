package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// treeOf returns a ring of nodes with chords, 4 links each, over whose tree the first publishes.
func treeOf(t *testing.T, size int) (*network, []*node) {
	n := newNetwork(t, 80)
	n.latency = 50 * time.Millisecond
	nodes := make([]*node, size)
	for i := range nodes {
		nodes[i] = n.add(fmt.Sprint("n", i), testConfig()).interest("x")
	}
	for i, x := range nodes {
		n.connect(x, nodes[(i+1)%size])
		n.connect(x, nodes[(i+4)%size])
	}
	n.run(time.Second)
	for range 20 {
		nodes[0].publish("x", 1)
		n.run(500 * time.Millisecond)
	}
	return n, nodes
}

func controlBytes(nodes []*node) (sum int) {
	for _, x := range nodes {
		for _, kind := range []string{"*wire.Have", "*wire.Advance"} {
			sum += x.sentBytes[kind]
		}
	}
	return sum
}

func TestWordOfACalmAuthorIsShort(t *testing.T) {
	n, nodes := treeOf(t, 16)
	before, events := controlBytes(nodes), 40
	for range events {
		nodes[0].publish("x", 1)
		n.run(500 * time.Millisecond)
	}
	n.expect("x", 20+events, nodes...)
	// Half of 4 links each are lazy, and one side of each tells.
	if each := float64(controlBytes(nodes)-before) / float64(events*(len(nodes)-1)); each > 25 {
		t.Errorf("%.0f bytes of word a node and event, want at most 25", each)
	}
	if n.sent["*wire.Want"] > 40 {
		t.Errorf("%d wants: the tree is not at rest", n.sent["*wire.Want"])
	}
}

// An author that is a neighbour knows within HaveDelay and a way there and back who holds its events,
// however calm its tree is.
func TestAnAuthorIsToldSoonWhoHoldsItsEvents(t *testing.T) {
	n, nodes := treeOf(t, 16)
	b := nodes[0].publish("x", 1)
	n.run(2*n.latency + testConfig().HaveDelay + 10*time.Millisecond)
	if got := nodes[0].core.HeldBy("x", b.Header.Author, b.Header.End()); got != len(nodes[0].links) {
		t.Errorf("%d nodes are known to hold the event, want all %d neighbours", got, len(nodes[0].links))
	}
}

// A node whose parent falls silent hears of what it misses from others.
func TestWhatASilentParentKeepsBackIsHeardOf(t *testing.T) {
	n, nodes := treeOf(t, 16)
	var silent *node
	for _, tp := range nodes[8].core.topics["x"].peers {
		if l := nodes[8].core.topics["x"].authors[nodes[0].signer.Author()].linkOf(tp.peer); l != nil && l.parent {
			silent = n.byID[tp.peer.id][0]
		}
	}
	if silent == nil {
		t.Fatal("the node has no parent")
	}
	silent.mute = true
	b := nodes[0].publish("x", 1)
	n.run(300*time.Millisecond + calmFactor*testConfig().HaveDelay + testConfig().GraftDelay + 3*n.latency)
	for _, x := range nodes {
		if x != silent && x.core.Head("x", b.Header.Author) != b.Header.End() {
			t.Errorf("%s lacks the event", x.name)
		}
	}
}

func TestNumbersAreGivenAnew(t *testing.T) {
	var s numbers
	authors := make([]author, wire.NumbersMax+1)
	given := make([]number, len(authors))
	for i := range authors {
		authors[i].held = wire.Mark{Epoch: 7, Seq: 1}
		given[i], _ = s.give(&authors[i], number{})
	}
	if given[0].n != 1 || given[wire.NumbersMax-1].n != wire.NumbersMax || given[wire.NumbersMax].n != 1 {
		t.Fatalf("numbers %d, %d, %d", given[0].n, given[wire.NumbersMax-1].n, given[wire.NumbersMax].n)
	}
	if s.stands(&authors[0], given[0]) || !s.stands(&authors[1], given[1]) {
		t.Error("a number stands for the author that it was taken from, or not for its own")
	}
	authors[1].held.Epoch++
	if s.stands(&authors[1], given[1]) {
		t.Error("a number stands for another epoch")
	}
	if again, taken := s.give(&authors[1], given[1]); taken || again.n != given[1].n || !s.stands(&authors[1], again) {
		t.Errorf("the author that has a number gets another, %d", again.n)
	}
}

func TestWordOfACalmAuthorWaits(t *testing.T) {
	n, nodes := treeOf(t, 16)
	before := n.sent["*wire.Advance"] + n.sent["*wire.Have"]
	nodes[0].publish("x", 1)
	n.run(2*n.latency + 2*testConfig().HaveDelay) // it is two hops away, and word could be
	if got := n.sent["*wire.Advance"] + n.sent["*wire.Have"] - before; got > len(nodes[0].links) {
		t.Errorf("%d messages of word, want only those of the author's %d neighbours", got, len(nodes[0].links))
	}
}

// A peer to which a push was dropped, and which has the batch from another who told it
// of that first, neither asks for it nor says that it holds it.
func TestAPeerThatNeedsNotAskIsPushedToAgain(t *testing.T) {
	n := newNetwork(t, 83)
	cfg := testConfig()
	a, b := n.add("a", cfg).interest("x"), n.add("b", cfg).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	a.publish("x", 1)
	n.run(time.Second)
	b.mute = true
	lost := a.publish("x", 1)
	a.core.SendFailed(b.id, News, []wire.BatchID{lost.ID})
	before := n.batches
	a.publish("x", 1)
	n.run(cfg.WantTimeout + time.Second)
	if n.batches != before {
		t.Error("a peer that has to ask is pushed to")
	}
	a.publish("x", 1)
	if n.batches != before+1 {
		t.Error("a peer that did not ask for long is not pushed to again")
	}
}
