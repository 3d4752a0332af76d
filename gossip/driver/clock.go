package driver

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// hybridClock is the node's hybrid logical clock (Kulkarni et al., 2014): the
// physical clock, pushed ahead by what was seen, so that what this node
// publishes is dated after all that it knew of.
type hybridClock struct {
	floor wire.Time // constant: the physical clock is never taken to be below it

	mu   sync.Mutex // guards the field below
	last wire.Time  // newest time that was given out or observed
}

func newClock(floor wire.Time) *hybridClock {
	return &hybridClock{floor: floor, last: floor}
}

// wall returns the physical clock.
func (c *hybridClock) wall() wire.Time { return max(wire.TimeOf(time.Now()), c.floor) }

// next returns a time above all that it returned or observed before.
func (c *hybridClock) next() wire.Time {
	now := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(now, c.last+1)
	return c.last
}

// ahead returns how far the next time would be ahead of the physical clock:
// much, if that was set back.
func (c *hybridClock) ahead() time.Duration {
	now := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.last - now)
}

// observe lets later times be above t. A t further ahead than honest clocks
// are apart is ignored, measured from the physical clock: else nodes could
// carry each other into the future step by step.
func (c *hybridClock) observe(t wire.Time) {
	if t > c.wall().Add(wire.FutureMax) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, t)
}

// epochAbove returns an epoch for this run, above newest and random in its
// lowest 16 bits, so that two copies of one disk hardly choose the same.
func (c *hybridClock) epochAbove(newest wire.Epoch) wire.Epoch {
	ms := uint64(c.next()) / uint64(time.Millisecond)
	ms = max(ms, uint64(newest>>16)+1)
	var b [2]byte
	rand.Read(b[:]) // never fails, see its documentation
	return wire.Epoch(ms<<16 | uint64(binary.BigEndian.Uint16(b[:])))
}
