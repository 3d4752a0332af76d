package sim

import (
	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Publish has the node publish a batch of one event with a payload of so many
// bytes, and returns the batch's index. The node is up, a publisher, and its log
// takes writes.
func (n *Node) Publish(topic string, payload int) int {
	prev := n.log.prev(topic)
	b := n.seal(topic, payload, *prev)
	*prev = wire.Prev{Mark: b.Header.End(), Time: b.Header.Time}
	return n.Inject(b)
}

// prev returns where the node's newest batch of the topic is kept.
func (l *nodeLog) prev(topic string) *wire.Prev {
	for i := range l.lasts {
		if l.lasts[i].topic == topic {
			return &l.lasts[i].prev
		}
	}
	l.lasts = append(l.lasts, topicPrev{topic: topic})
	return &l.lasts[len(l.lasts)-1].prev
}

func (n *Node) seal(topic string, payload int, prev wire.Prev) *wire.Batch {
	mustf(n.signer != nil, "node %d is no publisher", n.Index)
	first := uint64(1)
	if prev.Epoch == n.epoch {
		first = prev.Seq + 1
	}
	h := wire.Header{
		Version: 1, Network: network, Topic: topic, Epoch: n.epoch, First: first, Count: 1,
		Prev: prev, Time: max(n.wall(), n.hlc+1, prev.Time+1),
	}
	body := wire.AppendEvent(nil, h.Time, &wire.Event{Time: h.Time, Payload: make([]byte, payload)})
	b, err := wire.Seal(h, body, n.signer)
	mustf(err == nil, "node %d cannot seal: %v", n.Index, err)
	return b
}

// Inject has the node publish a batch that was sealed by its key.
func (n *Node) Inject(b *wire.Batch) int {
	s := n.sim
	i := s.store.add(b, n.Index, s.now)
	n.hlc = max(n.hlc, b.Header.Time)
	a := n.log.at(i)
	*a = Arrival{Reached: s.now, Released: s.now, From: int32(n.Index), state: seen | stored | released}
	for _, o := range s.watch {
		o.Published(n, i)
		o.Stored(n, i)
		o.Released(n, i, false)
	}
	n.tick()
	n.core.Publish(b.ID, &b.Header)
	n.step()
	return i
}

// Equivocate has the node publish a batch, and hands another one for the same
// place, signed with the node's key, to one of its neighbours.
func (n *Node) Equivocate(topic string, to *Node) {
	s := n.sim
	b := n.seal(topic, twinBytes, *n.log.prev(topic))
	n.Publish(topic, 0)
	i := s.store.add(b, n.Index, s.now)
	s.store.twins = append(s.store.twins, equivocation{topic, n.author, b.Header.Start()})
	for _, o := range s.watch {
		o.Published(n, i)
	}
	l := n.linkTo(to)
	mustf(l != nil, "nodes %d and %d are not connected", n.Index, to.Index)
	d := s.newDelivery(n, l, gossip.News)
	d.add(s, nil, i)
	s.dispatch(d)
}
