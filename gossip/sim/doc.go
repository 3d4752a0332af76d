// Package sim is a discrete-event simulator of the gossip core: many
// [gossip.Core]s, the code that runs in production, on one virtual clock and a
// virtual network, in one goroutine. Equal parameters and equal seeds give equal
// runs, to the last message.
//
// There are three layers:
//
//   - [Sim] is the world: nodes with logs, links with latency, bandwidth and
//     faults, a queue of events. Tests and fault runs use it directly.
//   - [Experiment] is a run that a person describes by a few numbers; it builds
//     a Sim, lets it run and returns a [Result].
//   - [Rounds] are the synchronous cycles with uniform partners of Demers et al.
//     (PODC 1987), in which the papers state their figures.
//
// What is simulated is a stream carrier: the frames of a lane arrive in order,
// and a packet that is lost delays the frames behind it. Frames that vanish,
// come twice, out of order or damaged are faults beyond what a carrier does;
// [Faults] has them. Frames have the sizes of the real encoding, without what
// encryption, QUIC or TCP add.
//
// [Swarm] draws networks and faults from a seed and holds them to the promises by
// [Checkers]; [ParseScenario] reads scripts. docs/simulator.md tells how to use all of it.
//
// Not simulated: the time that computing takes, the driver's coalescing of
// events into batches (each publication is a batch), the parts in which a large
// batch is repaired (it travels as one), and the disk, but for a delay.
package sim
