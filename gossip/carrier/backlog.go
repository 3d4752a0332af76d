package carrier

import "github.com/busnode/busnode/gossip/wire"

// Backlogged is what a carrier also is that takes frames long before it sends them. Its
// method is safe for concurrent use and does not wait.
type Backlogged interface {
	// Backlog returns how many bytes of frames that Send took for the link have not left
	// this node yet, roughly; 0: none have not. Of a member's link it is that of its segment.
	Backlog(link wire.PeerID, lane Lane) int
}
