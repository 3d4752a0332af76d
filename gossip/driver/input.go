package driver

import (
	"context"
	"sync"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// input is something that the loop hears of. Its apply runs on the loop and
// must not block.
type input interface{ apply(d *Driver) }

// post hands an input to the loop, waiting for room. It returns false once the
// driver is closed.
func (d *Driver) post(in input) bool {
	select {
	case <-d.stop: // even if the inbox has room
		return false
	default:
	}
	select {
	case d.inbox <- in:
		return true
	case <-d.stop:
		return false
	}
}

// reports is the loop's second way in, for those who must not wait: the log's
// callbacks, the sealer, the outboxes. What they have under way is bounded
// elsewhere, so this list is too.
type reports struct {
	signal chan struct{} // capacity 1: the list is not empty

	mu   sync.Mutex // guards the field below
	list []input
}

func (r *reports) add(in input) {
	r.mu.Lock()
	r.list = append(r.list, in)
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

func (r *reports) take() []input {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.list
	r.list = nil
	return l
}

// ask posts a query and waits for the reply, which the query's apply sends on
// a channel with room for it.
func ask[T any](ctx context.Context, d *Driver, q input, reply <-chan T) (T, error) {
	var none T
	select {
	case <-d.stop: // even if the inbox has room
		return none, ErrClosed
	default:
	}
	select {
	case d.inbox <- q:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-d.stop:
		return none, ErrClosed
	}
	select {
	case r := <-reply:
		return r, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-d.stop:
		return none, ErrClosed
	}
}

// interest adds or removes a filter.
type interest struct {
	filter string
	add    bool
}

func (in interest) apply(d *Driver) {
	if in.add {
		d.core.AddInterest(in.filter)
		return
	}
	d.core.RemoveInterest(in.filter)
}

// AddInterest lets this node hold the topics that match the filter, and be
// sent their events. Interests are counted: as many RemoveInterest end it.
// The error wraps [wire.ErrFilter] or [ErrClosed].
func (d *Driver) AddInterest(filter string) error { return d.postInterest(filter, true) }

// RemoveInterest ends one [Driver.AddInterest].
func (d *Driver) RemoveInterest(filter string) error { return d.postInterest(filter, false) }

func (d *Driver) postInterest(filter string, add bool) error {
	if err := wire.ValidFilter(filter); err != nil {
		return err
	}
	if !d.post(interest{filter, add}) {
		return ErrClosed
	}
	return nil
}

// Announce makes the topic known to peers that are interested in it before
// anything is published on it. It does not wait. The error wraps
// [wire.ErrTopic] or [ErrClosed].
func (d *Driver) Announce(topic string) error {
	if err := wire.ValidTopic(topic); err != nil {
		return err
	}
	if !d.post(announce{topic}) {
		return ErrClosed
	}
	return nil
}

type announce struct{ topic string }

func (in announce) apply(d *Driver) { d.core.Announce(in.topic) }

// begin asks for the epoch of this run to be chosen, at the first Publish and
// not before, so that what peers told since the start counts too.
type begin struct{ reply chan struct{} }

func (q begin) apply(d *Driver) {
	if !d.seq.begun.Load() {
		e := d.clock.epochAbove(d.core.NewestEpoch())
		d.core.SetEpoch(e)
		d.seq.start(e)
	}
	q.reply <- struct{}{}
}

// TopicStats is how a topic fares among the peers.
type TopicStats struct {
	Neighbours int    // peers that this node gossips the topic with
	Lag        uint64 // events that peers are known to hold and this node lacks
}

type topicStatsQuery struct {
	topic string
	reply chan TopicStats
}

func (q topicStatsQuery) apply(d *Driver) {
	q.reply <- TopicStats{Neighbours: d.core.Neighbours(q.topic), Lag: d.core.Lag(q.topic)}
}

// TopicStats returns how the topic fares among the peers; zero after Close.
func (d *Driver) TopicStats(topic string) TopicStats {
	reply := make(chan TopicStats, 1)
	s, _ := ask(context.Background(), d, topicStatsQuery{topic, reply}, reply) // fails after Close alone
	return s
}

type topicPeersQuery struct {
	topic string
	reply chan []wire.PeerID
}

func (q topicPeersQuery) apply(d *Driver) { q.reply <- d.core.Peers(q.topic) }

// TopicPeers returns the peers that are up and have to do with the topic; none
// after Close.
func (d *Driver) TopicPeers(topic string) []wire.PeerID {
	reply := make(chan []wire.PeerID, 1)
	p, _ := ask(context.Background(), d, topicPeersQuery{topic, reply}, reply) // fails after Close alone
	return p
}

type coreStatsQuery struct{ reply chan gossip.Stats }

func (q coreStatsQuery) apply(d *Driver) { q.reply <- d.core.Stats() }
