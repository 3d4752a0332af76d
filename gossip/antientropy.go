package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// Anti-entropy compares what two nodes hold and repairs the difference. Once
// per HeartbeatInterval a node sends one neighbour a digest over all topics
// that both hold in full. Where it differs twice running, the tree of topics
// leads to the topics that differ, and an exchange on each of those to the
// batches.

const (
	cutQuantum     = 250 * time.Millisecond // cuts fall on multiples, so that digests can be kept
	beatSoonDelay  = 100 * time.Millisecond // from a topic's being common to the first heartbeat
	beatAgainDelay = 250 * time.Millisecond // from a difference to the second look
	descentMax     = 30 * time.Second       // between two walks down the tree with one peer that bring nothing
	calmBeats      = 8                      // beats without news after which they become rarer; 3 × as many: once more
	calmMax        = 2                      // how often they become rarer, by half each time
	outsideShare   = 8                      // of so many beats one goes to a peer that is no neighbour
	spendMax       = 256                    // TopicDigests and Opens of a peer that are answered per HeartbeatInterval
	beatsMax       = 16                     // heartbeats of a peer that are looked at per HeartbeatInterval
	cutBehindMax   = 3 * wire.FutureMax     // how far a peer's cut may lie behind ours, or it is not looked at
)

// beatState is what heartbeats with one peer have shown.
type beatState struct {
	heard      bool
	offset     time.Duration // its clock minus ours, at the newest heartbeat
	stale      Time          // when the digests last differed for the first time; Never: they agreed since
	agreed     Time          // when they last did not differ
	soon       Time          // when a heartbeat outside the turn is due; Never: none
	replied    Time
	backoff    backoff
	named      [boundsMax]bounds // of the newest heartbeats between us
	names      int               // how many there were
	floor      wire.Time         // of the newest heartbeat that was looked at
	floorSince Time              // when that changed
	window     Time              // in which answers and beats are counted
	answers    int
	beats      int
}

// bounds are what sets are compared between.
type bounds struct{ floor, cut wire.Time }

// boundsMax is as many as a set keeps digests for: to walk down the tree between
// bounds that a peer makes up each time would mean to hash all edges anew each time.
const boundsMax = 8

// name notes the bounds of a heartbeat that was sent, or found to differ.
func (b *beatState) name(floor, cut wire.Time) {
	if n := (bounds{floor, cut}); !slices.Contains(b.named[:], n) {
		b.named[b.names%boundsMax] = n
		b.names++
	}
}

// count begins a new window if the last one is over.
func (b *beatState) count(c *Core) {
	if c.now >= b.window.Add(c.cfg.HeartbeatInterval) {
		b.window, b.answers, b.beats = c.now, 0, 0
	}
}

// spend reports whether the peer may be answered something that costs hashing.
func (c *Core) spend(p *peer) bool {
	b := &p.beat
	b.count(c)
	b.answers++
	return b.answers <= spendMax
}

func newBeatState() beatState {
	return beatState{stale: Never, soon: Never, floorSince: -Time(time.Hour)}
}

// beat sends a heartbeat to one neighbour, now and then to another peer with a
// topic in common: the neighbours of a topic may all be behind a cut that a peer
// outside is not. If there is none, any peer gets one, so that a node that
// only publishes learns how its clock stands.
func (c *Core) beat() {
	c.repeatOwn()
	c.calm++
	const few = 16 // lists that are no longer take no memory
	neighbours, others, all := make([]*peer, 0, few), make([]*peer, 0, few), make([]*peer, 0, few)
	for _, p := range c.peerList {
		if p.member() {
			continue // what they say of themselves shows whether there is need
		}
		all = append(all, p)
		switch p.nearness() {
		case isNeighbour:
			neighbours = append(neighbours, p)
		case hasCommon:
			others = append(others, p)
		case nothingCommon:
		}
	}
	candidates := neighbours
	if len(neighbours) == 0 || len(others) > 0 && c.rngPeers.IntN(outsideShare) == 0 {
		candidates = others
	}
	if len(candidates) == 0 {
		candidates = all
	}
	if len(candidates) > 0 {
		c.sendBeat(candidates[c.rngPeers.IntN(len(candidates))], c.floor(), c.cut())
	}
}

// beatInterval returns the time to the next beat: while nothing happens, digests
// that agreed agree still.
func (c *Core) beatInterval() time.Duration {
	rarer := 0
	for n := calmBeats; c.calm >= n && rarer < calmMax; n *= 3 {
		rarer++
	}
	return c.jitter(c.cfg.HeartbeatInterval << rarer)
}

// excited ends the calm: something came that a peer may not have, or may bring more of.
func (c *Core) excited() {
	if c.calm >= calmBeats {
		c.nextBeat = min(c.nextBeat, c.now.Add(c.jitter(c.cfg.HeartbeatInterval)))
	}
	c.calm = 0
}

// nearness says what two nodes' sets have to do with each other.
type nearness uint8

const (
	nothingCommon nearness = iota
	hasCommon              // a topic that both hold in full
	isNeighbour            // and that they gossip with each other
)

func (p *peer) nearness() nearness {
	best := nothingCommon
	for _, tp := range p.topics {
		switch {
		case !tp.common():
		case tp.neighbour():
			return isNeighbour
		default:
			best = hasCommon
		}
	}
	return best
}

// repeatEvery is how often a node that only publishes on a topic tells its head
// again to all readers who do not acknowledge it: its set is not compared, for one
// author's head says all.
const repeatEvery = 5 * time.Second

func (c *Core) repeatOwn() {
	if c.now < c.repeated.Add(repeatEvery) {
		return
	}
	c.repeated = c.now
	for _, t := range c.topicList {
		a := t.authors[c.self]
		if t.interested || a == nil || !t.compared {
			continue
		}
		for _, tp := range t.peers {
			if !tp.wants || tp.peer.member() {
				continue
			}
			// To those too that are no neighbours: all ours may be behind a cut that a peer outside is not.
			l := c.linkTo(a, tp.peer)
			if l.head.Compare(a.held) >= 0 {
				continue
			}
			l.told = wire.Mark{}
			c.tellHead(a, tp.peer)
		}
	}
	c.endHaves()
}

// beatSoon schedules a heartbeat outside the turn: after a reconnect, and
// after a repair, to see that all is well.
func (c *Core) beatSoon(p *peer, delay time.Duration) {
	at := c.now.Add(delay)
	if p.beat.soon <= at {
		return
	}
	p.beat.soon = at
	c.timers.at(at, beatTimer{p})
}

type beatTimer struct{ p *peer }

func (t beatTimer) due(c *Core) {
	b := &t.p.beat
	if t.p.down || b.soon > c.now {
		return
	}
	b.soon = Never
	if t.p.nearness() != nothingCommon && !t.p.quiet() {
		c.sendBeat(t.p, c.floor(), c.cut())
	}
}

// linkKey returns the key under which this node and the peer compare: it comes
// from the number that each of them chose for their connection.
func (c *Core) linkKey(p *peer) reconcile.Key {
	return reconcile.LinkKey(p.mine, p.theirs)
}

// cut returns the date up to which this node is settled.
func (c *Core) cut() wire.Time {
	hlc := c.hlc().Add(-c.late.most(c.now))
	return reconcile.Cut(hlc, hlc, c.cfg.Settle, cutQuantum)
}

// lateness is how far behind the hybrid logical clock rumors were dated when
// they came, at most, in the present window of time and the one before. A rumor
// of an author whose clock is behind is dated below the cut while it spreads:
// it is no difference, so the cut keeps as far behind.
type lateness struct {
	window      Time // when the present one began
	now, before time.Duration
}

const (
	lateWindow = 10 * time.Second
	// Of an author whose clock is FutureMax behind, while that of another, which the
	// hybrid clock follows, is as far ahead. More than that is history, not news.
	lateMax = 2 * wire.FutureMax
)

// most returns the greatest of late; none that is older than two windows counts.
func (l *lateness) most(now Time) time.Duration {
	if now >= l.window.Add(2*lateWindow) {
		return 0
	}
	return max(l.now, l.before)
}

// came notes a batch that was pushed to us. A rumor that is mongered may have been
// repaired on its way, and be told again: if it is dated long ago, that is the reason.
func (c *Core) came(topic *topic, t wire.Time) {
	most := lateMax
	if topic.monger != nil {
		most = 2 * c.cfg.Settle
	}
	l := &c.late
	if c.now >= l.window.Add(lateWindow) {
		l.before, l.now = l.now, 0
		if c.now >= l.window.Add(2*lateWindow) {
			l.before = 0
		}
		l.window = c.now
	}
	if d := time.Duration(c.hlc() - t); d <= most {
		l.now = max(l.now, d)
	}
}

// commonTree returns the tree of the topics in common with the peer.
func (c *Core) commonTree(p *peer, floor, cut wire.Time) *reconcile.TopicTree {
	states := make([]reconcile.TopicState, 0, len(p.topics))
	for _, tp := range p.topics {
		if !tp.common() {
			continue
		}
		t := tp.topic
		d, _ := tp.view().Digest(floor, cut)
		states = append(states, reconcile.TopicState{Name: t.name, Hash: t.hash, Digest: d})
	}
	return reconcile.NewTopicTree(c.linkKey(p), states)
}

func (c *Core) sendBeat(p *peer, floor, cut wire.Time) {
	c.tellTrimmed(p)
	c.stats.Heartbeats++
	p.beat.name(floor, cut)
	c.send(p, News, &wire.Heartbeat{
		Wall: c.wall, Floor: floor, Cut: cut, Digest: c.commonTree(p, floor, cut).Root(),
	})
}

func (c *Core) receiveHeartbeat(p *peer, m *wire.Heartbeat) {
	b := &p.beat
	b.count(c)
	if b.beats++; b.beats > beatsMax {
		c.stats.BeatsIgnored++
		return
	}
	b.heard, b.offset = true, time.Duration(m.Wall-c.wall)
	if c.clockOff || b.offset.Abs() > wire.FutureMax {
		c.judgeClock() // else the median was within bounds, and one more offset there keeps it so
	}
	if p.nearness() == nothingCommon {
		c.answerClock(p)
		return
	}
	floor, cut := max(m.Floor, c.floor()), min(m.Cut, c.cut())
	if !b.affordable(c, floor, cut) {
		c.stats.BeatsIgnored++
		return
	}
	if floor != m.Floor || cut != m.Cut {
		// The lower cut and the higher floor are what both can compare under.
		if c.now >= b.replied.Add(beatAgainDelay) {
			b.replied = c.now
			c.sendBeat(p, floor, cut)
		}
		return
	}
	tree := c.commonTree(p, floor, cut)
	if tree.Root() == m.Digest {
		b.stale, b.agreed = Never, c.now
		return
	}
	if c.untold(p) {
		// It differs in what we trimmed, or may: the peer looks again when it knows that.
		if c.now >= b.replied.Add(beatAgainDelay) {
			b.replied = c.now
			c.sendBeat(p, floor, cut)
		}
		return
	}
	c.excited()
	c.stats.HeartbeatsStale++
	if b.stale == Never || c.now > b.stale.Add(3*c.cfg.HeartbeatInterval) {
		b.stale = c.now
		c.beatSoon(p, beatAgainDelay)
		return
	}
	b.stale = Never
	if b.backoff.begin(c.now, descentMax, b.agreed) {
		b.name(floor, cut)
		c.send(p, Repair, &wire.TopicDigests{Floor: floor, Cut: cut, Nodes: tree.Expand(0, 0)})
	}
}

// affordable reports whether a digest between these bounds may be computed for
// the peer. Between the bounds of nodes whose clocks are right, nearly all digests are
// kept: the cut moves with the time and the floor now and then. Others have
// the edges of all topics hashed afresh.
func (b *beatState) affordable(c *Core, floor, cut wire.Time) bool {
	if cut < c.cut().Add(-cutBehindMax) {
		return false
	}
	if floor == b.floor {
		return true
	}
	if c.now < b.floorSince.Add(c.cfg.HeartbeatInterval) {
		return false
	}
	b.floor, b.floorSince = floor, c.now
	return true
}

// answerClock tells a peer with which nothing is to be compared how our clock
// stands, now and then.
func (c *Core) answerClock(p *peer) {
	if c.now >= p.beat.replied.Add(c.cfg.HeartbeatInterval) {
		p.beat.replied = c.now
		c.sendBeat(p, c.floor(), c.cut())
	}
}

func (c *Core) receiveTopicDigests(p *peer, m *wire.TopicDigests) {
	if m.Floor < c.floor() || m.Cut > c.hlc() {
		return // the next heartbeat finds the bounds that both know
	}
	if !slices.Contains(p.beat.named[:], bounds{m.Floor, m.Cut}) {
		c.stats.Unsolicited++
		return // after no heartbeat
	}
	if !c.spend(p) {
		c.demerit(p, "too many topic digests")
		return
	}
	tree := c.commonTree(p, m.Floor, m.Cut)
	descend, open := tree.Diff(m.Nodes)
	var nodes []wire.TopicDigest
	for _, n := range descend {
		children := tree.Expand(n.Prefix, n.Depth)
		if len(nodes)+len(children) > wire.EntriesMax {
			c.send(p, Repair, &wire.TopicDigests{Floor: m.Floor, Cut: m.Cut, Nodes: nodes})
			nodes = nil
		}
		nodes = append(nodes, children...)
	}
	if len(nodes) > 0 {
		c.send(p, Repair, &wire.TopicDigests{Floor: m.Floor, Cut: m.Cut, Nodes: nodes})
	}
	for _, name := range open {
		c.openTopic(p, name, m.Floor, m.Cut)
	}
}
