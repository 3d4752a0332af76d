// Package bus is an event bus without a broker: programs publish events on
// topics, and nodes that care about a topic hold its events in a log of their
// own, spread them and repair each other's losses.
//
//	b, err := bus.Open(ctx, bus.WithDataDir(dir))
//	defer b.Close()
//	orders, err := bus.TopicOf(b, "orders.eu", bus.JSON[Order]{})
//	id, err := orders.Publish(ctx, Order{ID: 7})  // this node holds it
//	err = b.WaitHeld(ctx, id, 1)                  // one other node has it too
//	sub, err := orders.Subscribe(ctx, bus.FromStart(), bus.Durable("billing"))
//	for ev, err := range sub.Events(ctx) { …; err = sub.Ack(ctx, ev) }
//
// An event goes from Publish through the codec to the node's sequencer, which
// signs what is waiting as one batch, into the log, and from there to
// subscriptions here and to other nodes, whose subscriptions read their logs.
//
// # Promises
//
// They are numbered, and cited by code and tests; docs/guarantees.md names the
// test of each.
//
//   - P1 Held. [Topic.Publish] returns nil when this node holds the event in its
//     log as durably as [LogConfig] says. That another node has it is a question
//     of its own: [Bus.WaitHeld].
//   - P2 Everywhere. Every node interested in a topic, now or later, gets every
//     event that some node still retains and that a chain of nodes leads to which
//     are interested in the topic, or forward it, and whose retention has not
//     removed it, whatever was lost, cut or restarted meanwhile. Late joiners too.
//   - P3 Once. A node stores an event once; a [Subscription] sees it once. One
//     with a [Durable] name sees it at least once across crashes: everything
//     after the last acknowledged.
//   - P4 In order. The events of one publisher on one topic reach every
//     subscription in the order of their publishing. The one exception is marked:
//     what arrives after its gap was reported has [Event].Late set.
//   - P5 Never silent. What is refused, dropped, skipped or given up is an error
//     to its caller, a [GapError], [LagError] or [DecodeError] in the
//     subscription's own sequence, or at least a counter with a reason in [Stats].
//   - P6 Authentic. Every event carries its publisher's signature, which is
//     checked before it is delivered or passed on.
//   - P7 Private. Nothing leaves the host unencrypted. With [WithNetworkKey] a
//     stranger learns no topic, event or member beyond the node it dialled.
//   - P8 Bounded. Memory, disk, bandwidth and work have limits with names:
//     [WithEventLog], [WithGossip].
//   - P9 No special node. Any node may stop, restart, join or leave at any time.
//   - P10 Scales. What a node sends for an event does not grow with the number
//     of nodes.
//
// # What is not promised
//
//   - An order between publishers, or between topics. Nodes may see the events of
//     two publishers in different orders, so offsets differ between nodes.
//   - Effects exactly once. After a crash a durable subscription sees again
//     what it had not acknowledged; [Event].ID tells repetitions.
//   - That anybody listens. Publish on a topic without subscribers succeeds, and
//     the events wait in the log for who comes.
//   - Events that retention removed everywhere, or whose only holder is gone for
//     good. Who waits for them gets a [GapError].
//
// # Concurrency and lifetimes
//
// All methods are safe for concurrent use. A context given to a function bounds
// that call alone; [Bus.Close], [Subscription.Close] and leaving the loop over
// [Topic.Events] end things. Publish never waits for the network, and a
// subscription that nobody reads holds nothing up: it is a place in the log.
//
// # Stability
//
// This package follows semantic versioning. What it is built on, below
// gossip and p2p, may change until version 1.
//
// # Testing
//
// Package [github.com/busnode/busnode/bus/bustest] gives tests a network of
// buses in memory, which can be cut, delayed and made to lose frames.
package bus
