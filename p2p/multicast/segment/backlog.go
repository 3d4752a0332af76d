package segment

import "github.com/busnode/busnode/gossip/carrier"

// Backlog returns how many bytes of frames wait on the lane, or are being sent.
func (e *Engine) Backlog(lane carrier.Lane) int {
	n := e.sender.lanes[lane].queued
	for _, b := range e.sender.train {
		if carrier.Lane(b.flow.lane) == lane && b.next < b.upTo {
			n += b.frames
		}
	}
	return n
}
