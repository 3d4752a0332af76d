// Package carrier is the contract between the bus and whatever moves its
// frames: streams, an in-memory network, later multicast.
//
// A carrier knows peers and frames, never rumors. The conformance suite is
// gossip/carrier/carriertest.
package carrier

import (
	"context"
	"errors"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Lane keeps repair from delaying news. Frames of one lane to one peer arrive
// in the order of sending on a reliable carrier; between lanes nothing is promised.
type Lane uint8

// The lanes of a link.
const (
	News Lane = iota
	Repair
	Lanes = 2
)

// Path says how frames reach a peer.
type Path string

// The paths that carriers report.
const (
	PathDirectTCP  Path = "direct-tcp"
	PathDirectQUIC Path = "direct-quic"
	PathRelayed    Path = "relayed"
	PathMulticast  Path = "multicast"
	PathMemory     Path = "memory"
)

// Traits are a carrier's fixed properties.
type Traits struct {
	Name     string // for logs and metrics: "streams", "memory", "multicast"
	Many     bool   // one-to-many: To is a segment, and one Send reaches all its members
	Reliable bool   // a frame arrives, in order, or the peer goes down
	MTU      int    // largest frame in bytes
}

// Link is a peer, or for a one-to-many carrier a segment, that frames can be sent to.
type Link struct {
	Peer    wire.PeerID // the peer, or the segment's own name
	Path    Path
	Limited bool // relayed under an allowance: send sparingly
	Addrs   []string
	Relay   string // peer ID text of the relay, if relayed
}

// Handler is what a carrier calls. Calls about one link come one at a time
// per lane, LinkUp first and LinkDown last; after LinkDown or the return of
// Close there are none.
type Handler interface {
	LinkUp(Link)
	// LinkDown is called once for each LinkUp. A link that changed (say, from
	// relayed to direct) goes down and up.
	LinkDown(peer wire.PeerID, reason error)
	// Frame hands over a frame; the handler owns its bytes. from is the peer
	// that sent it (on a segment, a member of it). Frame may block: the carrier
	// then reads no more from that peer and lane, and the sender feels it.
	Frame(from wire.PeerID, lane Lane, frame []byte)
}

// Carrier moves frames. Its methods are safe for concurrent use.
type Carrier interface {
	Traits() Traits
	// Start begins to call h. It is called once.
	Start(h Handler) error
	// Send sends a frame, given in parts so that they need no copy. It may block
	// until there is room on the way, at most until ctx is done. It does not
	// keep the parts after it returns. A nil error is no promise of arrival.
	// Only one Send per peer and lane is called at a time.
	// The error wraps [ErrNoLink], [ErrTooLarge], [ErrClosed] or ctx's cause.
	Send(ctx context.Context, to wire.PeerID, lane Lane, frame ...[]byte) error
	// RoundTrip returns the newest measurement, or 0 if there is none.
	RoundTrip(peer wire.PeerID) time.Duration
	// Disconnect drops a peer that broke the rules and refuses it for a while.
	Disconnect(peer wire.PeerID, reason string)
	// Close ends all links, calls no handler after it returned, and is idempotent.
	Close() error
}

// Errors that callers test with [errors.Is].
var (
	ErrNoLink   = errors.New("carrier: no link to the peer")
	ErrTooLarge = errors.New("carrier: frame exceeds the MTU")
	ErrClosed   = errors.New("carrier: closed")
)
