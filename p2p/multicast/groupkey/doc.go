// Package groupkey gives the members of a network without a key a group key for
// multicast: over libp2p's encrypted streams, between peers that have each other
// on their allow-lists, and to nobody else.
//
//	x, err := groupkey.New(groupkey.Config{Host: h, Network: name, Allowed: peers, File: file})
//	err = x.Start()
//	for range x.Changed() { carrier.SetRoots(x.Roots()) }
//
// # How nodes come to one root
//
// Every node makes a root of its own when it has none: 32 random bytes with the
// time of their making. Two listed peers that are connected show each other
// the best root they know, and both keep the better one, which each then shows to
// its other peers. Better is the higher generation, then the earlier
// creation, then the lower SHA-256 of the root, so all nodes that a chain of
// listed connections joins end with the same one, whatever the order of their
// meetings. A node seals under a root from when a listed peer has it too: a root
// that nobody shares is of no use to anybody. The root before it opens what still
// comes for [Overlap].
//
// A node from whose list a peer is taken makes a new root of the next
// generation, which beats all that the peer was ever given; it is sealed under as
// soon as one of the peers that are left has it. The peer is locked out for good
// once the last of them has it off its list.
//
// # The exchange
//
// One stream of [ID], opened by either side; ten seconds at most.
//
//	opener     version 1 │ network 8      the network's tag: SHA-256 of its name, shortened
//	acceptor   verdict 1 │ root 48        without the root unless the verdict is "agreed";
//	                                      whom it does not list it tells so without reading
//	opener     root 48                    generation 8 │ creation 8, ms since 1970 │ root 32
//	acceptor   verdict 1                  it keeps the better of the two
//
// Everything is held in memory and, with [Config.File], on disk with mode 0600,
// so that a restart where no stream can be had still has the key.
package groupkey
