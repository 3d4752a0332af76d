package reconcile

import "github.com/busnode/busnode/gossip/wire"

// diff is one run of [TopicTree.Diff].
type diff struct {
	tree    *TopicTree
	theirs  []wire.TopicDigest // still to be looked at, each before those below it
	descend []wire.TopicDigest
	open    []string
	seen    map[string]bool // names in open
}

// one compares the first of the other's nodes, together with those below it.
func (d *diff) one() {
	n := d.theirs[0]
	p := position{n.Prefix, n.Depth}
	end := 1
	for end < len(d.theirs) && p.above(position{d.theirs[end].Prefix, d.theirs[end].Depth}) {
		end++
	}
	below := d.theirs[1:end]
	d.theirs = d.theirs[end:]
	switch {
	case n.Topics == 0:
		d.openAll(p.below(d.tree.held))
	case d.same(n):
	case p.depth == depthMax:
		d.openAll(p.below(d.tree.held))
		d.openAll(p.below(d.tree.empty))
	case len(below) == 0:
		d.descend = append(d.descend, d.tree.node(p))
	default:
		d.children(p, below)
	}
}

// same reports whether our node is the same as n.
func (d *diff) same(n wire.TopicDigest) bool {
	ours := d.tree.node(position{n.Prefix, n.Depth})
	return ours.Digest == n.Digest && ours.Topics == n.Topics
}

// children compares below, all that the other has under p, with ours.
func (d *diff) children(p position, below []wire.TopicDigest) {
	for x := range uint64(fanout) {
		c := p.child(x)
		end := 0
		for end < len(below) && c.above(position{below[end].Prefix, below[end].Depth}) {
			end++
		}
		theirs := below[:end]
		below = below[end:]
		if end == 0 {
			d.openAll(c.below(d.tree.held))
			continue
		}
		if theirs[0].Depth == depthMax {
			// It has this one topic there and no other.
			d.openOthers(c.below(d.tree.held), theirs[0].Prefix)
		}
		rest := d.theirs
		for d.theirs = theirs; len(d.theirs) > 0; {
			d.one()
		}
		d.theirs = rest
	}
}

func (d *diff) openAll(topics []TopicState) {
	for _, s := range topics {
		if !d.seen[s.Name] {
			d.seen[s.Name] = true
			d.open = append(d.open, s.Name)
		}
	}
}

// openOthers opens the topics but for those with the hash.
func (d *diff) openOthers(topics []TopicState, hash uint64) {
	for i := range topics {
		if topics[i].Hash != hash {
			d.openAll(topics[i : i+1])
		}
	}
}
