package driver

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Bounds of batches that come in parts. What exceeds them goes, the oldest of
// the peer that holds the most first: it is asked for anew, or was never asked for.
const (
	assembliesMaxBytes = 64 << 20 // of all; of one peer half of it, where a batch of any size fits
	assembliesMax      = 512      // of all
	assembliesPeerMax  = 32       // of one peer
	suspectsMax        = 256      // batches whose parts are kept apart by peer

	// assemblyKeep is how long an assembly outlives its last part: long enough
	// to reach the peer again, or another that holds the batch (a guess).
	assemblyKeep = 3 * time.Minute
)

// assembler puts batches together that come in parts, from wherever: what one
// peer began another may continue that was asked to, for the batch's ID tells
// in the end whether all fits. An assembly outlives its link, and the core is
// told how far it got. Who was not asked to continue what another began gets an
// assembly of its own: so nobody holds up a batch by beginning it.
//
// The header is compared with the ID as soon as it is there, so that what
// follows is of the size that the author signed for. If the whole does not fit
// and one peer sent it all, that peer lied. If several did, nobody knows who:
// the batch is a suspect from then on, and what each peer sends of it is an
// assembly of its own, which no other can spoil and no other continues.
//
// Parts are added by carriers' goroutines, the rest is done by the loop. Room
// for a large batch is made under the lock, and takes milliseconds; so each turn
// of the loop looks at two atomic values, and locks when there is something to do.
type assembler struct {
	stall time.Duration // without a part, after which the transfer counts as cut off
	max   int           // bytes of all assemblies
	born  time.Time

	due   atomic.Int64 // nanoseconds after born: nothing is due before; 0: nothing is
	noted atomic.Bool  // notes is not empty

	mu       sync.Mutex // guards the fields below
	all      map[assemblyKey]*assembly
	shares   map[wire.PeerID]*share
	bytes    int // that all assemblies take
	order    uint64
	apart    map[wire.BatchID]int // how many assemblies of the batch are of one peer alone
	suspects map[wire.BatchID]bool
	doubted  []wire.BatchID // the suspects, oldest first
	notes    []partial      // that the core must hear of, in this order
	stats    assemblerStats
}

// assemblerStats count since the start.
type assemblerStats struct {
	parts   uint64 // taken
	dropped uint64 // parts of no use: not where the assembly goes on
	evicted uint64 // assemblies, for want of room
	expired uint64 // assemblies that nobody continued
	spoiled uint64 // assemblies that did not fit, of parts of several peers
}

// assemblyKey names an assembly. from is empty for the one of a batch that the
// core knows of; the others are of one peer alone.
type assemblyKey struct {
	id   wire.BatchID
	from wire.PeerID
}

// assembly is the first bytes of a batch.
type assembly struct {
	key   assemblyKey
	buf   []byte       // its capacity is what counts as taken
	size  int          // of the whole batch: as claimed, and proved once head is there
	head  *wire.Header // nil until it is there in full
	by    wire.PeerID  // who sent the first part
	from  wire.PeerID  // who sends it now, and whose share it takes
	heir  wire.PeerID  // who was asked to go on with it, and nobody else may; empty: nobody
	reach int          // how far this peer's parts got, those of no use too
	mixed bool         // it has parts of several peers
	order uint64       // of the last part
	at    time.Time    // when the last part came
	cut   bool         // the transfer was cut off, and no part came since
	told  bool         // the core was told that it is kept
}

// share is what a peer's assemblies take.
type share struct{ bytes, count int }

// partial is word to the core of how much is kept of a batch; offset 0: nothing.
type partial struct {
	id     wire.BatchID
	head   *wire.Header
	offset int
}

// progress is what became of a part.
type progress struct {
	moved   bool         // the transfer goes on
	head    *wire.Header // of the batch, with moved; nil: not here yet
	raw     []byte       // the batch, if this was its last part
	mixed   bool         // raw is of several peers
	mistake string       // that the peer made; empty: none
}

func newAssembler(stall time.Duration, max int) *assembler {
	return &assembler{
		stall: stall, max: max, born: time.Now(), all: map[assemblyKey]*assembly{}, shares: map[wire.PeerID]*share{},
		apart: map[wire.BatchID]int{}, suspects: map[wire.BatchID]bool{},
	}
}

// add adds a part, whose bytes it copies. [wire.ParseFrame] has seen to it that
// it is a stretch of a batch within the limits.
func (a *assembler) add(from wire.PeerID, p *wire.Part) progress {
	a.mu.Lock()
	defer a.mu.Unlock()
	end := int(p.Offset) + len(p.Data)
	x := a.find(from, p)
	if x == nil || int(p.Offset) > len(x.buf) || int(p.Size) != x.size {
		a.stats.dropped++
		return progress{}
	}
	if x.from != from {
		a.give(x, from)
		x.reach = 0
	} else if x.cut {
		x.reach = 0 // it was asked again
	}
	if end <= len(x.buf) { // the peer was not asked to go on where it stopped, or did not heed it
		a.stats.dropped++
		if end <= x.reach {
			return progress{}
		}
		x.reach = end
		a.touch(x)
		return progress{moved: true, head: x.head}
	}
	a.grow(x, end)
	x.buf = append(x.buf, p.Data[len(x.buf)-int(p.Offset):]...)
	x.reach = end
	x.mixed = x.mixed || x.by != from
	a.stats.parts++
	a.touch(x)
	return a.judge(x)
}

// find returns the assembly that a part may belong to, or nil. a.mu is held.
func (a *assembler) find(from wire.PeerID, p *wire.Part) *assembly {
	own := assemblyKey{p.Batch, from}
	if x := a.all[own]; x != nil {
		return x
	}
	k := assemblyKey{id: p.Batch}
	switch x := a.all[k]; {
	case a.suspects[p.Batch]:
		k = own
	case x != nil && (x.heir == from || x.heir == "" && x.from == from):
		return x
	case x != nil:
		k = own
	}
	if p.Offset != 0 {
		return nil
	}
	x := &assembly{key: k, size: int(p.Size), by: from, from: from}
	a.enter(x)
	a.charge(from, 0, 1)
	for a.shares[from].count > assembliesPeerMax && a.evict(from, x) {
	}
	for len(a.all) > assembliesMax && a.evict(a.greediest(x), x) {
	}
	return x
}

// grant notes that the peer is asked to go on with what is kept of batches.
// Who sent it so far, and anybody else, may not from now on.
func (a *assembler) grant(to wire.PeerID, resume []wire.Resume) {
	if len(resume) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, x := range a.all {
		i := slices.IndexFunc(resume, func(r wire.Resume) bool { return r.ID == k.id.Short() })
		// The one that the core was told of may be gone, and begun anew by who knows.
		if i < 0 || k.from != "" || !x.told || len(x.buf) < int(resume[i].Offset) {
			continue
		}
		x.heir = to
		if own := a.all[assemblyKey{k.id, to}]; own != nil {
			a.remove(own) // what it sends now goes on with x
		}
	}
}

// judge checks the assembly as far as it got. a.mu is held.
func (a *assembler) judge(x *assembly) progress {
	id := x.key.id
	if x.head == nil {
		pre, ok, err := wire.ParsePrefix(x.buf)
		switch {
		case err != nil:
			return a.fail(x, err.Error())
		case ok && (pre.ID != id || pre.Size != x.size):
			return a.fail(x, fmt.Sprintf("parts of batch %v, of %d bytes, are of %v, of %d", id, x.size, pre.ID, pre.Size))
		case ok:
			x.head = &pre.Header
		}
	}
	if len(x.buf) < x.size {
		return progress{moved: true, head: x.head}
	}
	if x.head == nil {
		return a.fail(x, "a batch in parts has no header")
	}
	a.remove(x)
	return progress{moved: true, head: x.head, raw: x.buf, mixed: x.mixed}
}

// fail drops an assembly that is false, and says who is to blame, if it is
// known. a.mu is held.
func (a *assembler) fail(x *assembly, mistake string) progress {
	a.remove(x)
	if x.mixed {
		a.doubt(x.key.id)
		return progress{}
	}
	return progress{mistake: mistake}
}

// spoiled notes that a batch of several peers' parts was false.
func (a *assembler) spoiled(id wire.BatchID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubt(id)
}

// doubt makes the batch a suspect. a.mu is held.
func (a *assembler) doubt(id wire.BatchID) {
	a.stats.spoiled++
	if a.suspects[id] {
		return
	}
	if len(a.doubted) == suspectsMax {
		delete(a.suspects, a.doubted[0])
		a.doubted = append(a.doubted[:0], a.doubted[1:]...)
	}
	a.suspects[id] = true
	a.doubted = append(a.doubted, id)
	if x := a.all[assemblyKey{id: id}]; x != nil { // begun meanwhile
		a.remove(x)
	}
}

// settled forgets what is kept of a batch that came in another way.
func (a *assembler) settled(id wire.BatchID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 {
		return
	}
	if x := a.all[assemblyKey{id: id}]; x != nil {
		a.remove(x)
	}
	if a.apart[id] == 0 {
		return
	}
	for k, x := range a.all {
		if k.id == id {
			a.remove(x)
		}
	}
}

// counts returns the figures.
func (a *assembler) counts() assemblerStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

// touch makes an assembly the newest. a.mu is held.
func (a *assembler) touch(x *assembly) {
	a.order++
	x.order, x.at, x.cut = a.order, time.Now(), false
	due := int64(x.at.Add(a.stall).Sub(a.born))
	if was := a.due.Load(); was == 0 || due < was {
		a.due.Store(due) // what is due later than it was is found out then
	}
}

// remove drops an assembly. a.mu is held.
func (a *assembler) remove(x *assembly) {
	a.leave(x)
	a.charge(x.from, -cap(x.buf), -1)
	if x.told {
		a.tell(partial{x.key.id, x.head, 0})
	}
}
