package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// TopicState is a topic that two nodes have in common, and the digest of ours.
type TopicState struct {
	Name   string
	Hash   uint64 // TopicHash(Name), which the caller may keep; 0: not known
	Digest Digest // of the compared range; 0: we hold nothing there
}

// TopicHash returns a topic's place in the tree: the first 8 bytes of its
// SHA-256, big endian.
func TopicHash(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:8])
}

// TopicTree finds the topics in which two nodes differ, in few steps however many
// they have in common. It is a trie over the topics' hashes, of 16 children a node.
//
// The digest of a node is SHA-256 over (hash, digest), 8 bytes each and big endian,
// of the topics below it in order of the hash; that of a single topic at
// depth 16 is the topic's own. Topics that a node holds nothing of do
// not count, so it does not matter whether both sides know them.
//
// A tree is built for one comparison and not changed. It is not safe for
// concurrent use.
type TopicTree struct {
	held  []TopicState // ascending by hash, then name; with a digest
	empty []TopicState // the same; without
	known map[position]Digest
}

// position names a node: depth digits of prefix, the others zero.
type position struct {
	prefix uint64
	depth  uint32
}

// depthMax is the depth of a topic by itself: the digits of a hash.
const depthMax = 16

// NewTopicTree returns the tree of the topics in common. It keeps nothing of the slice.
func NewTopicTree(topics []TopicState) *TopicTree {
	t := &TopicTree{known: make(map[position]Digest)}
	for _, s := range topics {
		if s.Hash == 0 {
			s.Hash = TopicHash(s.Name)
		}
		if s.Digest == 0 {
			t.empty = append(t.empty, s)
		} else {
			t.held = append(t.held, s)
		}
	}
	order := func(a, b TopicState) int {
		return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(t.held, order)
	slices.SortFunc(t.empty, order)
	return t
}

// Root returns the digest over all topics, 0 if nothing is held of any.
func (t *TopicTree) Root() Digest { return Digest(t.Node(0, 0).Digest) }

// Lookup returns the name of a common topic by its hash, held or not.
func (t *TopicTree) Lookup(hash uint64) (string, bool) {
	p := position{hash, depthMax}
	for _, s := range p.below(t.held) {
		return s.Name, true
	}
	for _, s := range p.below(t.empty) {
		return s.Name, true
	}
	return "", false
}

// Node returns the node at depth digits of prefix. One that has no topics has
// a zero Digest and zero Topics.
func (t *TopicTree) Node(prefix uint64, depth uint32) wire.TopicDigest {
	return t.node(at(prefix, depth))
}

func (t *TopicTree) node(p position) wire.TopicDigest {
	topics := p.below(t.held)
	n := wire.TopicDigest{Prefix: p.prefix, Depth: p.depth, Topics: uint32(len(topics))}
	switch {
	case len(topics) == 0:
	case len(topics) == 1 && p.depth == depthMax:
		n.Digest = uint64(topics[0].Digest)
	default:
		n.Digest = uint64(t.sum(p, topics))
	}
	return n
}

// sum hashes the topics at p. It keeps the result: a node asked for many times,
// as a liar may, is hashed once.
func (t *TopicTree) sum(p position, topics []TopicState) Digest {
	if d, ok := t.known[p]; ok {
		return d
	}
	b := make([]byte, 0, 16*len(topics))
	for _, s := range topics {
		b = binary.BigEndian.AppendUint64(b, s.Hash)
		b = binary.BigEndian.AppendUint64(b, uint64(s.Digest))
	}
	sum := sha256.Sum256(b)
	d := digestOf(&sum)
	t.known[p] = d
	return d
}

// Children returns the children of a node that hold topics, ascending. One with
// a single topic is given as that topic, at depth 16.
func (t *TopicTree) Children(prefix uint64, depth uint32) []wire.TopicDigest {
	p := at(prefix, depth)
	if p.depth == depthMax {
		return nil
	}
	var nodes []wire.TopicDigest
	for x := range uint64(fanout) {
		c := p.child(x)
		switch topics := c.below(t.held); len(topics) {
		case 0:
		case 1:
			nodes = append(nodes, t.node(position{topics[0].Hash, depthMax}))
		default:
			nodes = append(nodes, t.node(c))
		}
	}
	return nodes
}

// Expand returns a node and after it its children: what to answer for a node that
// differs, and what to begin with at the root. With the node itself in the
// list, the receiver sees which of its own subtrees the sender has nothing of.
func (t *TopicTree) Expand(prefix uint64, depth uint32) []wire.TopicDigest {
	return append([]wire.TopicDigest{t.Node(prefix, depth)}, t.Children(prefix, depth)...)
}

// Diff compares the other's nodes with ours. It returns our nodes to descend
// into, whose [TopicTree.Expand] the other needs, and the topics that differ for
// certain, to be opened. Topics that are not in common are left aside.
func (t *TopicTree) Diff(theirs []wire.TopicDigest) (descend []wire.TopicDigest, open []string) {
	d := diff{tree: t, theirs: slices.Clone(theirs), seen: make(map[string]bool)}
	for i := range d.theirs {
		n := &d.theirs[i]
		p := at(n.Prefix, n.Depth)
		n.Prefix, n.Depth = p.prefix, p.depth
	}
	// A node comes before those below it, and these before the next.
	slices.SortStableFunc(d.theirs, func(a, b wire.TopicDigest) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Depth, b.Depth))
	})
	for len(d.theirs) > 0 {
		d.one()
	}
	return d.descend, d.open
}

// at returns the position of depth digits of prefix, whatever a peer made of them.
func at(prefix uint64, depth uint32) position {
	depth = min(depth, depthMax)
	return position{prefix &^ (1<<(64-4*depth) - 1), depth}
}

// child returns the position one digit, x, below p, which is above depth 16.
func (p position) child(x uint64) position {
	return position{p.prefix | x<<(60-4*p.depth), p.depth + 1}
}

// last returns the highest hash below p.
func (p position) last() uint64 { return p.prefix | (1<<(64-4*p.depth) - 1) }

// above reports whether q is p or below it.
func (p position) above(q position) bool {
	return q.depth >= p.depth && at(q.prefix, p.depth) == p
}

// below returns the part of topics, ascending by hash, that is below p.
func (p position) below(topics []TopicState) []TopicState {
	byHash := func(s TopicState, hash uint64) int { return cmp.Compare(s.Hash, hash) }
	from, _ := slices.BinarySearchFunc(topics, p.prefix, byHash)
	rest := topics[from:]
	if last := p.last(); last != 1<<64-1 {
		to, _ := slices.BinarySearchFunc(rest, last+1, byHash)
		rest = rest[:to]
	}
	return rest
}
