package gossip

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// What this node says of itself to all on its segments, and what others say there.

const (
	// presenceQuantum is what the cut of a presence is a multiple of. A digest up to a cut
	// that moves with each batch would never be the same at two nodes.
	presenceQuantum = 4 * time.Second
	presenceDelay   = 100 * time.Millisecond // from a change to the presence that tells it
	presenceMargin  = 16 * time.Second       // above what retention removes, for clocks differ
	strangeMax      = 256                    // topics of one member's that are not known here, and were asked for
	presenceNewest  = wire.PresenceTopicsMax / 2
)

// presenceSoon looks soon whether what we say of ourselves has changed.
func (c *Core) presenceSoon() {
	if len(c.lan.list) > 0 {
		c.lan.presenceAt = min(c.lan.presenceAt, c.now.Add(presenceDelay))
	}
}

// renewPresence tells what we say of ourselves, if it has changed.
func (c *Core) renewPresence() {
	l := &c.lan
	l.presenceAt = c.now.Add(presenceQuantum)
	next := c.makePresence()
	if last := l.presence; last != nil && samePresence(last, next) {
		return // the earlier cut holds as well
	}
	l.presence = next
	c.out.Presence = next
}

func samePresence(x, y *wire.Presence) bool {
	return x.Any == y.Any && x.Filters == y.Filters && slices.Equal(x.Topics, y.Topics) && slices.Equal(x.Peers, y.Peers)
}

// Presence returns what this node says of itself to all on its segments; nil while it has
// none. The caller must not change it.
func (c *Core) Presence() *wire.Presence { return c.lan.presence }

func (c *Core) makePresence() *wire.Presence {
	cut := c.cut()
	p := &wire.Presence{Cut: cut - cut%wire.Time(presenceQuantum)}
	for _, f := range c.interests.filters {
		p.Filters += wire.TagOf(f)
	}
	p.Any = c.interests.any()
	topics, all := c.presentTopics()
	p.Any = p.Any || !all
	for _, t := range topics {
		p.Topics = append(p.Topics, wire.TopicTag{Tag: t.tag(), Digest: c.digestUpTo(t, p.Cut)})
	}
	for _, q := range c.peerList {
		if !q.member() {
			p.Peers = append(p.Peers, q.id.Tag())
		}
	}
	slices.Sort(p.Peers) // the same ones at all nodes, so that the graph holds together
	p.Peers = p.Peers[:min(len(p.Peers), wire.PresencePeersMax)]
	return p
}

// presentTopics returns the topics that a presence names: all that this node holds in
// full, if there is room. Else the newest, and of the others some in turn, so that all
// are compared in the end.
func (c *Core) presentTopics() (topics []*topic, all bool) {
	for _, t := range c.topicList {
		if t.interested {
			topics = append(topics, t)
		}
	}
	if len(topics) <= wire.PresenceTopicsMax {
		return topics, true
	}
	slices.SortStableFunc(topics, func(x, y *topic) int { return cmp.Compare(y.newest, x.newest) })
	others := topics[presenceNewest:]
	slices.SortFunc(others, func(x, y *topic) int { return cmp.Compare(x.hash, y.hash) })
	topics = slices.Clone(topics[:presenceNewest])
	for range wire.PresenceTopicsMax - presenceNewest {
		c.lan.turn++
		topics = append(topics, others[c.lan.turn%len(others)])
	}
	slices.SortFunc(topics, func(x, y *topic) int { return cmp.Compare(x.hash, y.hash) })
	return slices.Compact(topics), false
}

// digestUpTo returns four bytes of the digest of what the topic's set has before cut,
// and well above what retention removes.
func (c *Core) digestUpTo(t *topic, cut wire.Time) uint32 {
	var floor wire.Time
	if age := c.cfg.RetainAge; age > 0 {
		floor = cut.Add(-age + age/16 + presenceMargin)
		floor -= floor % wire.Time(presenceQuantum)
	}
	d, n := t.set.Digest(floor, cut)
	if n == 0 {
		return 0
	}
	return max(1, binary.BigEndian.Uint32(d[:]))
}

// differs reports whether a member holds other batches than this node of a topic that
// both hold in full, as far as it says what it holds; or may hold a topic that this node
// wants and does not know.
func (c *Core) differs(m *member) bool {
	x := &m.presence
	if x.Cut > c.hlc() {
		return false // its clock is ahead, or ours behind
	}
	differs := slices.ContainsFunc(x.Topics, func(e wire.TopicTag) bool {
		t := c.lan.byTag[e.Tag]
		if t == nil {
			return e.Digest != 0 && c.interests.any() && !slices.Contains(m.strange, e.Tag)
		}
		return t.interested && t.compared && c.digestUpTo(t, x.Cut) != e.Digest
	})
	if differs || m.peer == nil || len(x.Topics) == wire.PresenceTopicsMax {
		return differs
	}
	// It names all that it holds: what else it wants, it lacks.
	return slices.ContainsFunc(m.peer.topics, func(tp *topicPeer) bool {
		t := tp.topic
		return tp.wants && t.interested && t.compared && t.set.Count(0, x.Cut) > 0 &&
			!slices.ContainsFunc(x.Topics, func(e wire.TopicTag) bool { return e.Tag == t.tag() })
	})
}

// noteStrange notes the topics of the member's that are not known here: when it was asked
// for its topics, those that we want become known.
func (m *member) noteStrange(c *Core) {
	for _, e := range m.presence.Topics {
		if c.lan.byTag[e.Tag] == nil && !slices.Contains(m.strange, e.Tag) {
			if len(m.strange) == strangeMax {
				m.strange = slices.Delete(m.strange, 0, 1)
			}
			m.strange = append(m.strange, e.Tag)
		}
	}
}
