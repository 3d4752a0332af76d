package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// What is new of an author that is new goes along the topic's tree: few get it twice or must ask.
func TestANewAuthorsBatchGoesAlongTheTopicsTree(t *testing.T) {
	n, nodes := treeOf(t, 24)
	batches, wants := n.batches, n.sent["*wire.Want"]
	for _, x := range nodes[1:] {
		x.publish("x", 1)
		n.run(2 * time.Second)
	}
	n.expect("x", 20+len(nodes)-1, nodes...)
	least := (len(nodes) - 1) * (len(nodes) - 1)
	// The author's flood of 4 links costs up to 6 of 23: at its other links, and where its waves meet.
	if got := float64(n.batches-batches) / float64(least); got > 1.4 {
		t.Errorf("%.2f copies of a new author's first batch, want at most 1.4", got)
	}
	if got := float64(n.sent["*wire.Want"]-wants) / float64(least); got > 0.25 {
		t.Errorf("%.2f wants a node, want at most 0.25", got)
	}
}

// shapeRig returns a core with an author of two batches on a topic, and two neighbours: one that pushes the
// author's batches, and one that may have had word of them before.
func shapeRig(t *testing.T) (c *Core, a *author, pusher, teller *peer) {
	t.Helper()
	c, err := New(wire.Author{1}, testConfig(), 1, Time(time.Minute), testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	c.AddInterest("x")
	for i := range byte(2) {
		id := wire.Author{2, i}.PeerID()
		c.PeerUp(id, PeerInfo{})
		c.Receive(id, &wire.Interest{Add: []string{"x"}})
	}
	c.Take()
	a = c.authorOf(c.topics["x"], wire.Author{3})
	a.taken = 2
	pusher, teller = c.peerList[0], c.peerList[1]
	c.linkTo(a, pusher).parent = true
	a.setLazy(c.linkTo(a, teller), true)
	return c, a, pusher, teller
}

// said returns what was said since the last Take: to 0, who pushes, and to 1, who tells.
func said(c *Core) (list []string) {
	for _, s := range c.Take().Send {
		i, _ := c.findPeer(s.To)
		list = append(list, fmt.Sprintf("%T to %d", s.Msg, i))
	}
	return list
}

// A node moves to who had word sooner than the batch came, and leaves who pushed it, if
// that is worth it.
func TestShapeMovesToEarlierWord(t *testing.T) {
	graft, prune := "*wire.Graft to 1", "*wire.Prune to 0"
	delay := testConfig().GraftDelay
	for name, x := range map[string]struct {
		taken  uint8
		ago    time.Duration // since word came
		after  time.Duration // the batch before it was published
		behind bool          // the word is of an older batch
		own    bool          // the word is the pusher's
		none   bool          // nobody had word
		want   []string
	}{
		"seldom":                    {taken: 2, ago: 1, after: time.Hour, want: []string{graft, prune}},
		"one after the other":       {taken: 2, ago: 1, after: delay, want: []string{graft}},
		"just not so":               {taken: 2, ago: 1, after: delay + 1, want: []string{graft, prune}},
		"the first, hardly sooner":  {taken: 1, ago: delay/freshGain - 1, after: time.Hour},
		"the first, much sooner":    {taken: 1, ago: delay / freshGain, after: time.Hour, want: []string{graft, prune}},
		"word of an older batch":    {taken: 2, ago: 1, after: time.Hour, behind: true},
		"word of the pusher itself": {taken: 2, ago: 1, after: time.Hour, own: true},
		"no word":                   {taken: 2, after: time.Hour, none: true},
	} {
		c, a, pusher, teller := shapeRig(t)
		e := &entry{author: a, start: wire.Mark{Epoch: 1, Seq: 2}, count: 1, time: testEpoch}
		e.prev = wire.Prev{Mark: wire.Mark{Epoch: 1, Seq: 1}, Time: e.time.Add(-x.after)}
		a.taken = x.taken
		a.early = early{teller, e.end(), c.now.Add(-x.ago)}
		switch {
		case x.behind:
			a.early.upto = e.prev.Mark
		case x.own:
			a.early.peer = pusher
		case x.none:
			a.early = early{}
		}
		tree{c}.shape(e, pusher)
		if got := said(c); !slices.Equal(got, x.want) {
			t.Errorf("%s: said %v, want %v", name, got, x.want)
		}
		grafted, pruned := slices.Contains(x.want, graft), slices.Contains(x.want, prune)
		if to, from := a.linkOf(teller), a.linkOf(pusher); to.lazy == grafted || from.lazy != pruned ||
			from.parent == pruned || from.pruned != pruned {
			t.Errorf("%s: the links are %+v and %+v", name, *from, *to)
		}
		if a.early.peer != nil {
			t.Errorf("%s: the word counts for the next batch still", name)
		}
	}
}

// Of several who have word the first counts, and none once the tree is as it stays.
func TestTheFirstWordIsNoted(t *testing.T) {
	c, a, pusher, teller := shapeRig(t)
	c.noteEarly(a, c.linkTo(a, teller))
	c.noteEarly(a, c.linkTo(a, pusher))
	if a.early.peer != teller || a.early.at != c.now {
		t.Errorf("noted %+v, want the first", a.early)
	}
	a.early = early{}
	for range shapedAfter + 1 {
		a.take()
	}
	if c.noteEarly(a, c.linkTo(a, teller)); a.early.peer != nil || a.taken != shapedAfter {
		t.Errorf("after %d batches %+v is noted", a.taken, a.early)
	}
}

// While nothing is known of an author, the topic's tree says who pushes its batches.
func TestWhoIsToPushANewAuthorsBatches(t *testing.T) {
	c, a, pusher, teller := shapeRig(t)
	a.links = nil
	for _, tp := range a.topic.peers {
		tp.linkIn, tp.lazy = true, tp.peer == teller
	}
	if !a.pushedByOther(teller) || a.pushedByOther(pusher) {
		t.Error("want the one whose flag of the topic's tree is eager")
	}
	a.setLazy(c.linkTo(a, pusher), true)
	if a.pushedByOther(teller) {
		t.Error("want nobody: the author's own tree is lazy there")
	}
}
