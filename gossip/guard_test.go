package gossip

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// That a clock is off its peers' median is told once, and once that it is well again.
func TestAClockThatIsWellAgainIsTold(t *testing.T) {
	c, _, _, _ := shapeRig(t)
	heard := func(offset time.Duration) (told []time.Duration) {
		for _, p := range c.peerList {
			c.Receive(p.id, &wire.Heartbeat{Wall: c.wall.Add(offset), Cut: c.cut()})
		}
		for _, n := range c.Take().Notices {
			if n.Kind == NoticeClock {
				told = append(told, n.Offset)
			}
		}
		return told
	}
	for _, x := range []struct {
		offset time.Duration
		want   int
	}{{0, 0}, {time.Hour, 1}, {time.Hour, 0}, {time.Second, 1}, {0, 0}, {-time.Hour, 1}} {
		if told := heard(x.offset); len(told) != x.want {
			t.Errorf("off by %v: told %v, want %d", x.offset, told, x.want)
		}
	}
}
