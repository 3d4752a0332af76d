package multicast

import (
	"sync/atomic"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

var _ carrier.Backlogged = (*Carrier)(nil)

// backlog counts bytes of frames that Send took and that have not left.
type backlog struct {
	waiting atomic.Int64 // that the engine has not taken yet
	queued  atomic.Int64 // that it has
}

// Backlog implements [carrier.Backlogged].
func (c *Carrier) Backlog(link wire.PeerID, lane carrier.Lane) int {
	s, _, err := c.stationFor(link)
	if err != nil {
		return 0
	}
	b := &s.backlogs[lane]
	return int(b.waiting.Load() + b.queued.Load())
}

// taken moves a frame from those that wait to those that the engine has.
func (b *backlog) taken(bytes int) {
	b.queued.Add(int64(bytes)) // first, or both might be read as nothing
	b.waiting.Add(-int64(bytes))
}

// measure notes what the engine has not sent.
func (s *station) measure() {
	for lane := range s.backlogs {
		s.backlogs[lane].queued.Store(int64(s.engine.Backlog(carrier.Lane(lane))))
	}
}
