package gossip

import (
	"slices"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Word on segments: heads told to all members at once. It acknowledges to authors that
// are members what a segment or another member brought; it tells of what others
// published, if somebody whom no stream reaches may lack it and nobody has told so yet;
// and it tells again of our own batches that are not acknowledged. The rate of all on a
// segment together does not grow with their number.

const (
	wordEach      = 50 * time.Millisecond // of a member's time between two words, for each member: 20 a second in all
	wordFew       = 4                     // with so many members at most, nobody waits for others
	wordHeads     = 12                    // in one message: some datagram's worth
	toldMax       = 1 << 14               // authors of which is remembered what was told
	wordsMax      = 1024                  // authors of which word waits; of others the next batch brings it
	retellFirst   = 2 * time.Second       // from a push of ours until word of it, if somebody does not acknowledge it
	retellMost    = 30 * time.Second
	reackInterval = time.Second // between acknowledgements of the same, for the first may have been lost
)

// told is what was told all on a segment of one author.
type told struct {
	head  wire.Mark     // that somebody told: we, or of other authors' a member that holds as much
	at    Time          // when we did
	again bool          // its author did not hear it
	wait  time.Duration // own: until it is told again
}

// words is word that waits to be told on a segment, and what was told.
type words struct {
	at     Time              // when it is told; Never: there is none
	last   Time              // when it was told last
	dirty  []*author         // in order of becoming so
	told   map[*author]*told // looked up, never ranged over
	retell Time              // when own heads are looked at again
}

func newWords() words { return words{at: Never, last: -Time(time.Hour), told: map[*author]*told{}} }

func (w *words) of(a *author) *told {
	t := w.told[a]
	if t == nil {
		if len(w.told) >= toldMax {
			w.told = map[*author]*told{} // some is told again
		}
		t = &told{}
		w.told[a] = t
	}
	return t
}

// wordSoon has the author's head told on segments, if it is to be.
func (c *Core) wordSoon(a *author) {
	for _, s := range c.lan.list {
		if a.key != c.self && c.mayUse(s) && c.wordDue(s, a) {
			c.wordSoonOn(s, a)
		}
	}
}

func (c *Core) wordSoonOn(s *segment, a *author) {
	w := &s.words
	if slices.Contains(w.dirty, a) || len(w.dirty) >= wordsMax || !a.topic.compared {
		return
	}
	w.dirty = append(w.dirty, a)
	spread, least := c.cfg.HaveDelay, c.now
	if n := len(s.members); n > wordFew {
		spread = max(spread, time.Duration(n)*wordEach)
		least = w.last.Add(spread)
	}
	w.at = min(w.at, max(least, c.now.Add(1+time.Duration(c.rngLAN.Int64N(int64(spread))))))
}

// wordDue reports whether all on the segment are to be told the author's head.
func (c *Core) wordDue(s *segment, a *author) bool {
	if a.held == (wire.Mark{}) || a.base.Compare(a.held) > 0 {
		return false // a gap was released, and what comes after it is being written
	}
	t := s.words.told[a]
	fresh := t == nil || t.head.Compare(a.held) < 0
	if t != nil && t.again {
		return true
	}
	m := s.author(a.key)
	if a.key == c.self || m == nil {
		return s.activity.on && fresh && s.lack(a)
	}
	// An acknowledgement, unless a stream takes it.
	if t != nil && t.at == 0 {
		fresh = true
	}
	tp := m.topicPeer(a.topic)
	alone := tp != nil && tp.peer.member() && !tp.covered
	return fresh && (alone || c.cfg.Multicast == MulticastAlways && a.castUpto.Compare(a.held) >= 0)
}

// lack reports whether a member that no stream leads to wants the author's batches and is
// not known to hold all that we do.
func (s *segment) lack(a *author) bool {
	return slices.ContainsFunc(s.members, func(m *member) bool {
		tp := m.topicPeer(a.topic)
		if tp == nil || !tp.wants || tp.covered {
			return false
		}
		l := a.linkOf(m.peer)
		return l == nil || l.head.Compare(a.held) < 0
	})
}

// flushWords tells all on the segment the heads that are due.
func (c *Core) flushWords(s *segment) {
	w := &s.words
	authors := w.dirty
	w.dirty, w.at = nil, Never
	if !c.mayUse(s) {
		return
	}
	slices.SortStableFunc(authors, func(x, y *author) int { return strings.Compare(x.topic.name, y.topic.name) })
	var m *wire.Have
	for _, a := range authors {
		if !c.wordDue(s, a) {
			continue // it was told meanwhile
		}
		t := w.of(a)
		t.head, t.at, t.again = a.held, c.now, false
		if m == nil || m.Topic != a.topic.name || len(m.Heads) == wordHeads {
			m = &wire.Have{Topic: a.topic.name}
			c.out.Send = append(c.out.Send, Send{To: s.name, Lane: News, Msg: m})
		}
		m.Heads = append(m.Heads, wire.Head{Author: a.key, Base: a.base, Head: a.held})
		c.stats.SegmentWords++
		w.last = c.now
	}
}

// receiveWord takes in what a member told all, or us.
func (c *Core) receiveWord(s *segment, p *peer, m *wire.Have) {
	t := c.castTopic(p, m.Topic)
	if t == nil {
		c.stats.SegmentUnwanted++
		return
	}
	for _, h := range m.Heads {
		if !t.interested && h.Author != c.self {
			continue
		}
		if h.Author != c.self {
			c.holdsTopic(t, p, p.hasAuthor && h.Author == p.author)
		}
		if t.topicPeerOf(p) == nil {
			c.stats.Unsolicited++
			return
		}
		c.receiveHead(t, p, h, s)
		c.heardWord(s, p, t.authors[h.Author], h.Head)
	}
}

// heardWord notes that all on the segment were told the author's head.
func (c *Core) heardWord(s *segment, p *peer, a *author, head wire.Mark) {
	if a == nil {
		return
	}
	switch {
	case a.key == c.self:
		if m := p.memberOf(s); m != nil {
			c.undeafen(m)
		}
	case p.hasAuthor && p.author == a.key:
		// The author tells of its own: it did not hear what we acknowledged.
		if t := s.words.told[a]; t != nil && t.at != 0 && head.Compare(a.held) <= 0 && c.now >= t.at.Add(reackInterval) {
			t.again = true
		}
		if c.mayUse(s) && c.wordDue(s, a) {
			c.wordSoonOn(s, a)
		}
	default:
		if t := s.words.of(a); head.Compare(t.head) > 0 && s.author(a.key) == nil {
			t.head = head
		}
	}
}

// tellOwn tells all on the segment the heads of our own that somebody lacks, and again
// while that is so, ever more rarely.
func (c *Core) tellOwn(s *segment) {
	w := &s.words
	w.retell = c.now.Add(retellFirst + time.Duration(len(s.members))*wordEach) // the acknowledgements take so long
	for _, t := range c.topicList {
		a := t.authors[c.self]
		if a == nil || !t.compared || a.held == (wire.Mark{}) || !s.lack(a) {
			continue
		}
		x := w.of(a)
		if x.head.Compare(a.held) < 0 {
			x.wait = 0
		} else if c.now < x.at.Add(x.wait) {
			continue
		}
		x.wait = min(max(2*x.wait, retellFirst), retellMost)
		x.again = true
		c.wordSoonOn(s, a)
	}
}
