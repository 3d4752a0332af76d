package gossip

import "github.com/busnode/busnode/gossip/wire"

// Peers returns the peers that hold or want the topic, by ID.
func (c *Core) Peers(topic string) []wire.PeerID {
	t := c.topics[topic]
	if t == nil {
		return nil
	}
	ids := make([]wire.PeerID, len(t.peers))
	for i, tp := range t.peers {
		ids[i] = tp.peer.id
	}
	return ids
}

// PeerTopics returns the topics that the peer holds or wants, of those known
// here.
func (c *Core) PeerTopics(id wire.PeerID) []string {
	p := c.peers[id]
	if p == nil {
		return nil
	}
	names := make([]string, len(p.topics))
	for i, tp := range p.topics {
		names[i] = tp.topic.name
	}
	return names
}

// Neighbours returns with how many peers the topic is gossiped.
func (c *Core) Neighbours(topic string) int {
	if t := c.topics[topic]; t != nil {
		return t.neighbours()
	}
	return 0
}

// Lag returns how many events of the topic peers are known to hold that this
// node does not, as far as sequences tell.
func (c *Core) Lag(topic string) (n uint64) {
	t := c.topics[topic]
	if t == nil || !t.interested {
		return 0
	}
	for _, a := range t.authorList {
		after, upto, ok := a.missing()
		switch {
		case !ok:
		case after.Epoch == upto.Epoch:
			n += upto.Seq - after.Seq
		default:
			n += upto.Seq
		}
	}
	return n + uint64(t.lack.found)
}
