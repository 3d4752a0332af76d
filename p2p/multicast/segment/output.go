package segment

import (
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// Output is what the caller has to carry out, in this order. Its slices are
// valid until the next call of any method of the engine.
type Output struct {
	// Datagrams are to be sent to the group now: pacing is done. Their bytes are the
	// engine's and valid as long as the slice is.
	Datagrams [][]byte
	// Members are changes among those heard, in order, and Frames what arrived, in order
	// for each member and lane. Which of both came first is told by MemberChange.After.
	Members []MemberChange
	// The bytes of Frames are the caller's for good. Those that came in one block share memory.
	Frames []Frame
	// Room says for each lane that Send refused with ErrFull and would not now.
	Room [carrier.Lanes]bool
	// Siblings are other streams of this very peer that were heard on this
	// segment: a second interface on the same wire. See Engine.SetPassive.
	Siblings []datagram.StreamID
}

// Frame is a frame that arrived.
type Frame struct {
	From      wire.PeerID
	Lane      carrier.Lane
	Addressed bool // to this node alone
	Bytes     []byte
	// Spare is how many bytes beside Bytes the frame keeps in memory, once those that came
	// before it in the same block are gone.
	Spare int
}

// ChangeKind says what became of a member.
type ChangeKind uint8

// The changes. A member is Up before its first frame and after its last Down.
const (
	Up ChangeKind = iota
	Changed
	Down
)

// MemberChange tells of a member; after Down only Member.Peer counts.
type MemberChange struct {
	Kind   ChangeKind
	Member Member
	After  int // how many of the output's frames came before
}

// Member is a peer that is heard. Text and Addrs are claims under its
// signature, must not be modified, and stay as they are when it changes.
type Member struct {
	Peer  wire.PeerID
	Text  []byte
	Addrs [][]byte // multiaddrs in binary form, not parsed here
	// Loss is the share of its datagrams that this node missed lately, 0 to 1.
	Loss float64
}
