// Package multicast is a carrier of UDP multicast: on each interface that suits, a
// segment of which every node in earshot is a member. It needs no address, no
// route and no dialling, and one datagram reaches all.
//
//	Send → station → engine (segment) → sealed datagrams → sockets (socket)
//	sockets → station → engine → delivery → Handler
//
// A station is this node on one interface: a goroutine that owns an engine, which
// is a pure state machine, one reader for each socket, and a delivery, which calls
// the handler so that a slow one stops nobody else. Each station is a link of its
// own, named "segment:" and the interface's name. Two stations on one wire hear
// each other; then the one of the higher interface index goes passive: its link is
// down, it sends nothing, and goes on listening in case the other falls silent.
//
// IPv6 is preferred: with it no subnet and no reverse path filter matters. IPv4 is
// used as well while nobody is heard, and while somebody is heard on IPv4 alone.
//
// A carrier without a group key is inert: it opens no socket and does not look at
// the interfaces. The key comes from the network's key and name, is given
// ([Carrier.SetRoots]), or, for an open network that asks for it, comes from the
// name alone, which hides nothing.
package multicast
