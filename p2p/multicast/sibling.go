package multicast

import (
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/segment"
)

// fewMembers is how many members send a beacon a second; more send them less often.
const fewMembers = 14

// beacons returns the time in which each of so many members says n beacons at least.
func beacons(n float64, members int) segment.Time {
	const longest = 1.25 // of the intervals, which vary
	return segment.Time(n*longest*float64(time.Second)) * segment.Time(max(fewMembers, members)) / fewMembers
}

// sibling is what a station knows of others of this carrier that are on the same
// wire. To the others two stations of one node would be one that starts anew each
// time that it is heard, so only the one of the lowest interface index speaks, and
// one that is not the first listens before it does.
type sibling struct {
	station *station     // speaks on this wire in our stead; nil: none does
	last    segment.Time // when it was heard
	listen  segment.Time // until then we do not speak; 0: we may
}

// heard notes that another stream of this node's was heard on s's wire.
func (b *sibling) heard(s *station, id datagram.StreamID) {
	other := s.c.byStream(id)
	if other == nil || other.index >= s.index {
		return
	}
	*b = sibling{station: other, last: s.c.now()}
}

// deadline is when the station may speak, unless the sibling is heard.
func (b *sibling) deadline() segment.Time {
	switch {
	case b.station != nil:
		return b.last + beacons(5, len(b.station.heard()))
	case b.listen > 0:
		return b.listen
	}
	return segment.Never
}

// listenFirst makes the station listen before it speaks if one of the others has
// the right to speak on a wire that both are on.
func (s *station) listenFirst(others []*station) {
	members, first := 0, true
	for _, o := range others {
		if o.index < s.index {
			members, first = max(members, len(o.heard())), false
		}
	}
	if !first {
		s.sibling.listen = s.c.now() + beacons(1.2, members)
		s.engine.SetPassive(true)
	}
}

// takeOver is how long a station listens after its sibling was closed, which may
// have been opened again.
const takeOver = segment.Time(500 * time.Millisecond)

// considerSibling makes the station passive or active.
func (s *station) considerSibling() {
	b := &s.sibling
	switch now := s.c.now(); {
	case b.station != nil && s.c.byStream(b.station.stream) == nil:
		*b = sibling{listen: now + takeOver}
	case now >= b.deadline():
		*b = sibling{}
	}
	passive := b.station != nil || b.listen > 0
	if passive != s.up.Load() || s.closing() {
		return
	}
	s.engine.SetPassive(passive)
	if !passive {
		s.goUp()
		return
	}
	s.up.Store(false)
	s.carryOut(s.engine.Take()) // its members are down
	s.deliver.event(linkEvent{kind: linkDown, link: s.link(), reason: errSibling})
	s.log.Info("segment passive", "sibling", string(b.station.name))
	// The others take the sibling's run for one that has ended, as ours is newer.
	b.station.renew.Store(true)
	signal(s.c.changed)
}

func (s *station) closing() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
