package sim

import (
	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Published is a batch that some node published.
type Published struct {
	Batch  *wire.Batch
	Author int // index of the node
	At     gossip.Time
	News   *wire.Push // what is handed to cores, shared by all
	Repair *wire.Push
}

// store holds each batch once for all nodes; logs name them by index.
type store struct {
	batches []Published
	byID    map[wire.BatchID]int32
	twins   []equivocation
}

// equivocation is a place for which an author signed two batches.
type equivocation struct {
	topic  string
	author wire.Author
	at     wire.Mark
}

func newStore() store { return store{byID: map[wire.BatchID]int32{}} }

func (s *store) add(b *wire.Batch, author int, at gossip.Time) int {
	i := len(s.batches)
	s.batches = append(s.batches, Published{
		Batch: b, Author: author, At: at,
		News: &wire.Push{Batch: b}, Repair: &wire.Push{Batch: b, Repair: true},
	})
	s.byID[b.ID] = int32(i)
	return i
}

// Batches returns all that was published, by index. The slice is the simulation's own.
func (s *Sim) Batches() []Published { return s.store.batches }

// indexOf returns the index of a batch; it was published, for signatures do not lie.
func (s *Sim) indexOf(id wire.BatchID) int {
	i, ok := s.store.byID[id]
	if !ok {
		mustf(false, "batch %v was never published", id)
	}
	return int(i)
}
