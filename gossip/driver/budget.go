package driver

import (
	"sync"

	"github.com/busnode/busnode/gossip/wire"
)

// budget bounds the bytes of batches that were received and are not yet
// written, and shares them out among peers: one that floods waits for its own
// batches, not the others for its.
type budget struct {
	max int // bytes

	mu    sync.Mutex // guards the fields below
	total int
	held  map[wire.PeerID]int
	freed chan struct{} // closed when bytes were given back, if somebody waits
}

func newBudget(max int) *budget {
	return &budget{max: max, held: map[wire.PeerID]int{}}
}

// budgetShares is how many peers the budget is shared among at least, so that
// one peer alone does not hold all when a second comes.
const budgetShares = 4

// take waits until the peer may hold n bytes more. It returns false when stop
// is closed first. A peer that holds nothing is always admitted: so nobody
// starves, and the bound is exceeded by one frame a peer at most, its short pushes
// restored: some ten times a frame of the smallest ones.
func (b *budget) take(peer wire.PeerID, n int, stop <-chan struct{}) bool {
	for {
		b.mu.Lock()
		mine := b.held[peer]
		share := b.max / max(budgetShares, len(b.held))
		if mine == 0 || mine+n <= share && b.total+n <= b.max {
			b.held[peer] = mine + n
			b.total += n
			b.mu.Unlock()
			return true
		}
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-stop:
			return false
		}
	}
}

// give returns n bytes of the peer's.
func (b *budget) give(peer wire.PeerID, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total -= n
	if b.held[peer] -= n; b.held[peer] <= 0 {
		delete(b.held, peer)
	}
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}
