package gossip

import (
	"slices"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// A segment is a link over which one frame reaches many: its members. Members are
// peers, and a segment is a way to reach several of them at once: what concerns all is
// said once, to the segment; what concerns one is addressed to it. So acknowledgements,
// repair and offences are as with any peer (docs/adr/0024-segments.md).
//
// A member that no stream reaches is quiet: what it wants and holds is known by what it
// says of itself to all (presence.go), and neither heartbeats nor heads nor links are
// spent on it. It is opened, which is to say greeted as any peer, when there is
// something to compare, and quiet again a while later.

const (
	segmentTick  = 250 * time.Millisecond // between two looks at what segments are needed for
	compareEvery = 2 * time.Second        // between two looks at what members hold
	staleMin     = 2                      // looks in a row that must find a member's digests to differ
	waitLooks    = 5                      // looks for which a node with the majority waits for those who differ
	agreedFor    = 10 * time.Second       // after two sets were found equal they are not compared again for so long
	openFor      = 45 * time.Second       // without use until an open member is quiet
	membersMax   = 512                    // of all segments; of more nothing is known, but they hear what goes to all
	memberTopics = 1024                   // that one member has to do with
	answerFor    = 10 * time.Second       // for so long a member that spoke to us is answered, in use or not
)

// member is a peer that is heard on a segment.
type member struct {
	segment   *segment
	id        wire.PeerID
	tag       uint32 // of the ID, as presences name it
	peer      *peer  // as it is up, over whatever; nil: it is not
	presence  wire.Presence
	covered   bool     // a chain of streams leads to it, on all topics in common
	uncovered Time     // if not: since when
	strange   []uint32 // tags of topics that it holds, and that are not known here though it was asked
	stale     int      // looks in a row that found its digests to differ
	deaf      Time     // until then pushes go by stream too, for the segment does not bring them
	deafened  Time     // since when
	came      Time     // when a batch, or a part of one, last came from it over the segment
}

// segment is a link that one frame reaches many over.
type segment struct {
	name    wire.PeerID
	members []*member // sorted by ID
	full    bool      // its outbox was full, and has no room yet
	came    Time      // when a batch, or a part of one, last came over it, whoever sent it
	sending Time      // since when batches that were pushed to it wait to leave; Never: none does
	answer  Time      // until then members are answered, whether it is in use or not

	activity activity
	words    words
	compare  Time // when members are next looked at
	waited   int  // looks since others than we should have opened somebody
}

// segments are those that there are.
type segments struct {
	list    []*segment // in order of coming
	tickAt  Time       // when they are next looked at
	coverAt Time       // when coverage is
	casts   castLog
	own     []*author         // of ours, that published of late
	byTag   map[uint32]*topic // all topics; looked up, never ranged over

	presence   *wire.Presence // as it was told last; nil: never
	presenceAt Time           // when to look whether it has changed
	turn       int            // of the topics that take turns in it
}

func newSegments() segments {
	return segments{tickAt: Never, presenceAt: Never, byTag: map[uint32]*topic{}, casts: newCastLog()}
}

// deadline returns when dueSegments has something to do.
func (s *segments) deadline() Time {
	at := min(s.tickAt, s.presenceAt)
	for _, x := range s.list {
		at = min(at, x.words.at)
	}
	return at
}

func (s *segments) find(name wire.PeerID) *segment {
	for _, x := range s.list {
		if x.name == name {
			return x
		}
	}
	return nil
}

// heard returns the peer as a member of each segment it is heard on.
func (s *segments) heard(id wire.PeerID) (list []*member) {
	for _, x := range s.list {
		if i, ok := x.find(id); ok {
			list = append(list, x.members[i])
		}
	}
	return list
}

func (s *segments) members() (n int) {
	for _, x := range s.list {
		n += len(x.members)
	}
	return n
}

func (s *segment) find(id wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(s.members, id, func(m *member, id wire.PeerID) int {
		return strings.Compare(string(m.id), string(id))
	})
}

// memberOf returns the peer as a member of the segment, or nil.
func (p *peer) memberOf(s *segment) *member {
	for _, m := range p.heard {
		if m.segment == s {
			return m
		}
	}
	return nil
}

// SegmentUp tells that frames can be sent to the segment from now on: to its name all
// at once. What is to be said of this node there comes as [Output.Presence].
func (c *Core) SegmentUp(name wire.PeerID) {
	if c.lan.find(name) != nil {
		return
	}
	c.lan.list = append(c.lan.list, &segment{
		name: name, words: newWords(), compare: c.now.Add(compareEvery), activity: newActivity(c.now), sending: Never,
	})
	c.lan.tickAt = min(c.lan.tickAt, c.now.Add(segmentTick))
	c.lan.presence = nil
	c.presenceSoon()
}

// SegmentDown tells that the segment can be reached no more. Its members that no
// stream reaches are told down one by one.
func (c *Core) SegmentDown(name wire.PeerID) {
	s := c.lan.find(name)
	if s == nil {
		return
	}
	for len(s.members) > 0 {
		c.MemberDown(name, s.members[0].id)
	}
	c.lan.list = slices.DeleteFunc(c.lan.list, func(x *segment) bool { return x == s })
	c.lan.casts.forget(s)
	if len(c.lan.list) == 0 {
		for _, a := range c.lan.own {
			a.published = 0
		}
		c.lan.tickAt, c.lan.presenceAt, c.lan.own = Never, Never, nil
	}
}

// MemberUp tells that the peer is heard on the segment, or says something else of itself
// than before: whether a stream reaches it or not. [Core.PeerUp] tells how it is reached,
// before or after.
func (c *Core) MemberUp(name, id wire.PeerID, presence *wire.Presence) {
	c.SegmentUp(name)
	s := c.lan.find(name)
	i, ok := s.find(id)
	if !ok && c.lan.members() >= membersMax {
		c.stats.MembersRefused++
		return
	}
	if !ok {
		m := &member{segment: s, id: id, tag: id.Tag(), peer: c.peers[id], covered: true}
		s.members = slices.Insert(s.members, i, m)
		if m.peer != nil {
			m.peer.heard = append(m.peer.heard, m)
		}
	}
	m := s.members[i]
	before := m.presence
	m.presence = *presence
	if p := m.peer; p != nil && p.member() && (!ok || !sameWants(&before, presence)) {
		c.heed(p)
	}
}

// MemberDown tells that the peer is heard on the segment no more.
func (c *Core) MemberDown(name, id wire.PeerID) {
	s := c.lan.find(name)
	if s == nil {
		return
	}
	i, ok := s.find(id)
	if !ok {
		return
	}
	m := s.members[i]
	s.members = slices.Delete(s.members, i, i+1)
	if m.peer != nil {
		m.peer.heard = slices.DeleteFunc(m.peer.heard, func(x *member) bool { return x == m })
	}
}

// sameWants reports whether the two say the same of what their sender wants.
func sameWants(x, y *wire.Presence) bool {
	if x.Any != y.Any || x.Filters != y.Filters || len(x.Topics) != len(y.Topics) {
		return false
	}
	for i := range x.Topics {
		if x.Topics[i].Tag != y.Topics[i].Tag || (x.Topics[i].Digest == 0) != (y.Topics[i].Digest == 0) {
			return false
		}
	}
	return true
}

// heed takes what a member says of itself for what it would tell a neighbour: what it
// wants and what it holds of the topics known here.
func (c *Core) heed(p *peer) {
	if !p.member() {
		return
	}
	for _, m := range p.heard {
		for _, x := range m.presence.Topics {
			if t := c.lan.byTag[x.Tag]; t != nil && x.Digest != 0 {
				c.holdsTopic(t, p, false)
			}
		}
	}
	for _, t := range c.topicList {
		c.heedTopic(p, t)
	}
	c.endWants(p, func(*topicPeer) bool { return true })
}

// heedTopic notes that the peer wants the topic, if it does. A member names as many as it
// likes: not all count.
func (c *Core) heedTopic(p *peer, t *topic) {
	if !p.wantsTopic(t) {
		return
	}
	if p.member() && len(p.topics) >= memberTopics && t.topicPeerOf(p) == nil {
		c.stats.TopicsRefused++
		return
	}
	c.meet(p, t).wants = true
}

// tag returns by what presences name the topic.
func (t *topic) tag() uint32 { return uint32(t.hash >> 32) }

// wantsTopic reports whether the peer is to be sent the topic, as far as it told us.
func (p *peer) wantsTopic(t *topic) bool {
	if p.matches(t.name) {
		return true
	}
	if !p.member() {
		return false
	}
	for _, m := range p.heard {
		x := &m.presence
		if x.Any && (p.theirs == 0 || p.filters != x.Filters) {
			return true // it did not tell us all its filters
		}
		if slices.ContainsFunc(x.Topics, func(x wire.TopicTag) bool { return x.Tag == t.tag() }) {
			return true
		}
	}
	return false
}

// countFilter notes that the peer told or took back a filter.
func (p *peer) countFilter(filter string, n int) {
	if p.member() {
		p.filters += uint32(n) * wire.TagOf(filter)
	}
}

// mayTell reports whether anything may be sent to the peer. A segment that is not in use
// is silent but for answers.
func (c *Core) mayTell(p *peer) bool {
	return !p.member() || slices.ContainsFunc(p.heard, func(m *member) bool { return c.mayUse(m.segment) })
}

func (c *Core) mayUse(s *segment) bool {
	return c.cfg.Multicast != MulticastOff && (s.activity.on || c.now < s.answer)
}

// wake greets a member as any peer, if it is quiet.
func (c *Core) wake(p *peer) {
	p.used = c.now
	if p.open || !p.member() || !c.mayTell(p) {
		return
	}
	p.open = true
	c.stats.MembersOpened++
	var wanted []*topic
	for _, tp := range p.topics {
		if tp.wants {
			wanted = append(wanted, tp.topic)
		}
	}
	c.tellTopics(p, wanted)
	for _, t := range wanted {
		c.greet(t.topicPeerOf(p))
	}
}

// compareWith looks for what this node and a member do not both hold.
func (c *Core) compareWith(p *peer) {
	if p.theirs == 0 || !p.open {
		c.sayHello(p) // again, if the first one was lost
	}
	c.wake(p)
	if p.nearness() != nothingCommon {
		c.beatSoon(p, beatSoonDelay)
	}
}

// ReceiveFrom handles a message that a member of the segment sent over it, to all or to
// us, as [Core.Receive] does.
func (c *Core) ReceiveFrom(name, from wire.PeerID, m wire.Message) {
	s, p := c.lan.find(name), c.peers[from]
	if s == nil || p == nil {
		c.unsolicited(m) // the member went down while the message was on its way
		return
	}
	if p.member() && p.memberOf(s) != nil {
		s.answer = c.now.Add(answerFor)
	}
	switch m := m.(type) {
	case *wire.Push:
		c.receiveCast(s, p, m)
	case *wire.Have:
		c.receiveWord(s, p, m)
	case *wire.Link, *wire.Graft, *wire.Prune, *wire.Advance, *wire.Shuffle,
		*wire.Contact, *wire.Rumors, *wire.Feedback, *wire.Presence:
		c.stats.Unsolicited++ // there are no neighbours on a segment
	default:
		if !p.member() || c.cfg.Multicast == MulticastOff {
			// It does not know yet that a stream reaches it, or we do not know that none does.
			c.stats.SegmentIgnored++
			return
		}
		c.Receive(from, m)
		p.used = c.now
		switch m.(type) {
		case *wire.Hello:
			c.wake(p)
		case *wire.Interest, *wire.Topics:
			c.beatSoon(p, beatSoonDelay) // now there is something to compare
		}
	}
}

// dueSegments does what is due.
func (c *Core) dueSegments() {
	l := &c.lan
	if c.now >= l.presenceAt {
		c.renewPresence()
	}
	if c.now >= l.tickAt {
		l.tickAt = c.now.Add(segmentTick)
		l.casts.expire(c.now)
		c.ageOwn()
		if c.now >= l.coverAt {
			c.cover()
		}
		for _, s := range l.list {
			c.judge(s)
			c.lookRound(s)
			if s.activity.on && c.now >= s.words.retell {
				c.tellOwn(s)
			}
		}
	}
	for _, s := range l.list {
		if c.now >= s.words.at {
			c.flushWords(s)
		}
	}
}

// lookRound makes open members quiet that were of no use for long, and has one compared
// with that holds something else, if nothing but the segment leads to it.
func (c *Core) lookRound(s *segment) {
	if c.now < s.compare {
		return
	}
	s.compare = c.now.Add(compareEvery)
	var differing []*peer
	agreeing, busy := 0, false
	for _, m := range s.members {
		p := m.peer
		if p == nil || !p.member() {
			m.stale = 0
			continue
		}
		if p.open && c.now >= p.used.Add(openFor) {
			p.open = false
		}
		busy = busy || len(p.wantList) > 0 || len(p.session.open) > 0
		switch {
		case m.covered || p.beat.agreed != 0 && c.now < p.beat.agreed.Add(agreedFor):
			m.stale = 0
		case !c.differs(m):
			m.stale = 0
			agreeing++
		default:
			if m.stale++; m.stale >= staleMin {
				differing = append(differing, p)
			}
		}
	}
	if busy || len(differing) == 0 || !s.activity.on {
		s.waited = 0
		return
	}
	// Whoever is alone with what it holds lacks something, most probably; others wait for
	// it to ask.
	if s.waited++; agreeing >= len(differing) && s.waited <= waitLooks {
		return
	}
	p := differing[c.rngLAN.IntN(len(differing))]
	if p.theirs != 0 { // else it may not have heard us
		p.memberOf(s).noteStrange(c)
	}
	c.compareWith(p)
}
