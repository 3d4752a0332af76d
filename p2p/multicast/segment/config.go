package segment

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// Time is a monotonic instant, in nanoseconds since an epoch of the caller's.
type Time int64

// Add returns t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Never is a deadline that does not come.
const Never = Time(1<<63 - 1)

// Kind says what a segment runs on, which decides its rates and timers.
type Kind uint8

// The kinds of segments. Unknown is treated with more care than Wired.
const (
	Unknown Kind = iota
	Wired
	Wireless
)

// Limits of an engine. What exceeds them is refused or given up, and counted.
const (
	FrameMaxBytes      = 512 << 10       // a frame: one with a batch of the usual 256 KiB fits twice
	AnnounceMaxBytes   = 128             // what a node says of itself to the others
	AddrsMaxBytes      = 256             // its listen addresses, with a byte of length each
	StreamsMax         = 1024            // streams remembered, the silent ones included
	ReassemblyMaxBytes = 16 << 20        // blocks being put together, of all streams
	StreamMaxBytes     = 2 << 20         // the same of one stream
	LiveMaxBytes       = 8 << 20         // own blocks kept for repair
	LiveWindow         = 2 * time.Second // for how long
	QueueMaxBytes      = 2 << 20         // frames that wait to be sent, a lane
)

// Rates are limits of what an engine sends, in bits a second, IP and UDP
// headers included. The present rate moves between Start/8 and Max.
type Rates struct {
	Start, Max int
}

// RatesOf returns the usual rates of a kind of segment. Wireless ones send
// multicast at their lowest rate: 2 Mbit/s are 10 % of the air time at 6 Mbit/s, and more.
func RatesOf(k Kind) Rates {
	switch k {
	case Wired:
		return Rates{Start: 20_000_000, Max: 200_000_000}
	case Wireless:
		return Rates{Start: 500_000, Max: 2_000_000}
	default:
		return Rates{Start: 5_000_000, Max: 20_000_000}
	}
}

// Config is what an engine needs to know. All but Kind, Rates, Admit, Text and Addrs is required.
type Config struct {
	// Self is this node; its peer ID must be that of an Ed25519 key.
	Self wire.PeerID
	// Sign returns the Ed25519 signature of a message by Self's key. It is
	// called for each beacon, once a second at most after the first.
	Sign func(message []byte) ([]byte, error)
	// Roots are the group's keys: the first seals, all open. At least one, at
	// most datagram.RootsMax.
	Roots []datagram.Root
	// Stream names this engine's run: 16 random bytes, new for each engine.
	Stream datagram.StreamID
	// Rand decides delays. The caller seeds it.
	Rand *rand.Rand
	Kind Kind
	// Rates are RatesOf(Kind) if zero.
	Rates Rates
	// Admit says whether a peer may be a member; nil admits everybody who holds
	// the group's key. It is asked again and again: a member that it no longer
	// admits is Down within a fraction of a second.
	Admit func(wire.PeerID) bool
	// Text and Addrs are what Announce and SetAddrs set.
	Text  []byte
	Addrs [][]byte
}

// Errors that callers test with errors.Is.
var (
	ErrConfig   = errors.New("segment: invalid configuration")
	ErrFull     = errors.New("segment: queue is full")           // until Output.Room says otherwise
	ErrTooLarge = errors.New("segment: frame is too large")      // or empty, or an announcement too long
	ErrNoMember = errors.New("segment: peer is not a member")    // of an addressed frame
	ErrPassive  = errors.New("segment: the engine is passive")   // see Engine.SetPassive
	ErrClosed   = errors.New("segment: the engine said it left") // see Engine.Leave
)
