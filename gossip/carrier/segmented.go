package carrier

import "github.com/busnode/busnode/gossip/wire"

// AnnounceMaxBytes bounds what a node says of itself to the members of its segments.
const AnnounceMaxBytes = 128

// Segmented is what a one-to-many carrier also is: on each of its links, which
// are segments, it tells its members from each other. Its Send takes a segment's
// name, and then every member gets the frame, or a member's peer ID, and then
// nobody else does, on whichever segment that member is heard best. The from of
// [Handler.Frame] is a member. Its methods are safe for concurrent use and do not
// wait for the network.
type Segmented interface {
	// Announce says what this node tells of itself to the members of its segments,
	// now and whenever one comes; what it told before is void. The carrier keeps a
	// copy. More than AnnounceMaxBytes is a mistake of the caller's: it panics.
	Announce(text []byte)
	// Members returns who is heard now, in order of segment and peer. The caller
	// must not modify their Text and Addrs.
	Members() []Member
}

// Member is a peer that is heard on a segment. One that is heard on two segments
// is a member of both.
type Member struct {
	Peer    wire.PeerID
	Segment wire.PeerID // the link it is heard on
	Text    []byte      // what it announces; shared, not to be modified
	Addrs   []string    // where it says that it listens for streams; shared, not to be modified
}

// SegmentHandler is what a [Handler] may also be, to be told over which segment a
// member's frames come, for it may be heard on several.
type SegmentHandler interface {
	// SegmentFrame is called in [Handler.Frame]'s stead, and is otherwise like it.
	SegmentFrame(segment, from wire.PeerID, lane Lane, frame []byte)
}

// MemberHandler is what a [Handler] may also be, to hear of a segment's members.
// Its calls about one segment come one at a time, after the segment's LinkUp and
// before its LinkDown.
type MemberHandler interface {
	// MemberUp is called before the first frame of the member, and again when its
	// Text or Addrs have changed.
	MemberUp(Member)
	// MemberDown is called once for a member that is up, when it said goodbye, was
	// not heard for long, or its segment goes down. A frame of its that was on the
	// way may still come.
	MemberDown(Member)
}
