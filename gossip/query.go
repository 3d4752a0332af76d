package gossip

import "github.com/busnode/busnode/gossip/wire"

// RumorState is what a batch is to a node, in the words of Demers et al.
type RumorState uint8

// The states.
const (
	Susceptible RumorState = iota // it has not got it
	Infective                     // it spreads it
	Removed                       // it has it and spreads it no more
)

// State returns how far the batch has come here. Where a tree spreads it, it is
// infective while some neighbour neither is known to hold it nor was told of it.
func (c *Core) State(id wire.BatchID) RumorState {
	e := c.batch(id)
	if e == nil || e.id != id {
		return Susceptible
	}
	return e.author.topic.strategy.state(e)
}

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
