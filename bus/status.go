package bus

import (
	"time"

	"github.com/busnode/busnode/gossip/carrier"
)

// Peer is a connected peer.
type Peer struct {
	ID     PeerID
	Addrs  []string
	Path   string // "direct-tcp", "direct-quic", "relayed", "multicast" or "memory"
	Relay  PeerID // the relay, if relayed
	RTT    time.Duration
	Topics []string // those that this node shares with it, by name
	Since  time.Time
}

// TopicInfo sums up a topic of this node.
type TopicInfo struct {
	Name       string
	Events     uint64 // held
	Bytes      int64  // held
	First      uint64 // lowest offset held
	Last       uint64 // highest offset; meaningless while the topic has none, see Next
	Next       uint64 // offset of the next event to come
	Authors    int
	Neighbours int    // peers with which it is gossiped
	Lag        uint64 // events that peers are known to hold and this node does not
}

// LogStats sums up the node's log.
type LogStats struct {
	Events, Batches uint64
	Bytes           int64
	Durable         bool  // on disk
	Full            bool  // no space left: publishing fails, reading and serving go on
	Failed          error // why writing fails, Full or worse; nil: it does not
	Incarnation     uint64
	Syncs, Writes   uint64
	Repaired        []string // what the start found damaged, and did about it
}

// Stats sums up the node. The counters only grow, and are named in docs/metrics.md.
type Stats struct {
	Peers         int
	Topics        int
	Subscriptions int
	Log           LogStats
	Counters      map[string]uint64
}

// Peers returns the peers that are connected now.
func (b *Bus) Peers() []Peer {
	peers := b.driver.Peers()
	infos := make([]Peer, len(peers))
	for i, p := range peers {
		infos[i] = Peer{
			ID:     peerIDOf(p.ID),
			Addrs:  p.Link.Addrs,
			Path:   string(p.Link.Path),
			RTT:    p.RTT,
			Topics: p.Topics,
			Since:  p.Since,
		}
		if p.Link.Path == carrier.PathRelayed {
			infos[i].Relay = PeerID(p.Link.Relay)
		}
	}
	return infos
}

// Topics returns the topics that this node holds something of, by name.
func (b *Bus) Topics() []TopicInfo {
	topics := b.log.Topics()
	infos := make([]TopicInfo, len(topics))
	for i, t := range topics {
		s := b.driver.TopicStats(t.Name)
		infos[i] = TopicInfo{
			Name: t.Name, Events: t.Events, Bytes: t.Bytes, First: t.First, Next: t.Next, Last: max(t.Next, 1) - 1,
			Authors: t.Authors, Neighbours: s.Neighbours, Lag: s.Lag,
		}
	}
	return infos
}

// Stats returns the node's figures.
func (b *Bus) Stats() Stats {
	info := b.log.Info()
	b.mu.Lock()
	subscriptions := len(b.readers)
	b.mu.Unlock()
	stats := b.driver.Stats()
	counters := stats.Counters()
	b.net.count(counters)
	return Stats{
		Peers:         len(b.driver.Peers()),
		Topics:        len(b.log.Topics()),
		Subscriptions: subscriptions,
		Log: LogStats{
			Events: info.Events, Batches: info.Batches, Bytes: info.Bytes, Durable: info.Durable,
			Full: info.Full, Failed: info.Failed, Incarnation: info.Incarnation,
			Syncs: info.Syncs, Writes: info.Writes, Repaired: info.Repaired,
		},
		Counters: counters,
	}
}
