package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/busnode/busnode/gossip/wire"
)

// TopicState is a topic that two nodes have in common, and the digest of ours.
type TopicState struct {
	Name   string
	Hash   uint64 // TopicHash(Name), which the caller may keep; 0: not known
	Digest Digest // of the compared range; zero: we hold nothing there
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
// The digest of a node is SHA-256 over (hash in 8 bytes, big endian ‖ digest) of
// the topics below it in order of the hash; that of a single topic at depth 16 is
// the topic's own. On the wire it goes under the key of the link: the 64 bits of
// SipHash, one in place of zero. Topics that a node holds nothing of do
// not count, so it does not matter whether both sides know them.
//
// A tree is built for one comparison and not changed. It is not safe for
// concurrent use.
type TopicTree struct {
	key   Key
	held  []TopicState        // ascending by hash, then name; with a digest
	empty []TopicState        // the same; without
	known map[position]uint64 // digests of nodes that took long; nil: none did
}

// position names a node: depth digits of prefix, the others zero.
type position struct {
	prefix uint64
	depth  uint32
}

// depthMax is the depth of a topic by itself: the digits of a hash.
const depthMax = 16

// NewTopicTree returns the tree of the topics in common, for a comparison under
// the key of the link. It takes ownership of the slice. Topics that ascend by hash,
// and by name where hashes are equal, are not sorted again.
func NewTopicTree(link Key, topics []TopicState) *TopicTree {
	t := &TopicTree{key: link}
	empty := 0
	for i := range topics {
		s := &topics[i]
		if s.Hash == 0 {
			s.Hash = TopicHash(s.Name)
		}
		if s.Digest == (Digest{}) {
			empty++
		}
	}
	if !slices.IsSortedFunc(topics, TopicState.compare) {
		slices.SortFunc(topics, TopicState.compare)
	}
	switch empty {
	case 0:
		t.held = topics
		return t
	case len(topics):
		t.empty = topics
		return t
	}
	t.held = make([]TopicState, 0, len(topics)-empty)
	t.empty = make([]TopicState, 0, empty)
	for i := range topics {
		if topics[i].Digest == (Digest{}) {
			t.empty = append(t.empty, topics[i])
		} else {
			t.held = append(t.held, topics[i])
		}
	}
	return t
}

// compare compares by hash. That of names decides once in 2^64 pairs, and costs more.
func (s TopicState) compare(o TopicState) int {
	if s.Hash != o.Hash {
		return cmp.Compare(s.Hash, o.Hash)
	}
	return cmp.Compare(s.Name, o.Name)
}

// Root returns the digest over all topics, 0 if nothing is held of any.
func (t *TopicTree) Root() uint64 { return t.Node(0, 0).Digest }

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
		n.Digest = t.key.digest64(&topics[0].Digest)
	default:
		n.Digest = t.sum(p, topics)
	}
	return n
}

// sum hashes the topics at p. It keeps the result where they are many: a node asked for many
// times, as a liar may, is hashed once.
func (t *TopicTree) sum(p position, topics []TopicState) uint64 {
	const few = 8
	if len(topics) <= few {
		var room [few * topicBytes]byte
		sum := Digest(sha256.Sum256(appendTopics(room[:0], topics)))
		return t.key.digest64(&sum)
	}
	if d, ok := t.known[p]; ok {
		return d
	}
	const blockMax = 64 // topics hashed in one call
	hash := sha256.New()
	b := make([]byte, 0, topicBytes*min(len(topics), blockMax))
	for block := range slices.Chunk(topics, blockMax) {
		b = appendTopics(b[:0], block)
		hash.Write(b)
	}
	var sum Digest
	hash.Sum(sum[:0])
	if t.known == nil {
		t.known = make(map[position]uint64)
	}
	d := t.key.digest64(&sum)
	t.known[p] = d
	return d
}

// topicBytes is what a topic takes in the text that a node's digest is of.
const topicBytes = 8 + len(Digest{})

func appendTopics(dst []byte, topics []TopicState) []byte {
	for i := range topics {
		dst = binary.BigEndian.AppendUint64(dst, topics[i].Hash)
		dst = append(dst, topics[i].Digest[:]...)
	}
	return dst
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
	from := sort.Search(len(topics), func(i int) bool { return topics[i].Hash >= p.prefix })
	rest, last := topics[from:], p.last()
	return rest[:sort.Search(len(rest), func(i int) bool { return rest[i].Hash > last })]
}
