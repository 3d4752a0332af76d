package gossip

import (
	"slices"
	"strings"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// topic is what the core knows of one topic.
type topic struct {
	name       string
	interested bool // one of our interests matches: we hold everybody's events
	listed     bool // it exists for others: an interest names it, or it has batches
	own        bool // it is here for more than the word of peers: not counted, not forgotten
	compared   bool // anti-entropy has to do with it, and heads are told

	strategy strategy
	monger   *monger // the same, if rumors are mongered; else nil

	peers      []*topicPeer // sorted by peer ID
	orders     orders       // of the same
	passive    []passiveEntry
	missing    int // peers that it lacks; valid within makeWishes
	authors    map[wire.Author]*author
	authorList []*author // in order of meeting: iterate this, never the map
	set        reconcile.Set
	lack       lackList
	lackSince  Time      // when the list was last empty
	fetching   int       // authors with a want outstanding
	fetched    Time      // when such a want last brought something
	pumpAt     Time      // when pumpLack is due; Never: it is not
	trims      uint64    // Core.trims when an author's mark changed
	hash       uint64    // reconcile.TopicHash of the name
	newest     wire.Time // date of the newest batch of the set
}

// scope says what part of the topic this node holds.
func (t *topic) scope() wire.TopicScope {
	if t.interested {
		return wire.ScopeFull
	}
	return wire.ScopeOwn
}

func (t *topic) neighbours() (n int) {
	for _, tp := range t.peers {
		if tp.neighbour() {
			n++
		}
	}
	return n
}

// entryState says how far a batch has come.
type entryState uint8

const (
	storing entryState = iota // handed to the log
	held                      // written: may be sent
	lost                      // its body was found damaged, and is wanted again
	trimmed                   // retention removed it; on its way out
)

// entry is a batch that the node holds or is about to.
type entry struct {
	id       wire.BatchID
	author   *author
	start    wire.Mark
	prev     wire.Prev
	time     wire.Time
	count    uint32
	size     uint32
	state    entryState
	released bool
	repaired bool // came in answer to a want: told on as lazy word, not pushed
	refill   bool // was lost and is being written again
	verdict  wire.Reason
	proof    bool   // of an equivocation, to be spread
	from     *peer  // who brought it; nil for our own
	rumor    *rumor // while it is mongered
}

// batch returns what is known of a batch, or nil.
func (c *Core) batch(id wire.BatchID) *entry { return c.batches[id.Short()] }

func (e *entry) end() wire.Mark {
	return wire.Mark{Epoch: e.start.Epoch, Seq: e.start.Seq + uint64(e.count) - 1}
}

func (e *entry) item() reconcile.Item { return reconcile.Item{Time: e.time, ID: e.id} }

// author is what the core knows of one author on one topic.
type author struct {
	topic *topic
	key   wire.Author

	batches  []*entry    // without a verdict, sorted by start, not overlapping
	barred   []*entry    // with one; in order of coming
	released wire.Mark   // Order has dealt with all up to here
	held     wire.Mark   // all up to here is released and in the log; what we tell others
	trimmed  wire.Mark   // retention has removed all up to here; it is not taken in again
	trimTime wire.Time   // date of the newest of that
	trims    uint64      // Core.trims when it changed
	base     wire.Mark   // nothing up to here is held any more
	closed   []wire.Mark // places where an epoch ends for equivocation, one an epoch

	links []link    // one for each peer that this author's batches concern; empty if forgotten
	lru   lruNode   // in linkMemory, while links are remembered
	acked wire.Mark // the furthest that any other node ever said it holds

	taken uint8 // batches that came or were published while we run, up to shapedAfter
	early early // who had word of the batch that a push is awaited of

	dirty     bool      // in Core.dirty
	calm      uint8     // batches in a row that took the tree as it is, up to calmAfter
	urgent    Time      // until then word of it is, for a neighbour is new
	cast      Time      // when a segment last brought a batch of it; 0: none did
	castUpto  wire.Mark // the end of the newest that a segment brought
	published Time      // our own: when it last published, while it is in segments.own; else 0
	untold    Time      // our own: when the first batch went to a segment that no word was told of since; 0: none
	fetch     fetchState
	gapTimed  bool // a gapTimer is set: it goes on until the wait that runs then is over
	gapFrom   Time // since when nobody claims what is missing; Never: not so
}

// authorOf returns the author's state on a topic, made if need be.
func (c *Core) authorOf(t *topic, key wire.Author) *author {
	a := t.authors[key]
	if a == nil {
		a = &author{topic: t, key: key, gapFrom: Never, fetch: fetchState{at: Never, deferred: Never, flowing: Never}}
		t.authors[key] = a
		t.authorList = append(t.authorList, a)
		c.authors++
	}
	return a
}

// search returns the index of the first batch that ends at or after m.
func (a *author) search(m wire.Mark) int {
	i, _ := slices.BinarySearchFunc(a.batches, m, func(e *entry, m wire.Mark) int { return e.end().Compare(m) })
	return i
}

// overlap returns the batch that shares an event with h, or nil.
func (a *author) overlap(h *wire.Header) *entry {
	i := a.search(h.Start())
	if i < len(a.batches) && a.batches[i].start.Compare(h.End()) <= 0 {
		return a.batches[i]
	}
	return nil
}

func (a *author) insert(e *entry) {
	a.batches = slices.Insert(a.batches, a.search(e.start), e)
}

func (a *author) remove(e *entry) {
	if i := a.search(e.start); i < len(a.batches) && a.batches[i] == e {
		a.batches = slices.Delete(a.batches, i, i+1)
	}
}

// closedAt returns where the epoch ends for equivocation.
func (a *author) closedAt(e wire.Epoch) (wire.Mark, bool) {
	for _, m := range a.closed {
		if m.Epoch == e {
			return m, true
		}
	}
	return wire.Mark{}, false
}

func (a *author) close(m wire.Mark) {
	for i, old := range a.closed {
		if old.Epoch == m.Epoch {
			a.closed[i].Seq = min(old.Seq, m.Seq)
			return
		}
	}
	a.closed = append(a.closed, m)
}

// ownTopic returns the topic's state, made if need be, for something that this
// node itself has to do with it.
func (c *Core) ownTopic(name string) *topic {
	t := c.topics[name]
	if t == nil {
		t = c.newTopic(name)
	}
	t.own = true
	return t
}

// heardTopic returns the topic's state, made if need be on a peer's word, or nil
// if there are too many.
func (c *Core) heardTopic(name string) *topic {
	if t := c.topics[name]; t != nil {
		return t
	}
	if len(c.topicList) >= c.cfg.TopicsMax {
		c.stats.TopicsRefused++
		return nil
	}
	return c.newTopic(name)
}

// newTopic makes a topic. Peers are told of it by [Core.list], before it is
// gossiped.
func (c *Core) newTopic(name string) *topic {
	t := &topic{name: name, authors: map[wire.Author]*author{}, pumpAt: Never, hash: reconcile.TopicHash(name)}
	c.strategyOf(t)
	t.interested = c.interests.match(name)
	c.topics[name] = t
	c.lan.byTag[t.tag()] = t
	i, _ := slices.BinarySearchFunc(c.topicList, name, func(t *topic, name string) int {
		return strings.Compare(t.name, name)
	})
	c.topicList = slices.Insert(c.topicList, i, t)
	if t.interested {
		c.notice(Notice{Kind: NoticeTopic, Topic: name})
	}
	for _, p := range c.peerList {
		c.heedTopic(p, t)
	}
	return t
}
