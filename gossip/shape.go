package gossip

import (
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Where many publish seldom, most of the batches are of authors that have no tree yet. Each topic
// has a tree for them, its topicPeers' flags: an author's first batch goes along
// that, repairs it as it would its own, and its second goes along a copy that is the
// author's own from then on. The topic's tree is as good from any node to all, so a way
// along it may be twice as long as need be. An author that goes on publishing gets
// a better one: who has word of a batch before the batch itself has found a shorter way, and moves
// there in the tree. It loses no batch by that and gets none twice.
//
// Counterexamples: 1. The newest flag of any author, as the topic's, is of many trees at once: with 1,000
// authors a first batch came 2.4 times, and a fifth of the nodes had to ask for it. 2. With
// word of a first batch answered by a want at once, nearly each shorter way
// brought the batch a second time. 3. With a Graft alone, without the Prune, the
// next batch came over both ways.

const (
	// shapedAfter is the number of batches after which an author's tree stays as it is, but for repairs.
	shapedAfter = 4

	// freshHaste is the part of GraftDelay that a push along the topic's tree is waited for: it breaks more often.
	freshHaste = 3

	// freshGain is the part of GraftDelay by which word must be earlier than a push for the topic's
	// tree to change. Of an author's first batch nobody can tell whether the next is close behind.
	freshGain = 5
)

// early is who first had word of a batch that a push is awaited of.
type early struct {
	peer *peer // nil: nobody
	upto wire.Mark
	at   Time
}

// take counts a batch of the author's that came or was published.
func (a *author) take() { a.taken = min(a.taken+1, shapedAfter) }

// unheard reports whether no batch of the author's has come yet.
func (a *author) unheard() bool { return a.taken == 0 && len(a.batches) == 0 }

// fresh reports whether the author spreads along the topic's tree still.
func (a *author) fresh() bool { return a.taken <= 1 && len(a.batches) <= 1 }

// justMet reports whether the peer's word may be of what it held before the topic
// turned out to be common.
func (c *Core) justMet(t *topic, p *peer) bool {
	tp := t.topicPeerOf(p)
	return tp == nil || c.now < tp.met.Add(c.cfg.GraftDelay)
}

// pushedByOther reports whether a neighbour other than the peer is to push the author's batches.
func (a *author) pushedByOther(p *peer) bool {
	for _, tp := range a.topic.peers {
		if tp.peer == p || !tp.neighbour() {
			continue
		}
		if l := a.linkOf(tp.peer); l != nil && l.pushes() || l == nil && !tp.lazy {
			return true
		}
	}
	return false
}

// noteEarly notes that the link's peer has word of a batch that a push is awaited of.
func (c *Core) noteEarly(a *author, l *link) {
	if a.early.peer == nil && a.taken < shapedAfter && a.topic.monger == nil && !l.peer.member() {
		a.early = early{l.peer, l.head, c.now}
	}
}

// shape moves this node to where word of the batch came from before p pushed it. Of
// an author whose batches follow one another fast, p pushes on until it brings a duplicate:
// others may be on their way, and the new parent has passed them on already.
func (s tree) shape(e *entry, p *peer) {
	c, a := s.c, e.author
	w := a.early
	a.early = early{}
	if w.peer == nil || w.peer == p || w.upto.Compare(e.end()) < 0 || p.member() {
		return
	}
	if a.fresh() && c.now < w.at.Add(c.cfg.GraftDelay/freshGain) {
		return
	}
	l := c.linkTo(a, w.peer)
	a.setLazy(l, false)
	l.pruned, l.young = false, false
	c.stats.Grafts++
	c.send(w.peer, News, &wire.Graft{Topic: a.topic.name, Author: a.key})
	if time.Duration(e.time-e.prev.Time) <= c.cfg.GraftDelay {
		return
	}
	l = c.linkTo(a, p)
	a.setLazy(l, true)
	l.parent, l.pruned = false, true
	c.stats.Prunes++
	c.send(p, News, &wire.Prune{Topic: a.topic.name, Author: a.key})
}
