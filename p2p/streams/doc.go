// Package streams is the carrier that moves frames over libp2p streams.
//
// Each side of a link opens one stream for news and one for repair, and keeps
// them as long as the link is up; a stream carries frames from its opener to
// its acceptor only. Before the first frame both prove that they know the
// network's name and key (see handshake.go), so a stranger learns nothing. The
// side that dialled proves first: a node tells nothing about its network to
// those who merely connect to it.
//
//	Send ─→ writer (gathers small frames) ─→ stream ─→ reader ─→ Handler.Frame
//	             ↑ a sign of life when idle     a full window stops the writer
//
// A neighbour's life is one goroutine (neighbour.run): open, wait for the
// other side, LinkUp, wait for trouble, tear down, LinkDown, again. One more
// goroutine watches all links for silence, and there is one a link and lane
// for reading and for writing.
//
// Frames on a stream are a number and bytes:
//
//	uvarint(length<<1 | control)  length bytes
//
// An empty control frame says that its sender is alive; the others are ping
// and pong. Unknown control frames are ignored.
//
// The package may change until the first release.
package streams
