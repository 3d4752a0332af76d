package gossip

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// PeerInfo describes a peer that came up.
type PeerInfo struct {
	Limited bool // relayed under an allowance: send sparingly
	// Segment names the segment that the peer is reached over; empty: a stream does.
	Segment wire.PeerID
}

// peer is a peer that is up. A peer that comes back gets a new one, so that
// nothing remembered of the old connection is mistaken for the new.
type peer struct {
	id        wire.PeerID
	author    wire.Author
	hasAuthor bool
	down      bool
	dismissed bool // its end was asked for
	leaving   bool // one of us has too many connections, and ends this one
	saidFull  bool // the peer said so
	info      PeerInfo
	mine      uint64 // our number for this beginning of telling it
	theirs    uint64 // its number; 0: it said no Hello yet

	plain    map[string]struct{} // its filters without wildcards; looked up, never ranged over
	wild     []string            // its filters with wildcards
	topics   []*topicPeer        // ascending by the topics' hashes, as the tree of topics wants them
	demerits int
	erred    Time // when demerits were last reckoned up
	hearsay  int  // authors that it was first to tell of

	wants               map[uint32]*want // outstanding at it; looked up, never ranged over; nil: there were none
	wantList            []*want          // the same, oldest first
	have                *wire.Have       // being gathered by tellHead, else nil
	advance             *wire.Advance    // the same
	numbers             numbers          // that we gave it
	numbered            []numbered       // that it gave us, by number - 1
	feedback            *wire.Feedback   // being gathered by tellFeedback, else nil
	served, servedBytes int              // since the last Take
	empty               int              // WantIDs in a row that brought nothing
	busy                int              // answers in a row without anything, to be asked again
	spared              bool             // a want of its that brought nothing was excused, and none brought anything since
	slow                bool             // a want timed out: it is asked for little at a time
	starved             bool             // some topic's lack list found no room for a want

	queue     []*author // whose repair waits for room for a want
	suspended []*author // whose pushes to it wait until it has caught up

	beat    beatState
	session sessionState
	work    bucket

	upAt     Time
	record   wire.Record // its newest, if any was told
	expected []*topic    // that it was known for when it came up
	strikes  int         // dials that failed before
	greeted  int         // shuffles begun at once
	shuffles bucket      // of its, that are answered
	fullAt   Time        // when we said that one of us has too many connections; 0: we did not

	heard   []*member // as which it is heard on segments, whether a stream reaches it or not
	used    Time      // when it was last of use as a member that is told what any peer is
	open    bool      // that it is, for now
	filters uint32    // of a member: sum of the tags of its filters
}

// member reports whether the peer is reached over a segment alone.
func (p *peer) member() bool { return p.info.Segment != "" }

// quiet reports whether the peer is a member that is told nothing of its own.
func (p *peer) quiet() bool { return p.member() && !p.open }

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
	covered bool            // of who is heard on a segment: a chain of streams leads there, see coverage
	holds   bool            // it told us that it has the topic
	scope   wire.TopicScope // what it holds of it
	told    bool            // we told it that we have the topic
	toldAs  wire.TopicScope
	linkOut bool // we picked it as a neighbour
	linkIn  bool // it picked us
	lazy    bool // the flag of the topic's tree: where a new author starts
	queued  bool // an exchange waits for others to end: in sessionState.queue
	met     Time // since when the two have to do with each other

	contact     contactState // of rumor mongering
	lack        []*lackItem  // what the peer is to be asked for, see lackList
	backoff     backoff
	differences int // that the last exchange found

	gone        map[wire.Author]wire.Mark // up to where it trimmed; looked up, never ranged over
	except      reconcile.Except          // what we hold of that
	trimmedTold uint64                    // Core.trims up to which it knows what we trimmed

	asked    bool          // a shuffle of ours is unanswered
	shuffled bool          // one was held, or a request came, since the two met
	offered  []wire.PeerID // what the newest of ours told
	quiet    Time          // until then none is begun at once
}

// neighbour reports whether the topic is gossiped with the peer.
func (tp *topicPeer) neighbour() bool { return tp.wants && (tp.linkOut || tp.linkIn) }

// common reports whether both sides hold all of the topic, so that their sets
// can be compared.
func (tp *topicPeer) common() bool {
	return tp.wants && tp.holds && tp.scope == wire.ScopeFull && tp.told && tp.toldAs == wire.ScopeFull &&
		tp.topic.compared
}

// backoff makes exchanges that bring nothing rarer, up to one each backoffMax.
type backoff struct {
	streak int
	began  Time
	until  Time
	paid   bool // the exchange under way brought something
}

// backoffMax is the longest wait between two exchanges on a topic with one peer.
// Only nodes whose rules differ for good get there: what is trimmed is not compared,
// and what is barred stays in the set.
const backoffMax = time.Hour

// begin reports whether an exchange may begin now, and notes that it has. The
// wait after one that brings nothing grows up to longest. What was found equal
// since, at agreed, ends the row.
func (b *backoff) begin(now Time, longest time.Duration, agreed Time) bool {
	if agreed > b.began {
		b.streak, b.until = 0, 0
	}
	if now < b.until {
		return false
	}
	if b.paid {
		b.streak = 0
	}
	b.paid, b.began = false, now
	wait := min(longest, time.Second<<min(b.streak, 12))
	b.streak++
	b.until = now.Add(wait)
	return true
}

// undo takes back what begin noted of an exchange that was not held.
func (b *backoff) undo(now Time) {
	b.streak = max(0, b.streak-1)
	b.until = now.Add(time.Second)
}

// pay notes that the exchange brought something: the next may begin at once.
func (b *backoff) pay() {
	b.paid = true
	b.until = 0
}

// forgive ends the waits that exchanges without yield brought about.
func (p *peer) forgive() {
	p.beat.backoff.pay()
	for _, tp := range p.topics {
		tp.backoff.pay()
	}
}

// topicPeerOf returns the relation of p and t, or nil.
func (t *topic) topicPeerOf(p *peer) *topicPeer {
	if i, ok := t.find(p.id); ok {
		return t.peers[i]
	}
	return nil
}

func (t *topic) find(id wire.PeerID) (int, bool) {
	return t.orders.find(id, func(i int) wire.PeerID { return t.peers[i].peer.id })
}

// orders are numbers by which a list of peers ascends: orderOf their IDs. A search looks at them side
// by side in memory, and at hardly any peer but the one that it finds.
type orders []uint64

// orderOf returns a number by which most IDs are ordered as they are themselves, and the others are
// equal: the first 8 bytes, of which those of Ed25519 keys have 6 in common.
func orderOf(id wire.PeerID) uint64 {
	var first [8]byte
	copy(first[:], id)
	return binary.BigEndian.Uint64(first[:])
}

// find returns where the peer is in the list, or would be; at tells the IDs there.
func (o orders) find(id wire.PeerID, at func(i int) wire.PeerID) (int, bool) {
	order := orderOf(id)
	i, _ := slices.BinarySearch(o, order)
	for ; i < len(o) && o[i] == order; i++ {
		if other := at(i); other >= id {
			return i, other == id
		}
	}
	return i, false
}

func (o *orders) insert(i int, id wire.PeerID) { *o = slices.Insert(*o, i, orderOf(id)) }

func (o *orders) remove(i int) { *o = slices.Delete(*o, i, i+1) }

// meet returns the relation of p and t, made if need be.
func (c *Core) meet(p *peer, t *topic) *topicPeer {
	i, ok := t.find(p.id)
	if ok {
		return t.peers[i]
	}
	tp := &topicPeer{peer: p, topic: t, met: c.now}
	t.peers = slices.Insert(t.peers, i, tp)
	t.orders.insert(i, p.id)
	j, _ := slices.BinarySearchFunc(p.topics, t.hash, func(tp *topicPeer, hash uint64) int {
		return cmp.Compare(tp.topic.hash, hash)
	})
	p.topics = slices.Insert(p.topics, j, tp)
	c.notice(Notice{Kind: NoticePeerUp, Peer: p.id, Topic: t.name})
	return tp
}

// leaveTopic ends the relation of a peer and a topic; the caller removes it
// from the peer's list.
func (c *Core) leaveTopic(tp *topicPeer) {
	p, t := tp.peer, tp.topic
	if i, ok := t.find(p.id); ok && t.peers[i] == tp {
		t.peers = slices.Delete(t.peers, i, i+1)
		t.orders.remove(i)
	}
	c.dropClaims(tp)
	t.forgetClaims(p)
	c.forgetHearsay(t)
	c.notice(Notice{Kind: NoticePeerDown, Peer: p.id, Topic: t.name})
	c.chooseNeighbours(t)
	c.lackPeer(t)
	c.forgetTopic(t)
}

// forgetTopic drops a topic that was known by the word of peers alone, when
// the last of them is gone.
func (c *Core) forgetTopic(t *topic) {
	if t.own || len(t.peers) > 0 || len(t.authorList) > 0 || len(t.passive) > 0 {
		return
	}
	delete(c.topics, t.name)
	if c.lan.byTag[t.tag()] == t {
		delete(c.lan.byTag, t.tag())
	}
	c.topicList = slices.DeleteFunc(c.topicList, func(x *topic) bool { return x == t })
}
