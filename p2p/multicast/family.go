package multicast

import (
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/segment"
)

const (
	// familySilence is the time after which a stream is no longer heard on IPv6.
	familySilence = segment.Time(10 * time.Second)
	// familyProof is how long a stream must have been heard on IPv4 alone.
	familyProof = segment.Time(500 * time.Millisecond)
	// familyKept is how long IPv4 is used for the sake of a stream after its last
	// datagram there: above the interval of beacons in a large segment.
	familyKept = segment.Time(60 * time.Second)
	familyMax  = 2048 // streams remembered
)

// familyGate chooses for each stream the family that it is heard on, where the
// interface has both: IPv6 if it can be heard there, so that a second copy under
// IPv4 costs nothing and a stream has one source address.
//
// It judges by what datagrams claim. Who forges claims on the link could as well
// keep the link busy; and what passes is still to be authenticated.
type familyGate struct {
	streams map[datagram.StreamID]*familyHeard
	last    *familyHeard // the newest one, for runs of one stream
	lastID  datagram.StreamID
	until   segment.Time // IPv4 is wanted until then
}

type familyHeard struct {
	six          segment.Time // last; 0: never
	four, latest segment.Time // first and last on IPv4; 0: never
}

// of returns what was heard of the stream of a datagram, or nil if that is none.
func (g *familyGate) of(now segment.Time, b []byte) *familyHeard {
	id, ok := datagram.StreamOf(b)
	if !ok {
		return nil
	}
	if g.last != nil && g.lastID == id {
		return g.last
	}
	h := g.streams[id]
	if h == nil {
		if len(g.streams) >= familyMax {
			g.forget(now)
		}
		if g.streams == nil {
			g.streams = make(map[datagram.StreamID]*familyHeard)
		}
		h = &familyHeard{}
		g.streams[id] = h
	}
	g.last, g.lastID = h, id
	return h
}

// forget makes room: of streams that are silent, and if none is, of all.
func (g *familyGate) forget(now segment.Time) {
	for id, h := range g.streams {
		if now-max(h.six, h.latest) > familySilence {
			delete(g.streams, id)
		}
	}
	if len(g.streams) >= familyMax {
		clear(g.streams)
	}
	g.last = nil
}

// heard notes a datagram that came under IPv6.
func (g *familyGate) heard(now segment.Time, b []byte) {
	if h := g.of(now, b); h != nil {
		h.six = max(1, now)
	}
}

// passes reports whether a datagram that came under IPv4 is of a stream that
// cannot be heard otherwise.
func (g *familyGate) passes(now segment.Time, b []byte) bool {
	h := g.of(now, b)
	if h == nil || h.six > 0 && now-h.six < familySilence {
		return false
	}
	if h.four == 0 || now-h.latest > familyKept {
		h.four = max(1, now)
	}
	h.latest = now
	return now-h.four >= familyProof
}

// wanted notes that a member needs IPv4.
func (g *familyGate) wanted(now segment.Time) { g.until = now + familyKept }
