package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Multicast says when batches go to segments, beside streams or in their stead.
type Multicast uint8

// The modes of multicast.
const (
	MulticastFallback Multicast = iota // while streams do not reach all who are heard
	MulticastOff                       // never
	MulticastAlways                    // first, and streams for whom it does not reach
)

const (
	ackPatience    = 1500 * time.Millisecond // without an acknowledgement of own events that moves on
	coverPatience  = 10 * time.Second        // that an interested member is led to by no chain of streams
	alonePatience  = 2 * time.Second         // the same, if it or this node has no stream at all
	calmPatience   = 10 * time.Second        // without need until a segment is no longer used
	digestPatience = time.Minute             // the same, if all that is left is that sets differ
	holdMin        = 30 * time.Second        // that it is used at least
	holdMax        = 5 * time.Minute
	flapWindow     = 10 * time.Minute
	flapsMin       = 3                // times that it came into use in flapWindow until holdMin is doubled with each
	ownFor         = time.Minute      // after its last batch an own author's acknowledgements are looked at
	ownMax         = 1024             // own authors of which that is done
	recentFor      = 10 * time.Second // own batches younger than that are pushed to a segment that comes into use
	recentMax      = 1024             // of one topic
	recentMaxBytes = 4 << 20
)

// Reasons of a [SegmentState].
const (
	SegmentIdle      = "streams reach all who are interested"
	SegmentUnwanted  = "nobody there wants what this node has"
	SegmentOff       = "multicast is off"
	SegmentAlways    = "always, for somebody is interested"
	SegmentUnheld    = "an own event was not acknowledged"
	SegmentUncovered = "an interested member is not reached by streams"
	SegmentHeld      = "there was need of it of late"
)

// activity is whether a segment is used, and why.
type activity struct {
	on     bool
	reason string
	since  Time
	needed Time   // when there was need of it last
	ons    []Time // when it came into use, within flapWindow
}

func newActivity(now Time) activity { return activity{reason: SegmentUnwanted, since: now} }

// SegmentState is what [Core.Segments] says of a segment.
type SegmentState struct {
	Name      wire.PeerID
	Active    bool   // batches are sent to it
	Reason    string // why, or why not
	Members   int
	Uncovered int  // members, interested, that no chain of streams leads to
	Since     Time // since when it is in use, or not
}

// Segments returns the state of all segments, in the order of their coming.
func (c *Core) Segments() []SegmentState {
	states := make([]SegmentState, len(c.lan.list))
	for i, s := range c.lan.list {
		a := &s.activity
		states[i] = SegmentState{
			Name: s.name, Active: a.on, Reason: a.reason, Members: len(s.members), Since: a.since,
		}
		for _, m := range s.members {
			if !m.covered && m.interested() {
				states[i].Uncovered++
			}
		}
	}
	return states
}

// interested reports whether the member wants a topic of ours.
func (m *member) interested() bool {
	return m.peer != nil && slices.ContainsFunc(m.peer.topics, func(tp *topicPeer) bool {
		return tp.wants && tp.topic.listed
	})
}

// judge decides whether the segment is used.
func (c *Core) judge(s *segment) {
	a := &s.activity
	reason := c.need(s)
	if reason != "" {
		a.needed = c.now
	}
	switch {
	case c.cfg.Multicast == MulticastOff:
		a.reason = SegmentOff
	case !a.on && reason != "":
		c.enter(s, reason)
	case !a.on:
		a.reason = s.idleReason()
	case reason != "":
		a.reason = reason
	case c.now >= a.needed.Add(calmPatience) && c.now >= a.since.Add(c.holdFor(a)) && c.agrees(s):
		a.on, a.reason, a.since = false, s.idleReason(), c.now
		s.words = newWords()
	default:
		a.reason = SegmentHeld
	}
}

// idleReason says why the segment is not used, if it is not off.
func (s *segment) idleReason() string {
	if slices.ContainsFunc(s.members, (*member).interested) {
		return SegmentIdle
	}
	return SegmentUnwanted
}

// holdFor returns how long the segment is to be used at least: longer if it comes and goes.
func (c *Core) holdFor(a *activity) time.Duration {
	if c.cfg.Multicast == MulticastAlways {
		return 0
	}
	return min(holdMin<<max(0, min(len(a.ons)-flapsMin, 8)), holdMax)
}

// agrees reports whether no member is known to hold something else, or so it has been for
// long: what streams reach, they repair. It is asked as seldom as members are compared, for
// hostile ones can make that dear.
func (c *Core) agrees(s *segment) bool {
	if c.now >= s.activity.needed.Add(digestPatience) {
		return true
	}
	if c.now < s.compare {
		return false
	}
	return !slices.ContainsFunc(s.members, func(m *member) bool {
		return m.peer != nil && m.peer.member() && m.interested() && c.differs(m)
	})
}

// need says what the segment is needed for; nothing if it is not. What is needed to go on
// using it is less than what is needed to begin.
func (c *Core) need(s *segment) string {
	unheld, uncovered := c.unheld(s), false
	for _, m := range s.members {
		if !m.interested() {
			continue
		}
		if c.cfg.Multicast == MulticastAlways {
			return SegmentAlways
		}
		patience := coverPatience
		if c.connected == 0 || len(m.presence.Peers) == 0 {
			patience = alonePatience
		}
		uncovered = uncovered || !m.covered && (s.activity.on || c.now >= m.uncovered.Add(patience))
	}
	switch {
	case uncovered:
		return SegmentUncovered
	case unheld:
		return SegmentUnheld
	}
	return ""
}

// unheld reports whether some member has acknowledged nothing more of an author of ours
// for long, although there is something: a neighbour, or one that no stream leads to.
func (c *Core) unheld(s *segment) bool {
	found := false
	for _, a := range c.lan.own {
		for _, m := range s.members {
			tp := m.topicPeer(a.topic)
			if tp == nil || !tp.wants || tp.covered && !tp.neighbour() {
				continue
			}
			found = c.lags(a, tp.peer) || found
		}
	}
	return found
}

// lags reports whether the peer lacks something of an author of ours and has acknowledged
// nothing more for ackPatience.
func (c *Core) lags(a *author, p *peer) bool {
	l := c.linkTo(a, p)
	if l.owned == nil {
		l.owned = &ownLink{}
	}
	switch o := l.owned; {
	case l.head.Compare(a.held) >= 0 || o.refused.Compare(a.held) >= 0:
		o.behind = 0
	case o.behind == 0 || o.seen != l.head:
		o.behind, o.seen = c.now, l.head
	default:
		return c.now >= o.behind.Add(ackPatience)
	}
	return false
}

// ownLink is what the acknowledgements of an author of ours show, beside the head.
type ownLink struct {
	refused wire.Mark // up to there the peer said why it does not take it
	seen    wire.Mark // the head at the last look
	behind  Time      // since when that is below ours and does not move; 0: it is not
}

// topicPeer returns what the member and a topic have to do with each other, or nil.
func (m *member) topicPeer(t *topic) *topicPeer {
	if m.peer == nil {
		return nil
	}
	return t.topicPeerOf(m.peer)
}

// noteOwn notes that an author of ours has published.
func (c *Core) noteOwn(a *author) {
	l := &c.lan
	known := a.published != 0
	a.published = c.now
	if known {
		return
	}
	if len(l.own) >= ownMax {
		l.own[0].published = 0
		l.own = slices.Delete(l.own, 0, 1)
	}
	l.own = append(l.own, a)
}

// ageOwn forgets own authors that have not published for long.
func (c *Core) ageOwn() {
	c.lan.own = slices.DeleteFunc(c.lan.own, func(a *author) bool {
		old := c.now >= a.published.Add(ownFor)
		if old {
			a.published = 0
		}
		return old
	})
}

// enter begins to use the segment: what of ours is young and not acknowledged is pushed,
// word of it all is told.
func (c *Core) enter(s *segment, reason string) {
	a := &s.activity
	a.on, a.reason, a.since = true, reason, c.now
	a.ons = slices.DeleteFunc(a.ons, func(at Time) bool { return c.now >= at.Add(flapWindow) })
	a.ons = append(a.ons, c.now)
	c.stats.SegmentSwitches++
	alone := func(m *member) bool { return m.interested() && !m.covered }
	if reason == SegmentAlways && !slices.ContainsFunc(s.members, alone) {
		return // what was published so far is on its way over streams
	}
	for _, own := range c.lan.own {
		c.castRecent(s, own)
	}
	c.tellOwn(s)
}

// castRecent pushes what is young of an own author's batches, and not acknowledged by
// all members who want it.
func (c *Core) castRecent(s *segment, a *author) {
	acked, wanted := a.held, false
	for _, m := range s.members {
		if tp := m.topicPeer(a.topic); tp != nil && tp.wants {
			wanted = true
			if l := a.linkOf(tp.peer); l == nil {
				acked = wire.Mark{}
			} else if l.head.Compare(acked) < 0 {
				acked = l.head
			}
		}
	}
	if !wanted || a.topic.monger != nil {
		return
	}
	from, bytes := len(a.batches), 0
	for from > 0 && len(a.batches)-from < recentMax && bytes < recentMaxBytes {
		e := a.batches[from-1]
		if e.end().Compare(acked) <= 0 || e.time < c.hlc().Add(-recentFor) {
			break
		}
		bytes += int(e.size)
		from--
	}
	for _, e := range a.batches[from:] {
		if e.state == held {
			c.cast(s, e, News)
		}
	}
}
