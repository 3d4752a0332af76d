// Package gossip is the protocol core: a deterministic state machine with no
// goroutine, clock, socket, lock or global. The driver feeds it, and the
// simulator drives the very same code. It may change until v1.
//
// # The way of a batch
//
// At one node a batch is, in the words of Demers et al. (PODC 1987),
//
//	              first receipt              all neighbours are
//	susceptible ----------------> infective -----------------> removed
//	     ^                        (a rumor)   known to hold it     |
//	     +------------------- trimmed by retention <--------------+
//
// Spread pushes a rumor along the author's tree ([tree]): eagerly to those
// neighbours who were first served by us before, as lazy word to the others.
// Lazy word is the author's head: «I hold everything up to here». The same
// word acknowledges, so one message serves both.
//
// On topics that are set so ([Config].Topics), rumors are mongered instead
// ([monger]): a node tells them to partners at random, cycle by cycle, and
// loses interest when contacts are of no use. Heads are no lazy word there.
//
// Whoever learns of a head that is ahead of its own, or holds a batch whose
// predecessor is missing, waits a moment for a push and then asks one peer for
// the stretch (fetch.go). Order releases an author's batches by their chain of
// prev, so what is missing holds back its successors, of that author alone, until
// it comes or until nobody has claimed it for GapTimeout; then the gap itself is
// released, durably, and what comes after all is released as late.
//
// Anti-entropy (antientropy.go, session.go) finds what neither pushes nor heads
// brought: it compares the sets of two nodes, topic by topic and range by range,
// and asks for the difference batch by batch (lack.go).
//
// docs/gossip.md has the whole with pictures, and what it costs.
//
// # Files
//
//	core.go     the four families of methods, and routing
//	peer.go     peers, and what a peer and a topic have to do with each other
//	topic.go    topics, authors and batches
//	interest.go filters and topics, told and heard
//	view.go     whom to gossip a topic with
//	passive.go  whom else there is; shuffle.go, how nodes tell each other
//	wish.go     whom to be connected to; surplus.go, whom no longer
//	rejoin.go   looking for those who were lost, for a cut may be over
//	spread.go   eager and lazy push; link.go, the edges of the trees
//	calm.go     whose word may wait; number.go, heads in five bytes
//	mongering.go rumor mongering: cycles; mongeringcontact.go, contacts
//	head.go     word of heads: lazy push and acknowledgement
//	accept.go   taking a batch in; guard.go, what is refused and why
//	order.go    release in order, gaps, late batches
//	fetch.go    asking for a stretch of one author; want.go, what is asked; lack.go, for single
//	            batches
//	hole.go     asking an author for what was given up of its own
//	serve.go    answering
//	restore.go  from the log and back: restart, retention, damage
//	segment.go  links that one frame reaches many over, and their members
//	presence.go what a node says of itself there; coverage.go, whom streams lead to
//	activity.go when a segment is used, and why
//	cast.go     batches on segments; segmentword.go, heads
//
// # Bounds
//
// Peers are bounded by PeersMax and the carriers, members of segments by membersMax, those that are known and not up by
// PassiveMax and KnownMax; filters and topics of a peer, authors whose
// links are remembered, wants outstanding, exchanges at once, batches known to be
// missing and the size of an answer by [Config] and constants beside their use.
// What exceeds a bound is counted in [Stats].
//
// # References
//
// Demers et al., Epidemic algorithms for replicated database maintenance, PODC
// 1987. Leitão, Pereira, Rodrigues, Epidemic broadcast trees, SRDS 2007, and HyParView,
// DSN 2007.
// Kulkarni et al., Logical physical clocks, OPODIS 2014. Yang, Gilad, Alizadeh,
// Practical rateless set reconciliation, SIGCOMM 2024.
package gossip
