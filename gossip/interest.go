package gossip

import (
	"slices"
	"strings"

	"github.com/busnode/busnode/gossip/wire"
)

// interests are this node's filters, each with how many asked for it.
type interests struct {
	filters []string // sorted
	counts  []int
}

func (s *interests) match(topic string) bool {
	return slices.ContainsFunc(s.filters, func(f string) bool { return wire.Match(f, topic) })
}

// any reports whether a filter may match topics that are not known.
func (s *interests) any() bool {
	return slices.ContainsFunc(s.filters, func(f string) bool { return !plain(f) })
}

// add reports whether the filter is new.
func (s *interests) add(filter string) bool {
	i, ok := slices.BinarySearch(s.filters, filter)
	if ok {
		s.counts[i]++
		return false
	}
	s.filters = slices.Insert(s.filters, i, filter)
	s.counts = slices.Insert(s.counts, i, 1)
	return true
}

// remove reports whether that was the last who asked for the filter.
func (s *interests) remove(filter string) bool {
	i, ok := slices.BinarySearch(s.filters, filter)
	if !ok {
		return false
	}
	if s.counts[i]--; s.counts[i] > 0 {
		return false
	}
	s.filters = slices.Delete(s.filters, i, i+1)
	s.counts = slices.Delete(s.counts, i, i+1)
	return true
}

// plain reports whether the filter names one topic.
func plain(filter string) bool { return !strings.ContainsAny(filter, "*>") }

// AddInterest makes this node hold everybody's events of the topics that match
// the filter. It is counted: as many RemoveInterest end it.
func (c *Core) AddInterest(filter string) {
	if !c.interests.add(filter) {
		return
	}
	c.tellInterest(&wire.Interest{Add: []string{filter}})
	if plain(filter) {
		c.list(c.ownTopic(filter))
	}
	for _, t := range c.topicList {
		if !t.interested && wire.Match(filter, t.name) {
			t.interested = true
			c.notice(Notice{Kind: NoticeTopic, Topic: t.name})
			c.tellTopic(t)
			c.chooseNeighbours(t)
			c.seekPeers(t)
			for _, a := range t.authorList { // what waited when the interest went away
				c.order(a)
				c.fetchSoon(a, 0)
			}
		}
	}
}

// Announce makes the topic exist for peers whose filters match it, before
// anything was published on it: so both sides know of each other, and the
// first event finds its links made.
func (c *Core) Announce(topic string) {
	c.list(c.ownTopic(topic))
}

// RemoveInterest takes back one AddInterest. What the log holds of the topics stays.
func (c *Core) RemoveInterest(filter string) {
	if !c.interests.remove(filter) {
		return
	}
	c.tellInterest(&wire.Interest{Remove: []string{filter}})
	var idle []*topic
	for _, t := range c.topicList {
		if t.interested && !c.interests.match(t.name) {
			t.interested = false
			c.keepLost(t)
			for _, tp := range t.peers {
				tp.trimmedTold = 0 // the peer may forget us with our interest
			}
			c.tellTopic(t)
			c.chooseNeighbours(t)
			if len(t.passive) > 0 && c.degree(t) == 0 {
				c.forgetPassive(t)
				idle = append(idle, t)
			}
		}
	}
	for _, t := range idle {
		c.forgetTopic(t)
	}
}

// tellInterest tells all peers but quiet members a change of our filters.
func (c *Core) tellInterest(m *wire.Interest) {
	for _, p := range c.peerList {
		if !p.quiet() {
			c.send(p, News, m)
		}
	}
	c.presenceSoon()
}

// sendInterests tells a new peer all filters.
func (c *Core) sendInterests(p *peer) {
	filters := c.interests.filters
	for len(filters) > 0 {
		n := min(len(filters), filtersPerMessage)
		c.send(p, News, &wire.Interest{Add: slices.Clone(filters[:n])})
		filters = filters[n:]
	}
}

// Lists in one message stay below a control frame even if all names are long.
const (
	topicsShare       = 2 // a peer may announce this part of TopicsMax
	filtersPerMessage = 128
	topicsPerMessage  = 128
	headsPerMessage   = 256
)

func (c *Core) receiveInterest(p *peer, m *wire.Interest) {
	if len(p.plain)+len(p.wild)+len(m.Add) > wire.FiltersMax {
		c.demerit(p, "more filters than allowed")
		return
	}
	var removed []string
	for _, f := range m.Remove {
		n := len(p.plain) + len(p.wild)
		delete(p.plain, f)
		p.wild = slices.DeleteFunc(p.wild, func(w string) bool { return w == f })
		if len(p.plain)+len(p.wild) < n {
			removed = append(removed, f)
			p.countFilter(f, -1)
		}
	}
	c.reviewWants(p, removed)
	var added []*topic
	for _, f := range m.Add {
		if plain(f) {
			if _, known := p.plain[f]; !known {
				p.countFilter(f, 1)
			}
			p.plain[f] = struct{}{}
			if t := c.topics[f]; t != nil {
				added = append(added, t)
			}
			continue
		}
		if slices.Contains(p.wild, f) {
			continue
		}
		p.wild = append(p.wild, f)
		p.countFilter(f, 1)
		for _, t := range c.topicList {
			if wire.Match(f, t.name) {
				added = append(added, t)
			}
		}
	}
	c.tellTopics(p, added)
	for _, t := range added {
		tp := c.meet(p, t)
		if !tp.wants {
			tp.wants = true
			c.chooseNeighbours(t)
			c.greet(tp)
		}
	}
}

// reviewWants drops the topics that only the removed filters of the peer matched.
func (c *Core) reviewWants(p *peer, removed []string) {
	if len(removed) == 0 {
		return
	}
	c.endWants(p, func(tp *topicPeer) bool {
		return slices.ContainsFunc(removed, func(f string) bool { return wire.Match(f, tp.topic.name) })
	})
}

// endWants drops those of the topics which the peer wants no more.
func (c *Core) endWants(p *peer, among func(*topicPeer) bool) {
	p.topics = slices.DeleteFunc(p.topics, func(tp *topicPeer) bool {
		if !tp.wants || !among(tp) || p.wantsTopic(tp.topic) {
			return false
		}
		tp.wants, tp.told, tp.linkOut, tp.linkIn = false, false, false, false
		if tp.holds {
			c.chooseNeighbours(tp.topic)
			c.lackPeer(tp.topic)
			return false
		}
		c.leaveTopic(tp)
		return true
	})
}

// tellTopics tells the peer those of the topics that exist here.
func (c *Core) tellTopics(p *peer, topics []*topic) {
	if p.quiet() {
		return
	}
	var m *wire.Topics
	for _, t := range topics {
		if !t.listed {
			continue
		}
		tp := c.meet(p, t)
		if tp.told && tp.toldAs == t.scope() {
			continue
		}
		tp.told, tp.toldAs = true, t.scope()
		if m == nil || len(m.Add) == topicsPerMessage {
			m = &wire.Topics{}
			c.send(p, News, m)
		}
		m.Add = append(m.Add, wire.TopicEntry{Name: t.name, Scope: t.scope()})
	}
}

// tellTopic tells all peers whose filters match that the topic exists, or that
// we hold another part of it.
func (c *Core) tellTopic(t *topic) {
	for _, tp := range slices.Clone(t.peers) {
		if tp.wants {
			c.tellTopics(tp.peer, []*topic{t})
		}
	}
}

// list makes the topic exist for others.
func (c *Core) list(t *topic) {
	if t.listed {
		return
	}
	t.listed = true
	c.tellTopic(t)
	c.chooseNeighbours(t)
}

func (c *Core) receiveTopics(p *peer, m *wire.Topics) {
	for _, e := range m.Add {
		if !c.interests.match(e.Name) {
			c.stats.Unsolicited++ // we lost the interest while it was on its way
			continue
		}
		if len(p.topics) >= c.cfg.TopicsMax/topicsShare {
			c.demerit(p, "more topics than allowed")
			return
		}
		t := c.heardTopic(e.Name)
		if t == nil {
			continue
		}
		tp := c.meet(p, t)
		fresh := !tp.holds
		tp.holds, tp.scope = true, e.Scope
		c.list(t)
		if fresh {
			if !tp.wants {
				c.chooseNeighbours(t)
			}
			c.greet(tp)
		}
	}
	for _, name := range m.Remove {
		t := c.topics[name]
		if t == nil {
			continue
		}
		tp := t.topicPeerOf(p)
		if tp == nil {
			continue
		}
		tp.holds = false
		if !tp.wants {
			p.topics = slices.DeleteFunc(p.topics, func(x *topicPeer) bool { return x == tp })
			c.leaveTopic(tp)
		}
	}
}
