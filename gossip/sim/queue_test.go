package sim

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip"
)

// TestQueueIsOrderedByTimeThenByMaking compares the heap with a sorted list, pushes and pops mixed.
func TestQueueIsOrderedByTimeThenByMaking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []event
		for _, push := range rapid.SliceOfN(rapid.Bool(), 0, 200).Draw(t, "pushes") {
			if push {
				at := gossip.Time(rapid.IntRange(0, 9).Draw(t, "at"))
				q.push(at, wake{})
				model = append(model, event{at: at, seq: q.seq})
				continue
			}
			if len(model) == 0 {
				continue
			}
			least := 0
			for i := range model { // it is in the order of their making
				if model[i].at < model[least].at {
					least = i
				}
			}
			if got := q.pop(); got.at != model[least].at || got.seq != model[least].seq {
				t.Fatalf("popped at %d, number %d; want at %d, number %d", got.at, got.seq, model[least].at, model[least].seq)
			}
			model = slices.Delete(model, least, least+1)
		}
		if len(q.heap) != len(model) {
			t.Fatalf("%d events are left, want %d", len(q.heap), len(model))
		}
	})
}
