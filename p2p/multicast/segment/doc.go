// Package segment is one node on one multicast segment: an engine that turns
// frames into sealed, coded, paced datagrams and back, repairs what was lost,
// and knows who is there. It is a pure state machine: no goroutine, clock, lock,
// socket or global randomness. p2p/multicast owns it and carries datagrams.
//
//	Send → blocks of ≤ 32 shards → parity → token bucket → seal → Output.Datagrams
//	Receive → open → shards → decode → in order → Output.Frames
//
// A call order that suits:
//
//	e.Tick(now, wall)                    // at NextDeadline at the latest; early is harmless
//	e.Send(now, "", carrier.News, frame) // any number of Sends and Receives
//	e.Receive(now, wall, from, datagram)
//	out := e.Take()                      // after any of the above; carry it out in full
//	wait until e.NextDeadline() or input
//
// # Delivery
//
// The frames of one member arrive whole, at most once and in the order of their
// sending, for each lane and each of the two ways of addressing (to all, to this
// node) by itself. A frame that cannot be repaired within [LiveWindow] is given
// up and counted, and later ones flow on. A node that hears of a member gets what the
// member sends from then on, never what came before.
//
// References: NORM (RFC 5740) for counted NACKs and fresh parity; Nonnenmacher and
// Biersack (1998) for the timers' truncated exponential distribution.
package segment
