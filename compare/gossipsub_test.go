package compare

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gossipSub is a go-libp2p-pubsub node on each host, with default parameters
// but for the largest message, which would keep large payloads out.
type gossipSub struct {
	topics  []*pubsub.Topic
	copies  atomic.Int64
	refused atomic.Int64
	dropped atomic.Int64
	stop    context.CancelFunc
	readers sync.WaitGroup
}

const gossipSubMessageMax = 4 << 20

func openGossipSub(t *testing.T, hosts []host.Host, r *recorder) system {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	g := &gossipSub{stop: stop}
	for i, h := range hosts {
		ps, err := pubsub.NewGossipSub(ctx, h,
			pubsub.WithMaxMessageSize(gossipSubMessageMax),
			pubsub.WithRawTracer(&copyTracer{system: g, self: h.ID()}))
		if err != nil {
			t.Fatal(err)
		}
		topic, err := ps.Join(topicName)
		if err != nil {
			t.Fatal(err)
		}
		sub, err := topic.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		g.topics = append(g.topics, topic)
		g.readers.Go(func() {
			for {
				m, err := sub.Next(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("node %d: %v", i, err)
					}
					return
				}
				r.received(i, m.Data)
			}
		})
	}
	return g
}

func (g *gossipSub) publish(ctx context.Context, node int, payload []byte) error {
	return g.topics[node].Publish(ctx, payload)
}

func (g *gossipSub) counters() map[string]int64 {
	return map[string]int64{
		copiesCounter: g.copies.Load(),
		"refused":     g.refused.Load(),
		"rpc_dropped": g.dropped.Load(),
	}
}

func (g *gossipSub) close() error {
	g.stop()
	g.readers.Wait()
	return nil
}

// copyTracer counts the payloads that a node gets from others, whatever
// becomes of them.
type copyTracer struct {
	system *gossipSub
	self   peer.ID
}

func (c *copyTracer) count(m *pubsub.Message) {
	if m.ReceivedFrom != c.self {
		c.system.copies.Add(1)
	}
}

// DeliverMessage implements [pubsub.RawTracer].
func (c *copyTracer) DeliverMessage(m *pubsub.Message) { c.count(m) }

// DuplicateMessage implements [pubsub.RawTracer].
func (c *copyTracer) DuplicateMessage(m *pubsub.Message) { c.count(m) }

// RejectMessage implements [pubsub.RawTracer].
func (c *copyTracer) RejectMessage(m *pubsub.Message, _ string) {
	c.count(m)
	c.system.refused.Add(1)
}

// DropRPC implements [pubsub.RawTracer].
func (c *copyTracer) DropRPC(*pubsub.RPC, peer.ID) { c.system.dropped.Add(1) }

// The rest of [pubsub.RawTracer] is of no interest.

func (c *copyTracer) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (c *copyTracer) OnClosedOutboundStream(peer.ID)                       {}
func (c *copyTracer) Join(string)                                          {}
func (c *copyTracer) Leave(string)                                         {}
func (c *copyTracer) Graft(peer.ID, string)                                {}
func (c *copyTracer) Prune(peer.ID, string)                                {}
func (c *copyTracer) ValidateMessage(*pubsub.Message)                      {}
func (c *copyTracer) ThrottlePeer(peer.ID)                                 {}
func (c *copyTracer) RecvRPC(*pubsub.RPC)                                  {}
func (c *copyTracer) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (c *copyTracer) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (c *copyTracer) UndeliverableMessage(*pubsub.Message)                 {}

var _ pubsub.RawTracer = (*copyTracer)(nil)
