package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Checker is an [Observer] that holds a simulation to one promise of
// docs/guarantees.md. It is made before the first node.
type Checker interface {
	Observer
	// End looks at what can be judged only when faults have healed and repairs
	// have had their time.
	End(s *Sim)
	// Err tells what was wrong, or nil. The error wraps [ErrBroken].
	Err() error
}

// ErrBroken is wrapped by what a [Checker] found.
var ErrBroken = errors.New("sim: broken promise")

// Checkers returns one checker for each promise that the simulator can see, and
// has them told of all that happens from now on.
func Checkers(s *Sim) []Checker {
	all := []Checker{
		NewEverywhereChecker(), NewOnceChecker(s), NewOrderChecker(s), NewSilentChecker(), NewBoundedChecker(),
		NewHonestChecker(), NewContractChecker(s),
	}
	for _, c := range all {
		s.Observe(c)
	}
	return all
}

// findings are what a checker found: the first of it in words.
type findings struct {
	Ignore
	promise string
	first   string
	more    int
}

func (f *findings) add(s *Sim, format string, args ...any) {
	if f.first == "" {
		f.first = fmt.Sprintf("at %v: ", s.Now()) + fmt.Sprintf(format, args...)
		return
	}
	f.more++
}

// End does nothing.
func (f *findings) End(*Sim) {}

// Err tells what was wrong, or nil.
func (f *findings) Err() error {
	switch {
	case f.first == "":
		return nil
	case f.more == 0:
		return fmt.Errorf("%w: %s: %s", ErrBroken, f.promise, f.first)
	}
	return fmt.Errorf("%w: %s: %s; and %d times more", ErrBroken, f.promise, f.first, f.more)
}

// stream is one author's events on one topic, as one node reads them.
type stream struct {
	node   int
	topic  string
	author wire.Author
}

func (st stream) String() string { return fmt.Sprintf("node %d, topic %s", st.node, st.topic) }

// spot names a batch in words: whose it is and where it stands.
func (s *Sim) spot(batch int) string {
	p := &s.store.batches[batch]
	h := &p.Batch.Header
	return fmt.Sprintf("batch %d (node %d's on %s, %v to %v, after %v)", batch, p.Author, h.Topic,
		markText(h.Start()), markText(h.End()), markText(h.Prev.Mark))
}

// markText shortens an epoch to what tells the epochs of one run apart: the
// milliseconds since the simulation's start.
func markText(m wire.Mark) string {
	if m == (wire.Mark{}) {
		return "the beginning"
	}
	return fmt.Sprintf("%d/%d", time.Duration(m.Epoch.Time()-Start).Milliseconds(), m.Seq)
}

// wants reports whether one of the node's interests matches the topic.
func (n *Node) wants(topic string) bool {
	for _, f := range n.filter {
		if wire.Match(f, topic) {
			return true
		}
	}
	return false
}

// trimmedUpto returns up to where the node's retention removed the author's events.
func (n *Node) trimmedUpto(topic string, author wire.Author) wire.Mark {
	for i := range n.log.marks {
		if m := &n.log.marks[i]; m.topic == topic && m.author == author {
			return m.upto
		}
	}
	return wire.Mark{}
}

// floor returns the date below which the node owes nothing. Around it two nodes may
// differ, by as much as their clocks do and by the steps in which it moves.
func (n *Node) floor() wire.Time {
	age := n.config.RetainAge
	if age == 0 {
		return 0
	}
	return n.wall().Add(-age + max(age/64, time.Second))
}

// EverywhereChecker holds a simulation to P2: at the end, of two nodes that are
// connected, what one holds the other does, if it is interested.
type EverywhereChecker struct{ findings }

// NewEverywhereChecker returns a checker of P2.
func NewEverywhereChecker() *EverywhereChecker {
	return &EverywhereChecker{findings{promise: "P2 everywhere"}}
}

// End looks for what is missing.
func (c *EverywhereChecker) End(s *Sim) {
	for _, m := range s.Missing(missingShown) {
		c.add(s, "node %d lacks %s, which node %d, connected with it, holds", m.Node.Index, s.spot(m.Batch), m.Holder.Index)
	}
}

const missingShown = 100

// Missing is a batch that a node lacks and one connected with it holds.
type Missing struct {
	Node, Holder *Node
	Batch        int
}

// Missing returns what nodes that are up lack of what those that they are
// connected with hold, at most limit of it: what each has a right to by P2.
//
// Both are interested in the topic, or the holder is the author: others do not
// serve what they hold. What a node has trimmed itself it has no right to, nor
// to what is too old. It is enough to compare nodes that are connected: where
// none of these lacks anything, it is everywhere that a chain of nodes leads to
// which trimmed nothing of it.
func (s *Sim) Missing(limit int) (missing []Missing) {
	for _, n := range s.nodes {
		if !n.Up() {
			continue
		}
		for _, l := range n.links {
			for i := range s.store.batches {
				if len(missing) >= limit {
					return missing
				}
				if n.lacks(l.peer, i) {
					missing = append(missing, Missing{Node: n, Holder: l.peer, Batch: i})
				}
			}
		}
	}
	return missing
}

// lacks reports whether the node has a right to the batch by what its peer holds.
func (n *Node) lacks(peer *Node, batch int) bool {
	if n.holds(batch) || !peer.holds(batch) {
		return false
	}
	p := &n.sim.store.batches[batch]
	h := &p.Batch.Header
	if !n.wants(h.Topic) || p.Author != peer.Index && !peer.wants(h.Topic) {
		return false
	}
	if !peer.wants(h.Topic) && n.sim.equivocated(h) {
		return false // the epoch is closed there: heads do not tell of it, and sets are not compared with who only publishes
	}
	if h.End().Compare(n.trimmedUpto(h.Topic, h.Author)) <= 0 || h.Time < max(n.floor(), peer.floor()) {
		return false
	}
	// What a peer holds below its own mark was on its way to the log when those after it
	// were trimmed. It does not tell of it.
	return h.End().Compare(peer.trimmedUpto(h.Topic, h.Author)) > 0
}

func (n *Node) holds(batch int) bool {
	return batch < len(n.log.arrivals) && n.log.arrivals[batch].state&stored != 0
}

// Waiting returns a batch that the node holds and its readers have not been
// shown, nor ever will be told is barred, or -1.
func (n *Node) Waiting() int {
	for i := range n.log.arrivals {
		if n.log.arrivals[i].state&(stored|released|barred) == stored {
			return i
		}
	}
	return -1
}

// HonestChecker holds a simulation to P8's other side: who keeps to the rules
// is not dropped. It is not for runs that corrupt frames.
type HonestChecker struct{ findings }

// NewHonestChecker returns a checker of that no node drops an honest peer.
func NewHonestChecker() *HonestChecker {
	return &HonestChecker{findings{promise: "P8 who keeps to the rules does not pay"}}
}

// Disconnected is a finding.
func (c *HonestChecker) Disconnected(n, peer *Node, reason string) {
	c.add(n.sim, "node %d drops node %d: %s", n.Index, peer.Index, reason)
}

// ContractChecker holds cores to what they promise their callers in
// [gossip.Output]: what is sent is in the log, and nobody is sent what he did
// not ask for.
type ContractChecker struct {
	findings
	sim  *Sim
	ever map[wanted]bool
}

// wanted says that a node was interested in a topic at some time.
type wanted struct {
	node  int
	topic string
}

// NewContractChecker returns a checker of the cores' outputs.
func NewContractChecker(s *Sim) *ContractChecker {
	return &ContractChecker{findings: findings{promise: "the core's contract"}, sim: s, ever: map[wanted]bool{}}
}

// Sent looks at batches that are sent.
func (c *ContractChecker) Sent(n, peer *Node, m wire.Message, batch int) {
	if m != nil {
		return
	}
	if !n.holds(batch) {
		c.add(c.sim, "node %d sends %s, which is not in its log", n.Index, c.sim.spot(batch))
	}
	p := &c.sim.store.batches[batch]
	if p.Author == peer.Index {
		return // its own, which it may have lost
	}
	// An interest that was taken back may have been answered already.
	w := wanted{peer.Index, p.Batch.Header.Topic}
	if !c.ever[w] {
		if !peer.wants(w.topic) && !peer.wanted(w.topic) {
			c.add(c.sim, "node %d is sent %s, which it never wanted", peer.Index, c.sim.spot(batch))
			return
		}
		c.ever[w] = true
	}
}

// Gap looks at gaps that make no sense.
func (c *ContractChecker) Gap(n *Node, g *gossip.Gap) {
	if g.From.Compare(g.To) > 0 {
		c.add(c.sim, "node %d is told of a gap on %s that ends at %v, before its beginning at %v",
			n.Index, g.Topic, markText(g.To), markText(g.From))
	}
	switch g.Reason {
	case gossip.GapLost, gossip.GapTrimmed, gossip.GapEquivocation:
	default:
		c.add(c.sim, "node %d is told of a gap on %s for an unknown reason, %q", n.Index, g.Topic, g.Reason)
	}
}

// wanted reports whether an interest that was taken back matches the topic.
func (n *Node) wanted(topic string) bool {
	for _, f := range n.former {
		if wire.Match(f, topic) {
			return true
		}
	}
	return false
}

// equivocated reports whether the batch stands at or after a place of its epoch
// for which its author signed two.
func (s *Sim) equivocated(h *wire.Header) bool {
	for _, t := range s.store.twins {
		if t.author == h.Author && t.topic == h.Topic && t.at.Epoch == h.Epoch && h.Start().Compare(t.at) >= 0 {
			return true
		}
	}
	return false
}
