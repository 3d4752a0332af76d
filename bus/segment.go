package bus

import "time"

// MulticastKey says what kind of key seals a node's multicast.
type MulticastKey string

// The kinds of keys.
const (
	MulticastKeyNone    MulticastKey = "none"       // there is none, so multicast is inert
	MulticastKeyNetwork MulticastKey = "network"    // made of the network's key
	MulticastKeyAgreed  MulticastKey = "allow-list" // agreed on by the peers of WithAllowedPeers
	MulticastKeyOpen    MulticastKey = "open"       // made of the network's name: not private
)

// MulticastInert says why a node sends and hears nothing by multicast.
type MulticastInert string

// The reasons; the empty one says that it does.
const (
	MulticastWorks       MulticastInert = ""
	MulticastIsOff       MulticastInert = "off"          // as WithMulticast says
	MulticastNoKey       MulticastInert = "no-key"       // it needs WithNetworkKey, WithAllowedPeers or MulticastOpen
	MulticastNoneShares  MulticastInert = "not-agreed"   // no allowed peer was met yet that has this node on its list too
	MulticastNoInterface MulticastInert = "no-interface" // none suits, or none of those named is there
)

// MulticastStatus is what a node does by multicast.
type MulticastStatus struct {
	Mode  MulticastMode
	Key   MulticastKey
	Inert MulticastInert
	// Of a key that is agreed on: how many peers the list has, which of them are
	// known to have the node's present key, and which have not this node on theirs.
	Allowed           int
	Sharing, Refusing []PeerID
	Segments          []Segment // by interface
	// Err is why the network interfaces could not be listed when that was last tried; nil:
	// they could. Segments that are up stay so.
	Err error
}

// Segment is a node's place on the wire of one network interface.
type Segment struct {
	Interface string
	Active    bool   // events go out there now
	Reason    string // why, or why not
	Sibling   string // another interface of this node that is on the same wire and used in its stead; empty: none
	Since     time.Time
	Members   int // other nodes that are heard
	Uncovered int // of them, those that want what this node has and that no chain of streams is known to lead to
	Figures   SegmentFigures
}

// SegmentFigures count since the segment is up, but for Rate and Loss.
type SegmentFigures struct {
	Rate                       int     // bits a second that it sends at most, for now
	Loss                       float64 // of what this node sends there, as the worst receiver that counts tells it, 0 to 1
	DatagramsSent, BytesSent   uint64  // bytes without IP and UDP headers
	DatagramsReceived          uint64  // that were authentic and new
	Parity, Repairs            uint64  // datagrams sent beyond the data: ahead, and because somebody asked
	FramesSent, FramesReceived uint64
	FramesLost                 uint64 // begun and not completed in time; the events come otherwise
	Refused                    uint64 // datagrams that were not taken, whatever the reason
}
