package multicast

import (
	"maps"
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

const (
	// familySilence is the time after which a member is no longer heard on IPv6.
	familySilence = segment.Time(10 * time.Second)
	// familyProof is how long a stream must have been heard on IPv4 alone.
	familyProof = segment.Time(500 * time.Millisecond)
	// familyKept is how long IPv4 is used for the sake of a stream after its last
	// datagram there: above the interval of beacons in a large segment.
	familyKept = segment.Time(60 * time.Second)
	familyMax  = 2048 // members' streams remembered, and as many that are but claimed
	sweepEvery = segment.Time(time.Second)
)

// familyGate chooses for each stream the family that it is heard on, where the
// interface has both: IPv6 if it can be heard there, so that a second copy under
// IPv4 costs nothing and a stream has one source address.
//
// What datagrams claim and do not prove has no say in whether a member is heard: a
// stranger could else silence one that has IPv4 alone. All that a claim does is to
// wait for the same under IPv6, the first time.
type familyGate struct {
	members map[datagram.StreamID]*familyHeard // streams of which something authentic came
	claims  map[datagram.StreamID]segment.Time // other streams, and when IPv4 first brought something
	swept   segment.Time                       // when old claims were last forgotten
	last    *familyHeard                       // the newest one of members, for runs of one stream
	lastID  datagram.StreamID
	until   segment.Time // IPv4 is wanted until then
}

// familyHeard is when something authentic of a stream last came on each family; 0: never.
type familyHeard [socket.Families]segment.Time

func (g *familyGate) of(id datagram.StreamID) *familyHeard {
	if g.last == nil || g.lastID != id {
		g.last, g.lastID = g.members[id], id
	}
	return g.last
}

// passes reports whether a datagram that came under IPv4 is to be opened: whether its
// stream cannot be heard otherwise, as far as is known.
func (g *familyGate) passes(now segment.Time, b []byte) bool {
	id, ok := datagram.StreamOf(b)
	if !ok {
		return true // to be refused, and counted
	}
	if h := g.of(id); h != nil {
		six := h[socket.IPv6]
		return six == 0 || now-six >= familySilence
	}
	if first, known := g.claims[id]; known {
		return now-first >= familyProof
	}
	if len(g.claims) >= familyMax && now-g.swept >= sweepEvery {
		g.swept = now
		maps.DeleteFunc(g.claims, func(_ datagram.StreamID, first segment.Time) bool { return now-first > familySilence })
	}
	if len(g.claims) >= familyMax {
		return true // a flood: to open what is a second copy costs less than to miss a member
	}
	if g.claims == nil {
		g.claims = make(map[datagram.StreamID]segment.Time)
	}
	g.claims[id] = now
	return false
}

// opened notes that a datagram was a member's, and new.
func (g *familyGate) opened(now segment.Time, f socket.Family, b []byte) {
	id, _ := datagram.StreamOf(b)
	h := g.of(id)
	if h == nil {
		h = g.add(now, id)
	}
	h[f] = max(1, now)
	if f == socket.IPv4 {
		g.until = now + familyKept
	}
}

// add remembers a stream. The engine bounds how many there are at a time.
func (g *familyGate) add(now segment.Time, id datagram.StreamID) *familyHeard {
	if len(g.members) >= familyMax {
		maps.DeleteFunc(g.members, func(_ datagram.StreamID, h *familyHeard) bool {
			return now-max(h[socket.IPv6], h[socket.IPv4]) > familySilence
		})
	}
	if len(g.members) >= familyMax {
		clear(g.members)
	}
	if g.members == nil {
		g.members = make(map[datagram.StreamID]*familyHeard)
	}
	delete(g.claims, id)
	h := &familyHeard{}
	g.members[id], g.last, g.lastID = h, h, id
	return h
}
