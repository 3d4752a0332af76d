package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Who is pushed an author's batches one after another needs no word of them.
func TestAPushSaysItselfThatItsSenderHoldsTheBatch(t *testing.T) {
	n := newNetwork(t, 80)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	a.publish("x", 1)
	n.run(time.Second)
	n.tap = func(x, _ *node, m wire.Message) {
		switch m.(type) {
		case *wire.Have, *wire.Advance:
			if x == a {
				t.Errorf("beside its pushes, the author says %+v", m)
			}
		}
	}
	for range 10 {
		a.publish("x", 1)
		n.run(50 * time.Millisecond)
	}
	n.run(time.Second)
	n.expect("x", 11, b)
	if got := a.core.HeldBy("x", a.signer.Author(), a.core.Head("x", a.signer.Author())); got != 1 {
		t.Errorf("the author knows of %d who hold all", got)
	}
}

// Numbers are used again when there are no more. A head under one's old meaning must
// not be overtaken by its new one, which goes in another message.
func TestANumberThatIsTakenStandsForItsOldAuthorInWhatWentBefore(t *testing.T) {
	n := newNetwork(t, 82)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	authors := make([]*node, 3)
	for i := range authors {
		authors[i] = n.add(fmt.Sprint("p", i), testConfig()).interest("x")
	}
	head := func(i int, seq uint64) *author {
		x := a.core.authorOf(a.core.topics["x"], authors[i].signer.Author())
		x.held = wire.Mark{Epoch: 1, Seq: seq}
		return x
	}
	to := a.core.peers[b.id]
	a.core.Take()
	a.core.tellHead(head(0, 9), to) // number 1
	a.core.endHaves()
	to.numbers.next = wire.NumbersMax - 1
	to.numbers.owners = append(to.numbers.owners, make([]*author, wire.NumbersMax-1)...)
	a.core.tellHead(head(1, 1), to) // the last number, in a Have
	a.core.tellHead(head(0, 20), to)
	a.core.tellHead(head(2, 1), to) // number 1
	a.core.endHaves()
	told := b.core.peers[a.id]
	told.numbered = make([]numbered, wire.NumbersMax)
	for _, s := range a.core.Take().Send {
		if s.To == b.id && s.Msg != nil {
			b.core.Receive(a.id, s.Msg)
		}
	}
	for i, want := range []uint64{20, 1, 1} {
		x := b.core.topics["x"].authors[authors[i].signer.Author()]
		if x == nil || x.claimed().Seq != want {
			t.Errorf("of author %d, b is told %+v, want %d", i, x, want)
		}
	}
}
