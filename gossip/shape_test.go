package gossip

import (
	"testing"
	"time"
)

// What is new of an author that is new goes along the topic's tree: few get it twice or must ask.
func TestANewAuthorsBatchGoesAlongTheTopicsTree(t *testing.T) {
	n, nodes := treeOf(t, 24)
	batches, wants := n.batches, n.sent["*wire.Want"]
	for _, x := range nodes[1:] {
		x.publish("x", 1)
		n.run(2 * time.Second)
	}
	n.expect("x", 20+len(nodes)-1, nodes...)
	least := (len(nodes) - 1) * (len(nodes) - 1)
	// The author's flood of 4 links costs up to 6 of 23: at its other links, and where its waves meet.
	if got := float64(n.batches-batches) / float64(least); got > 1.4 {
		t.Errorf("%.2f copies of a new author's first batch, want at most 1.4", got)
	}
	if got := float64(n.sent["*wire.Want"]-wants) / float64(least); got > 0.25 {
		t.Errorf("%.2f wants a node, want at most 0.25", got)
	}
}
