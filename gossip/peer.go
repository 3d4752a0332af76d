package gossip

import (
	"slices"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// PeerInfo describes a peer that came up.
type PeerInfo struct {
	Limited bool // relayed under an allowance: send sparingly
	Segment bool // a neighbour that is many
}

// peer is a peer that is up. A peer that comes back gets a new one, so that
// nothing remembered of the old connection is mistaken for the new.
type peer struct {
	id        wire.PeerID
	author    wire.Author
	hasAuthor bool
	info      PeerInfo
	down      bool
	mine      uint64 // our number for this beginning of telling it
	theirs    uint64 // its number; 0: it said no Hello yet

	plain    map[string]struct{} // its filters without wildcards; looked up, never ranged over
	wild     []string            // its filters with wildcards
	topics   []*topicPeer        // in order of meeting
	demerits int
	hearsay  int // authors that it was first to tell of

	wants               map[uint32]*want // outstanding at it; looked up, never ranged over
	wantList            []*want          // the same, oldest first
	have                *wire.Have       // being gathered by tellHead, else nil
	served, servedBytes int              // since the last Take
	empty               int              // WantIDs in a row that brought nothing

	queue     []*author // whose repair waits for room for a want
	suspended []*author // whose pushes to it wait until it has caught up

	beat    beatState
	session sessionState
}

// matches reports whether one of the peer's filters matches the topic.
func (p *peer) matches(name string) bool {
	if _, ok := p.plain[name]; ok {
		return true
	}
	return slices.ContainsFunc(p.wild, func(f string) bool { return wire.Match(f, name) })
}

// topicPeer is what one peer and one topic have to do with each other.
type topicPeer struct {
	peer  *peer
	topic *topic

	wants   bool            // its filters match: it is to be sent all
	holds   bool            // it told us that it has the topic
	scope   wire.TopicScope // what it holds of it
	told    bool            // we told it that we have the topic
	toldAs  wire.TopicScope
	linkOut bool // we picked it as a neighbour
	linkIn  bool // it picked us
	lazy    bool // the newest flag of any author: where a new author starts
	backoff backoff
}

// neighbour reports whether the topic is gossiped with the peer.
func (tp *topicPeer) neighbour() bool { return tp.wants && (tp.linkOut || tp.linkIn) }

// common reports whether both sides hold all of the topic, so that their sets
// can be compared.
func (tp *topicPeer) common() bool {
	return tp.wants && tp.holds && tp.scope == wire.ScopeFull && tp.told && tp.toldAs == wire.ScopeFull
}

// backoff makes exchanges that bring nothing rarer, up to one each backoffMax.
type backoff struct {
	streak int
	until  Time
	paid   bool // the exchange under way brought something
}

// backoffMax is short as long as nodes cannot tell each other what they trimmed:
// a real difference must not wait for an hour behind one that is for good.
const backoffMax = 30 * time.Second

// begin reports whether an exchange may begin now, and notes that it has. The
// wait after one that brings nothing grows up to longest.
func (b *backoff) begin(now Time, longest time.Duration) bool {
	if now < b.until {
		return false
	}
	if b.paid || now > b.until.Add(longest) {
		b.streak = 0
	}
	b.paid = false
	wait := min(longest, time.Second<<min(b.streak, 12))
	b.streak++
	b.until = now.Add(wait)
	return true
}

// pay notes that the exchange brought something: the next may begin at once.
func (b *backoff) pay() {
	b.paid = true
	b.until = 0
}

// topicPeerOf returns the relation of p and t, or nil.
func (t *topic) topicPeerOf(p *peer) *topicPeer {
	if i, ok := t.find(p.id); ok {
		return t.peers[i]
	}
	return nil
}

func (t *topic) find(id wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(t.peers, id, func(tp *topicPeer, id wire.PeerID) int {
		return strings.Compare(string(tp.peer.id), string(id))
	})
}

// meet returns the relation of p and t, made if need be.
func (c *Core) meet(p *peer, t *topic) *topicPeer {
	i, ok := t.find(p.id)
	if ok {
		return t.peers[i]
	}
	tp := &topicPeer{peer: p, topic: t}
	t.peers = slices.Insert(t.peers, i, tp)
	p.topics = append(p.topics, tp)
	c.notice(Notice{Kind: NoticePeerUp, Peer: p.id, Topic: t.name})
	return tp
}

// leaveTopic ends the relation of a peer and a topic; the caller removes it
// from the peer's list.
func (c *Core) leaveTopic(tp *topicPeer) {
	p, t := tp.peer, tp.topic
	t.peers = slices.DeleteFunc(t.peers, func(x *topicPeer) bool { return x == tp })
	t.forgetClaims(p)
	c.forgetHearsay(t)
	c.notice(Notice{Kind: NoticePeerDown, Peer: p.id, Topic: t.name})
	c.chooseNeighbours(t)
	c.forgetTopic(t)
}

// forgetTopic drops a topic that was known by the word of peers alone, when
// the last of them is gone.
func (c *Core) forgetTopic(t *topic) {
	if t.own || len(t.peers) > 0 || len(t.authorList) > 0 {
		return
	}
	delete(c.topics, t.name)
	c.topicList = slices.DeleteFunc(c.topicList, func(x *topic) bool { return x == t })
}
