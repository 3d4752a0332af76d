package reconcile

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/wire"
)

var testLink = LinkKey(1, 2)

// drawTopics draws what two nodes hold of the topics that they have in common. Hashes
// crowd, so that subtrees with one topic meet deep ones, but no two are equal: that takes
// 2^32 topics, and topics that share one may swap what they hold unseen.
func drawTopics(t *rapid.T) (a, b []TopicState) {
	hashes := rapid.Permutation([]uint64{
		0x1000000000000000, 0x1200000000000000, 0x1230000000000001, 0x1230000000000002,
		0x1230000000000020, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffffffe, 0x7f,
	}).Draw(t, "hashes")
	digest := rapid.SampledFrom([]Digest{{}, {}, {1}, {2}})
	same := rapid.Bool().Draw(t, "mostly the same")
	for i := range rapid.IntRange(0, 40).Draw(t, "topics") {
		s := TopicState{Name: fmt.Sprint("topic.", i)}
		if i < len(hashes) {
			s.Hash = hashes[i]
		}
		s.Digest = digest.Draw(t, "digest")
		a = append(a, s)
		if !same || rapid.IntRange(0, 9).Draw(t, "differs") == 0 {
			s.Digest = digest.Draw(t, "other digest")
		}
		b = append(b, s)
	}
	return a, b
}

// differing returns the names of the topics in which a and b differ.
func differing(a, b []TopicState) []string {
	var names []string
	for i := range a {
		if a[i].Digest != b[i].Digest {
			names = append(names, a[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestTopicTreesFindTheTopicsThatDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTopics(t)
		ta, tb := NewTopicTree(testLink, slices.Clone(a)), NewTopicTree(testLink, slices.Clone(b))
		want := differing(a, b)
		if equal := ta.Root() == tb.Root(); equal != (len(want) == 0) {
			t.Fatalf("roots equal: %v, but %v differ", equal, want)
		}
		var opened []string
		nodes := []wire.TopicDigest{ta.Node(0, 0)}
		if rapid.Bool().Draw(t, "expanded") {
			nodes = ta.Expand(0, 0)
		}
		for steps := 0; len(nodes) > 0; steps++ {
			if steps > 20 {
				t.Fatal("does not end")
			}
			ta, tb = tb, ta
			descend, open := ta.Diff(nodes)
			opened = append(opened, open...)
			nodes = nil
			for _, n := range descend {
				nodes = append(nodes, ta.Expand(n.Prefix, n.Depth)...)
			}
		}
		slices.Sort(opened)
		if !slices.Equal(opened, want) {
			t.Fatalf("opened %v, want %v", opened, want)
		}
	})
}

func TestNodesCountWhatIsHeldBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics, _ := drawTopics(t)
		tree := NewTopicTree(testLink, slices.Clone(topics))
		depth := rapid.Uint32Range(0, depthMax).Draw(t, "depth")
		prefix := rapid.SampledFrom([]uint64{0x1230000000000001, 0, ^uint64(0), 0x7f}).Draw(t, "prefix")
		n := tree.Node(prefix, depth)
		p := at(prefix, depth)
		want := uint32(0)
		for _, s := range topics {
			if s.Hash == 0 {
				s.Hash = TopicHash(s.Name)
			}
			if s.Digest != (Digest{}) && p.above(position{s.Hash, depthMax}) {
				want++
			}
			if name, found := tree.Lookup(s.Hash); !found || TopicHash(name) != s.Hash && name == "" {
				t.Fatalf("Lookup(%x) = %q, %v", s.Hash, name, found)
			}
		}
		if n.Topics != want || (n.Digest == 0) != (want == 0) {
			t.Fatalf("node %x/%d has %d topics and digest %x, want %d", prefix, depth, n.Topics, n.Digest, want)
		}
		sum := uint32(0)
		for _, c := range tree.Children(prefix, depth) {
			if c.Topics == 0 || c.Topics == 1 && c.Depth != depthMax {
				t.Fatalf("child %+v", c)
			}
			sum += c.Topics
		}
		if depth < depthMax && sum != want {
			t.Fatalf("children have %d topics, want %d", sum, want)
		}
	})
}

func TestDiffEndsWhateverThePeerSends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics, _ := drawTopics(t)
		nodes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.TopicDigest {
			return wire.TopicDigest{
				Prefix: rapid.SampledFrom([]uint64{0, 0x1230000000000001, ^uint64(0), 0x1fff}).Draw(t, "prefix"),
				Depth:  rapid.Uint32Range(0, 20).Draw(t, "depth"),
				Digest: rapid.Uint64Range(0, 3).Draw(t, "digest"),
				Topics: rapid.Uint32Range(0, 3).Draw(t, "topics"),
			}
		}), 0, 30).Draw(t, "nodes")
		descend, open := NewTopicTree(testLink, slices.Clone(topics)).Diff(nodes)
		if len(descend) > len(nodes) || len(open) > len(topics) {
			t.Fatalf("descends into %d and opens %d, for %d nodes and %d topics",
				len(descend), len(open), len(nodes), len(topics))
		}
	})
}

func TestTopicTreeOfNothing(t *testing.T) {
	for _, topics := range [][]TopicState{nil, {{Name: "a"}}} {
		tree := NewTopicTree(testLink, topics)
		if tree.Root() != 0 || len(tree.Children(0, 0)) != 0 {
			t.Errorf("root %x of %v", tree.Root(), topics)
		}
	}
	if _, found := NewTopicTree(testLink, nil).Lookup(TopicHash("a")); found {
		t.Error("found a topic in an empty tree")
	}
}

// Two topics with one hash cannot be told apart: when one of them differs, both are opened.
func TestTopicsThatShareAHashAreOpenedTogether(t *testing.T) {
	const hash = 0x1230000000000001
	a := []TopicState{{Name: "a", Hash: hash, Digest: Digest{1}}, {Name: "b", Hash: hash, Digest: Digest{2}}}
	b := []TopicState{{Name: "a", Hash: hash, Digest: Digest{1}}, {Name: "b", Hash: hash, Digest: Digest{3}}}
	ta, tb := NewTopicTree(testLink, a), NewTopicTree(testLink, b)
	var opened []string
	for nodes := ta.Expand(0, 0); len(nodes) > 0; {
		ta, tb = tb, ta
		descend, open := ta.Diff(nodes)
		opened = append(opened, open...)
		nodes = nil
		for _, n := range descend {
			nodes = append(nodes, ta.Expand(n.Prefix, n.Depth)...)
		}
	}
	if want := []string{"a", "b"}; !slices.Equal(opened, want) {
		t.Fatalf("opened %v, want %v", opened, want)
	}
}

func TestTopicTreeDoesNotDependOnOrder(t *testing.T) {
	topics := []TopicState{
		{Name: "b", Hash: 7, Digest: Digest{1}},
		{Name: "a", Hash: 7, Digest: Digest{2}},
		{Name: "c", Hash: 3},
		{Name: "d", Digest: Digest{3}},
		{Name: "e", Hash: 1, Digest: Digest{4}},
	}
	root := NewTopicTree(testLink, slices.Clone(topics)).Root()
	for range topics {
		topics = append(topics[1:], topics[0])
		tree := NewTopicTree(testLink, slices.Clone(topics))
		if tree.Root() != root {
			t.Fatalf("another root for %v", topics)
		}
		if name, found := tree.Lookup(3); name != "c" || !found {
			t.Fatalf("Lookup = %q, %v", name, found)
		}
	}
}
