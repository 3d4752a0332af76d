package groupkey

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/gossip/wire"
)

// Stats counts since the start.
type Stats struct {
	Exchanged    uint64 // exchanges that went well
	Refused      uint64 // of peers that are not on the list
	Unwanted     uint64 // with peers that have not this node on theirs
	OtherNetwork uint64 // of peers on another network
	Failed       uint64 // that broke off, or were too many
}

// Status says how far the agreement is.
type Status struct {
	Agreed  bool // there is a root that a listed peer has, or had, too
	Allowed int  // peers on the list
	// Sharing are those that have the present root, Refusing those that have not
	// this node on their lists, Connected those that are connected: by ID.
	Sharing, Refusing, Connected []wire.PeerID
	Stats                        Stats
}

// Status returns how far the agreement is.
func (x *Exchange) Status() Status {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := Status{Agreed: x.ring.sealing != nil, Allowed: len(x.peers), Stats: x.stats}
	ids := make([]peer.ID, 0, len(x.peers))
	for id := range x.peers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		p := x.peers[id]
		if p.root != nil && *p.root == x.ring.offer {
			s.Sharing = append(s.Sharing, wire.PeerID(id))
		}
		if p.refuses {
			s.Refusing = append(s.Refusing, wire.PeerID(id))
		}
		if x.cfg.Host.Network().Connectedness(id) != network.NotConnected {
			s.Connected = append(s.Connected, wire.PeerID(id))
		}
	}
	return s
}
