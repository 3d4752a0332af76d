package driver

import (
	"sync"

	"github.com/busnode/busnode/gossip/wire"
)

// recentCache keeps the batches that were published or received last, so that
// pushing them reads no log, and a second copy is verified by a look.
// It holds verified batches only.
type recentCache struct {
	max int // bytes

	mu    sync.Mutex // guards the fields below
	byID  map[wire.BatchID]*wire.Batch
	fifo  []*wire.Batch // oldest first, from head on
	head  int
	bytes int
}

func newRecentCache(max int) *recentCache {
	return &recentCache{max: max, byID: map[wire.BatchID]*wire.Batch{}}
}

// get returns the batch, or nil.
func (r *recentCache) get(id wire.BatchID) *wire.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
}

// put adds a batch and drops the oldest that no longer fit.
func (r *recentCache) put(b *wire.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byID[b.ID]; ok {
		return
	}
	r.byID[b.ID] = b
	r.fifo = append(r.fifo, b)
	r.bytes += b.Size()
	for r.bytes > r.max && r.head < len(r.fifo)-1 {
		old := r.fifo[r.head]
		r.fifo[r.head] = nil
		r.head++
		r.bytes -= old.Size()
		delete(r.byID, old.ID)
	}
	if r.head > 64 && r.head > len(r.fifo)/2 {
		n := copy(r.fifo, r.fifo[r.head:])
		clear(r.fifo[n:])
		r.fifo, r.head = r.fifo[:n], 0
	}
}
