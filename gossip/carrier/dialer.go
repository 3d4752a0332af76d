package carrier

import (
	"errors"

	"github.com/busnode/busnode/gossip/wire"
)

// ErrRecord says that a signed peer record is not in order.
var ErrRecord = errors.New("carrier: invalid peer record")

// Dialer is what a carrier may also be: one that connects to peers by signed
// records that other peers tell of them. Peer exchange needs one. Its methods are
// safe for concurrent use and do not wait for the network; but for Check, nothing
// is called before Start.
type Dialer interface {
	// Record returns the node's own signed record, at most wire.RecordMaxBytes long:
	// who it is and where it can be found. It is nil while nobody could find it.
	Record() []byte
	// RecordChanged returns a channel that has a value after Record has changed.
	// It is for one reader.
	RecordChanged() <-chan struct{}
	// Check verifies a record: it returns the peer that signed it for itself, and
	// which of several records of the peer's is the newest. It costs the verification
	// of a signature. The error wraps [ErrRecord].
	Check(signed []byte) (peer wire.PeerID, seq uint64, err error)
	// Dial begins to connect to the peer of a record that was checked. LinkUp tells
	// of success. failed is called at most once, on any goroutine, when the peer
	// cannot be reached; it must not block nor call the carrier, and is not called
	// after the return of Close. A connection on which no link comes up is nobody's
	// failure: the caller has to lose patience.
	Dial(signed []byte, failed func(error))
	// Avoid keeps the carrier from connecting to the peer by itself for minutes, unless
	// it has no link at all: one of the two has too many. A Dial ends it.
	Avoid(peer wire.PeerID)
	// Release ends the peer's link, which is one too many. Unlike Disconnect it
	// refuses nobody.
	Release(peer wire.PeerID)
}
