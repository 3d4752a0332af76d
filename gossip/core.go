package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Time is a monotonic instant, in nanoseconds since an epoch of the caller's.
type Time int64

// Add returns t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Never is a deadline that does not come.
const Never = Time(1<<63 - 1)

// Core is one node's protocol state. It is not safe for concurrent use. Its
// methods fall into four families, to be called in this order:
//
//   - Restore…: what the log holds, each author's batches ascending, and then
//     [Core.Restored]. Once, before anything else.
//   - Inputs: Publish, AddInterest, PeerUp, Receive, Stored, DialFailed and the like. They
//     never fail: what a peer gets wrong is counted.
//   - [Core.Tick] with the present instants, after any number of inputs and at
//     the latest at [Core.NextDeadline]. Early calls are harmless.
//   - [Core.Take], whose [Output] must be carried out in full before the next
//     input; and the getters, at any time.
//
// The core never asks for the time: Time is the caller's monotonic clock and
// must not go back, wire.Time its physical one and may.
type Core struct {
	now  Time
	wall wire.Time
	seen wire.Time // newest date of any batch: with wall, the hybrid logical clock
	late lateness  // how far behind that rumors are dated

	// What Tick and NextDeadline look at, side by side in memory: of the many cores of a
	// simulation, each comes from far away.
	timers   timerHeap
	cycling  []*monger // who have something to do in their next cycle
	cycleAt  Time      // when the first of these begins
	woken    []*monger // who look at the next Tick whether they have
	flushAt  Time      // when head word is due; Never if dirty is empty
	ackAt    Time
	nextBeat Time
	view     viewState
	lan      segments

	out       Output
	given     givenOutput
	served    []*peer // who was sent batches since the last Take
	answering []*peer // who are being given feedback

	peers     map[wire.PeerID]*peer
	topics    map[string]*topic
	batches   map[wire.ShortID]*entry // looked up, never ranged over
	peerList  []*peer                 // sorted by ID: iterate this, never the map
	orders    orders                  // of the same
	topicList []*topic                // sorted by name
	interests interests

	cfg    Config // constant after New
	self   wire.Author
	selfID wire.PeerID

	rngPeers  random // whom to ask or to compare with
	rngJitter random // when
	rngRumors random // whom to contact in rumor mongering, and its coin
	rngView   random // whom to know, to tell of and to wish for
	rngLAN    random // whom to compare with on segments, and when to speak there

	authors   int // on all topics
	links     linkMemory
	dirty     []*author    // whose head word is due; order of becoming so
	acks      []*topicPeer // authors that are told before that
	infective int          // rumors of all mongers
	calm      int          // beats since anything happened
	repeated  Time         // when own heads were last told again
	wantID    uint32
	sessionID uint32
	trims     uint64 // counts changes of authors' trimmed marks
	work      bucket
	partials  partials
	connected int // peers that streams reach

	unwritable bool      // the log takes no batches now
	refills    []*entry  // damaged, and refused by the log when they came again
	unordered  []*author // to be ordered again when it does

	identity identity
	clockOff bool // NoticeClock is in force

	stats Stats
}

// random is a source of randomness within what it belongs to, which must not be moved.
type random struct {
	rand.Rand
	source rand.PCG
}

func (r *random) seed(seed, purpose uint64) {
	r.source.Seed(seed, purpose)
	r.Rand = *rand.New(&r.source)
}

// New returns a Core for the author self. seed decides all that is random.
// The error wraps [ErrConfig].
func New(self wire.Author, cfg Config, seed uint64, now Time, wall wire.Time) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Core{
		cfg: cfg, self: self, selfID: self.PeerID(),
		now: now, wall: wall,
		peers:   map[wire.PeerID]*peer{},
		topics:  map[string]*topic{},
		batches: map[wire.ShortID]*entry{},
		links:   linkMemory{max: cfg.AuthorsMax},
		flushAt: Never, ackAt: Never, cycleAt: Never,
	}
	c.rngPeers.seed(seed, 1)
	c.rngJitter.seed(seed, 2)
	c.rngRumors.seed(seed, 3)
	c.rngView.seed(seed, 26)
	c.rngLAN.seed(seed, 27)
	c.cfg.Topics = cloneTopics(cfg.Topics)
	c.view = newViewState(&cfg, now)
	c.lan = newSegments()
	c.nextBeat = now.Add(c.jitter(cfg.HeartbeatInterval))
	c.sessionID = c.rngPeers.Uint32() // on a segment others may hear what it names
	c.work = bucket{workNodeFactor * cfg.WorkMax, now}
	return c, nil
}

// Receive handles a message from a peer. A batch in it was verified. The core
// keeps no reference to m's bytes, but for the batch's ID and header fields.
func (c *Core) Receive(from wire.PeerID, m wire.Message) {
	p := c.peerOf(from)
	if p == nil {
		c.unsolicited(m) // it went down while the message was on its way
		return
	}
	switch m := m.(type) {
	case *wire.Hello:
		c.receiveHello(p, m)
	case *wire.Push:
		c.receivePush(p, m, nil)
	case *wire.Interest:
		c.receiveInterest(p, m)
	case *wire.Topics:
		c.receiveTopics(p, m)
	case *wire.Link:
		c.receiveLink(p, m)
	case *wire.Have:
		c.receiveHave(p, m)
	case *wire.Advance:
		c.receiveAdvance(p, m)
	case *wire.Graft:
		c.receiveGraft(p, m)
	case *wire.Prune:
		c.receivePrune(p, m)
	case *wire.Contact:
		c.receiveContact(p, m)
	case *wire.Rumors:
		c.receiveRumors(p, m)
	case *wire.Feedback:
		c.receiveFeedback(p, m)
	case *wire.Want:
		c.receiveWant(p, m)
	case *wire.WantIDs:
		c.receiveWantIDs(p, m)
	case *wire.Served:
		c.receiveServed(p, m)
	case *wire.Heartbeat:
		c.receiveHeartbeat(p, m)
	case *wire.TopicDigests:
		c.receiveTopicDigests(p, m)
	case *wire.Open:
		c.receiveOpen(p, m)
	case *wire.Answer:
		c.receiveAnswer(p, m)
	case *wire.Cells:
		c.receiveCells(p, m)
	case *wire.More:
		c.receiveMore(p, m)
	case *wire.Resolve:
		c.receiveResolve(p, m)
	case *wire.Offer:
		c.receiveOffer(p, m)
	case *wire.Trimmed:
		c.receiveTrimmed(p, m)
	case *wire.Refuse:
		c.receiveRefuse(p, m)
	case *wire.Shuffle:
		c.receiveShuffle(p, m)
	default:
		c.stats.UnknownMessage++ // of a newer version
	}
}

// unsolicited refuses a message of somebody who is not there.
func (c *Core) unsolicited(m wire.Message) {
	c.stats.Unsolicited++
	if push, ok := m.(*wire.Push); ok && c.batch(push.Batch.ID) == nil {
		c.out.Discard = append(c.out.Discard, push.Batch.ID)
	}
}

// peerOf returns a peer that is up, or nil. It is for the way of each message: to look up the map is
// to compare IDs, which are anywhere in memory.
func (c *Core) peerOf(id wire.PeerID) *peer {
	if i, ok := c.findPeer(id); ok {
		return c.peerList[i]
	}
	return nil
}

func (c *Core) findPeer(id wire.PeerID) (int, bool) {
	return c.orders.find(id, func(i int) wire.PeerID { return c.peerList[i].id })
}

// PeerUp tells that frames can be exchanged with p from now on. A peer that is
// up already is taken down first. One that a segment reaches alone, a member, is told
// nothing until there is need: what it says of itself to all there is all that is known of it.
func (c *Core) PeerUp(id wire.PeerID, info PeerInfo) {
	c.PeerDown(id)
	p := &peer{
		id: id, info: info, plain: map[string]struct{}{}, beat: newBeatState(),
	}
	p.author, p.hasAuthor = wire.AuthorOf(id)
	c.peers[id] = p
	i, _ := c.findPeer(id)
	c.peerList = slices.Insert(c.peerList, i, p)
	c.orders.insert(i, id)
	for p.mine == 0 {
		p.mine = c.rngPeers.Uint64()
	}
	p.work = bucket{c.cfg.WorkMax, c.now}
	p.heard = c.lan.heard(id)
	for _, m := range p.heard {
		m.peer = p
	}
	if p.member() {
		p.upAt = c.now
		c.heed(p)
		return
	}
	c.connected++
	c.presenceSoon()
	c.meetKnown(p)
	c.excited()
	c.sayHello(p)
}

// PeerDown tells that p can no longer be reached.
func (c *Core) PeerDown(id wire.PeerID) {
	i, ok := c.findPeer(id)
	if !ok {
		return
	}
	p := c.peerList[i]
	p.down = true
	delete(c.peers, id)
	c.peerList = slices.Delete(c.peerList, i, i+1)
	c.orders.remove(i)
	for _, m := range p.heard {
		m.peer = nil
	}
	if !p.member() {
		c.connected--
		c.presenceSoon()
		c.retire(p)
		c.noteAlone()
	}
	c.forgetTold(p)
}

// forgetTold forgets what the peer was told and told us on its connection.
func (c *Core) forgetTold(p *peer) {
	left := p.topics
	for _, tp := range left {
		c.leaveTopic(tp)
	}
	p.topics, p.plain, p.wild, p.suspended = nil, map[string]struct{}{}, nil, nil
	p.filters = 0
	for _, s := range p.session.open {
		s.done = true
	}
	p.session = sessionState{}
	p.numbers, p.numbered = numbers{}, nil
	beat := newBeatState()
	beat.window, beat.answers, beat.beats = p.beat.window, p.beat.answers, p.beat.beats
	p.beat = beat
	c.dropWants(p)
	for _, tp := range left { // what only a want kept
		c.forgetHearsay(tp.topic)
		c.forgetTopic(tp.topic)
	}
	c.judgeClock()
}

// sayHello begins what we tell the peer.
func (c *Core) sayHello(p *peer) {
	c.send(p, News, &wire.Hello{Mine: p.mine, Yours: p.theirs})
	c.sendInterests(p)
}

// receiveHello begins what the peer tells us. The two ends of a link need not
// come up, nor move to another carrier, at one moment: what one says at once
// may meet the other before it has forgotten the earlier connection. So each
// makes sure that the other knows its present beginning.
func (c *Core) receiveHello(p *peer, m *wire.Hello) {
	if m.Mine == 0 || !c.spend(p) {
		c.demerit(p, "a hello without a number, or too many")
		return
	}
	if p.theirs != m.Mine {
		if p.theirs != 0 {
			c.forgetTold(p)
			c.heed(p)
		}
		p.theirs = m.Mine
	}
	if m.Yours != p.mine {
		c.sayHello(p)
	}
}

// Misbehaved counts a mistake of form or a signature that does not fit against
// the peer, and asks to drop it when there were too many.
func (c *Core) Misbehaved(from wire.PeerID, reason string) {
	if p := c.peers[from]; p != nil {
		c.demerit(p, reason)
	}
}

// forgiveEvery is how long it takes until a mistake of a peer's is forgotten: so
// those of a long connection do not add up to what would end it.
const forgiveEvery = time.Minute

func (c *Core) demerit(p *peer, reason string) {
	c.stats.Demerits++
	if n := int((c.now - p.erred) / Time(forgiveEvery)); n > 0 {
		p.demerits, p.erred = max(0, p.demerits-n), c.now
	}
	p.demerits++
	if p.demerits >= c.cfg.DemeritsMax && !p.dismissed {
		p.dismissed = true
		c.stats.Disconnected++
		c.out.Disconnect = append(c.out.Disconnect, Disconnect{
			Peer:   p.id,
			Reason: fmt.Sprintf("%d offences, the last: %s", p.demerits, reason),
		})
	}
}

// Tick does what is due. A late call does one round, not a burst.
func (c *Core) Tick(now Time, wall wire.Time) {
	assertf(now >= c.now, "time went back from %d to %d", c.now, now)
	c.now, c.wall = now, wall
	for {
		t, ok := c.timers.popDue(now)
		if !ok {
			break
		}
		t.due(c)
	}
	if now >= c.cycleAt {
		c.runCycles()
	}
	if len(c.woken) > 0 {
		c.wakeMongers()
	}
	if now >= c.flushAt {
		c.flushHeads()
	}
	if now >= c.ackAt {
		c.flushAcks()
	}
	if now >= c.nextBeat {
		c.beat()
		c.nextBeat = now.Add(c.beatInterval())
	}
	if now >= c.view.deadline() {
		c.dueView()
	}
	if now >= c.lan.deadline() {
		c.dueSegments()
	}
}

// NextDeadline returns when Tick must next be called.
func (c *Core) NextDeadline() Time {
	if len(c.woken) > 0 {
		return c.now
	}
	return min(c.timers.next(), c.flushAt, c.ackAt, c.cycleAt, c.nextBeat, c.view.deadline(), c.lan.deadline())
}

// Take returns the pending output and starts a new one. The slices belong to
// the caller until the next Take.
func (c *Core) Take() Output {
	out := c.out
	c.out = c.given.swap(&out)
	for _, p := range c.served {
		p.served, p.servedBytes = 0, 0
	}
	c.served = c.served[:0]
	c.endFeedback()
	return out
}

// Stats returns the counters.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Topics, s.Peers, s.Batches = len(c.topicList), len(c.peerList), len(c.batches)
	s.Authors, s.RumorsInfective, s.Passive = c.authors, c.infective, len(c.view.list)
	for _, t := range c.topicList {
		if t.interested && t.neighbours() < 2 {
			s.TopicsThin++
		}
	}
	return s
}

func (c *Core) send(p *peer, lane Lane, m wire.Message) { c.put(p, Send{Lane: lane, Msg: m}) }

func (c *Core) sendBatch(p *peer, id wire.BatchID) { c.put(p, Send{Lane: News, Batch: id}) }

// put sends to the peer, unless it must not be told anything.
func (c *Core) put(p *peer, s Send) {
	if !c.mayTell(p) {
		c.stats.MembersUntold++
		return
	}
	s.To = p.id
	c.out.Send = append(c.out.Send, s)
}

func (c *Core) notice(n Notice) { c.out.Notices = append(c.out.Notices, n) }

// hlc returns the core's idea of the hybrid logical clock: no batch that it
// holds is newer.
func (c *Core) hlc() wire.Time { return max(c.wall, c.seen) }

// jitter returns a duration within a fifth of d, so that nodes fall out of step.
func (c *Core) jitter(d time.Duration) time.Duration {
	return d - d/5 + time.Duration(c.rngJitter.Int64N(int64(2*d/5)+1))
}
