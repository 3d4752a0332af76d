package segment

import "github.com/busnode/busnode/p2p/multicast/datagram"

// siblingsMax bounds the streams of this very peer that are remembered: its interfaces, and
// its runs within the tolerance for beacons' times.
const siblingsMax = 16

// sibling is another stream of this very peer. Its stream is not admitted, so that it has
// no replay window.
type sibling struct {
	id     datagram.StreamID
	newest uint64 // number of its newest beacon
}

// siblingReplayed reports whether a beacon of this peer's is not newer than the last that
// was heard of its stream.
func (e *Engine) siblingReplayed(m *datagram.Message) bool {
	for i := range e.heardSiblings {
		if s := &e.heardSiblings[i]; s.id == m.Stream {
			return m.Seq <= s.newest
		}
	}
	return false
}

// heardSibling notes a good beacon of this peer's from another stream. The stream that was
// heard longest ago is forgotten for it if need be.
func (e *Engine) heardSibling(m *datagram.Message) {
	e.stats.Siblings++
	e.siblings = append(e.siblings, m.Stream)
	at := 0
	for at < len(e.heardSiblings) && e.heardSiblings[at].id != m.Stream {
		at++
	}
	if at == len(e.heardSiblings) && at < siblingsMax {
		e.heardSiblings = append(e.heardSiblings, sibling{})
	}
	at = min(at, siblingsMax-1)
	copy(e.heardSiblings[1:at+1], e.heardSiblings[:at]) // the newest first
	e.heardSiblings[0] = sibling{m.Stream, m.Seq}
}
