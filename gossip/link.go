package gossip

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// link is what one author's batches and one peer have to do with each other:
// the edge of the author's tree, and what the peer said it holds.
type link struct {
	peer *peer

	lazy      bool // the peer gets word of the author's batches, not the batches
	parent    bool // the peer was first to push the newest batch to us
	pruned    bool // we asked it to be lazy
	young     bool // it was lazy from the beginning, at both ends, and no Graft came between
	suspended bool // a push to it was dropped: it must ask before we push again
	waiting   Time // if suspended: since when it did not ask

	base, head wire.Mark // the peer says it holds what comes after base, up to head
	beyond     wire.Mark // of our own events: it says it holds some that we do not know of
	told       wire.Mark // the head that we told it last
	refilled   int       // the author itself: how often it was asked in vain for what was given up here
	number     number    // under which we tell it
	struck     Time      // until then it is not asked: it did not serve what it claims
	strikes    int       // how often in a row
	owned      *ownLink  // of our own events, while there are segments; else nil
	vain       bool      // if struck: it claimed nothing of that, and was asked for want of anybody better
}

// claim returns the furthest that the peer says it holds.
func (l *link) claim() wire.Mark {
	if l.beyond.Compare(l.head) > 0 {
		return l.beyond
	}
	return l.head
}

// dry reports whether the peer does not push the author's batches to us, as
// far as we know.
func (l *link) dry() bool { return l.pruned || l.young }

// pushes reports whether the peer pushes the author's batches to us, as far as we know.
func (l *link) pushes() bool { return l.parent || !l.lazy && !l.dry() }

// linkOf returns the author's link to the peer, or nil.
func (a *author) linkOf(p *peer) *link {
	for i := range a.links {
		if a.links[i].peer == p {
			return &a.links[i]
		}
	}
	return nil
}

// youngLink returns the author's link to a peer that was met after the author,
// or that we have but word from. If it is made now, it is lazy: the author has
// a tree already, and whoever is not in it asks (Graft). Were it eager, each
// author's next batch would come over each new link of a network that was cut
// in two. Only authors themselves push to whom they meet. Word of an author that
// is new, from a peer that is not, is of a batch that spreads by the topic's tree.
func (c *Core) youngLink(a *author, p *peer) *link {
	if l := a.linkOf(p); l != nil {
		return l
	}
	l := c.linkTo(a, p)
	if a.unheard() && !c.justMet(a.topic, p) {
		return l
	}
	its := p.hasAuthor && p.author == a.key
	if l.young = a.key != c.self && !its && !p.member(); l.young {
		l.lazy = true
		a.urgent = c.now.Add(calmWait)
	}
	return l
}

// linkTo returns the author's link to the peer, made if need be. The pointer
// is valid until the next call for the same author. A link is remembered for as long as
// the peer has to do with the topic: whoever has not, or has no more, gets one
// that nobody keeps, for nothing would end it.
func (c *Core) linkTo(a *author, p *peer) *link {
	if l := a.linkOf(p); l != nil {
		c.links.touch(a)
		return l
	}
	l := link{peer: p}
	tp := a.topic.topicPeerOf(p)
	if tp == nil {
		return &l
	}
	if a.key != c.self {
		// An author that is not remembered starts from the flag of the topic's tree;
		// our own first batch floods.
		l.lazy = tp.lazy
	}
	if a.links == nil { // it is about to spread, and then there is one for each neighbour
		a.links = make([]link, 0, min(len(a.topic.peers), c.cfg.Degree))
	}
	a.links = append(a.links, l)
	if forgotten := c.links.remember(a); forgotten {
		c.stats.AuthorsForgotten++
	}
	return &a.links[len(a.links)-1]
}

// setLazy sets the link's flag, and that of the topic's tree while the author spreads by it.
func (a *author) setLazy(l *link, lazy bool) {
	l.lazy = lazy
	if tp := a.topic.topicPeerOf(l.peer); tp != nil && a.fresh() {
		tp.lazy = lazy
	}
}

// forgetClaims removes the peer from all authors' links.
func (t *topic) forgetClaims(p *peer) {
	for _, a := range t.authorList {
		if l := a.linkOf(p); l != nil && l.parent {
			a.unsettle()
		}
		if a.early.peer == p {
			a.early = early{}
		}
		a.links = slices.DeleteFunc(a.links, func(l link) bool { return l.peer == p })
	}
}

// hearsay reports whether all that is known of the author was a peer's word,
// and that peer is gone or forgotten.
func (a *author) hearsay() bool {
	var none wire.Mark
	return len(a.batches) == 0 && len(a.links) == 0 && a.closed == nil && a.fetch.want == nil &&
		a.released == none && a.trimmed == none && a.fetch.queued == nil && !a.dirty
}

// forgetHearsay drops the topic's authors of whom nothing is known any more.
func (c *Core) forgetHearsay(t *topic) {
	before := len(t.authorList)
	t.authorList = slices.DeleteFunc(t.authorList, func(a *author) bool {
		if !a.hearsay() {
			return false
		}
		c.links.unlink(a)
		delete(t.authors, a.key)
		return true
	})
	c.authors -= before - len(t.authorList)
}

// claimed returns the furthest head that a peer claims.
func (a *author) claimed() (m wire.Mark) {
	for i := range a.links {
		if claim := a.links[i].claim(); claim.Compare(m) > 0 {
			m = claim
		}
	}
	return m
}

// lruNode links the authors whose links are remembered, newest use first.
type lruNode struct {
	newer, older *author
	in           bool
}

// linkMemory bounds the authors whose links are remembered: the one unused for
// longest is forgotten first (facts: a tree per author needs a flag for each
// author and neighbour, and one that is not in memory may start from the topic's).
type linkMemory struct {
	max            int
	n              int
	newest, oldest *author
}

// keepTries bounds the search for an author that may be forgotten.
const keepTries = 8

// remember puts a in front; it reports whether another was forgotten for it.
func (m *linkMemory) remember(a *author) bool {
	if a.lru.in {
		m.touch(a)
		return false
	}
	m.push(a)
	if m.n <= m.max {
		return false
	}
	for range keepTries {
		victim := m.oldest
		if victim == a {
			break
		}
		if victim.fetch.want == nil && victim.fetch.queued == nil {
			m.unlink(victim)
			victim.links = nil
			return true
		}
		m.touch(victim) // a repair under way needs its links
	}
	return false // wants and queues bound how many are at work
}

// touch puts a, if it is remembered, in front.
func (m *linkMemory) touch(a *author) {
	if m.newest == a || !a.lru.in {
		return
	}
	m.unlink(a)
	m.push(a)
}

func (m *linkMemory) push(a *author) {
	a.lru = lruNode{older: m.newest, in: true}
	if m.newest != nil {
		m.newest.lru.newer = a
	} else {
		m.oldest = a
	}
	m.newest = a
	m.n++
}

func (m *linkMemory) unlink(a *author) {
	n := a.lru
	if !n.in {
		return
	}
	if n.newer != nil {
		n.newer.lru.older = n.older
	} else {
		m.newest = n.older
	}
	if n.older != nil {
		n.older.lru.newer = n.newer
	} else {
		m.oldest = n.newer
	}
	a.lru = lruNode{}
	m.n--
}
