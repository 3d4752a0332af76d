package reconcile

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/busnode/busnode/gossip/wire"
)

// Items are found whatever leaf they are in, however many share an instant, whatever the length
// of a unit of time, and not those that an Except names or that have left the set.
func TestItemsAreFoundByShortID(t *testing.T) {
	for name, step := range map[string]wire.Time{
		"many of one time":   0,
		"a leaf a second":    4_000_000,
		"some of one unit":   1 << 37,
		"nearly all of time": 1 << 51,
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(step)))
			var items []Item
			for i := range 3000 {
				items = append(items, item(benchStart+wire.Time(i/3)*step, r.Uint64()))
			}
			slices.SortFunc(items, Item.Compare)
			set := setOf(items...)
			var x Except
			x.Insert(items[2])
			c := newCoder(set.View(&x), testLink, []span{{benchStart, benchStart + 1000*step + 1}})
			set.Remove(items[5])
			for range 20 {
				var want []Item
				short := []uint64{1 << 47} // nobody's
				for i := range items {
					if r.IntN(40) != 0 && i != 5 && i != len(items)-1 {
						continue
					}
					short = append(short, testLink.short(&items[i].ID))
					if i != 2 && i != 5 {
						want = append(want, items[i])
					}
				}
				r.Shuffle(len(short), func(i, j int) { short[i], short[j] = short[j], short[i] })
				unknown := 1
				if slices.Contains(short, testLink.short(&items[2].ID)) {
					unknown = 2
				}
				got, missed := c.find(short)
				slices.SortFunc(got, Item.Compare)
				if !slices.Equal(got, want) || missed != unknown {
					t.Fatalf("found %d, %d unknown, want %d, %d", len(got), missed, len(want), unknown)
				}
			}
		})
	}
}
