package groupkey

import (
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// Overlap is for how long a root that was replaced still opens what comes.
const Overlap = 24 * time.Hour

// ring is the roots that a node holds. It knows no peers.
type ring struct {
	offer   record  // the best known; shown to peers
	sealing *record // the newest that a listed peer had too; nil: none ever had
	old     *record // the one before
	retired time.Time
}

// known takes a root that a listed peer knows too, the better of the two that
// were shown. It reports whether the ring changed.
func (g *ring) known(r record, now time.Time) bool {
	if r.beats(g.offer) {
		g.offer = r
	}
	if r != g.offer || g.sealing != nil && *g.sealing == r {
		return false
	}
	if g.sealing != nil {
		g.old, g.retired = g.sealing, now
	}
	g.sealing = &r
	return true
}

// renew makes a root that beats those that were given away.
func (g *ring) renew(now time.Time) {
	g.offer = newRecord(g.offer.generation+1, now)
}

// roots returns the root that seals and those that open, itself first; none
// while nobody shares one.
func (g *ring) roots(now time.Time) []datagram.Root {
	if g.sealing == nil {
		return nil
	}
	roots := []datagram.Root{g.sealing.root}
	if g.old != nil && now.Sub(g.retired) < Overlap {
		roots = append(roots, g.old.root)
	}
	return roots
}
