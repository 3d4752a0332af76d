package gossip

import (
	"fmt"
	"slices"
	"testing"

	"github.com/busnode/busnode/gossip/wire"
)

// What Take returned is the caller's until the next Take, whatever the core says in between; and what
// was given back holds on to nothing.
func TestOutputIsTheCallersUntilTheNextTake(t *testing.T) {
	c, _, _, _ := shapeRig(t)
	say := func(from, to int) {
		for i := from; i < to; i++ {
			c.AddInterest(fmt.Sprintf("t%d.>", i))
		}
	}
	for round := range 4 {
		say(10*round, 10*round+3)
		out := c.Take()
		before := slices.Clone(out.Send)
		say(10*round+3, 10*round+8)
		if len(before) == 0 || !slices.EqualFunc(out.Send, before, func(x, y Send) bool { return x.Msg == y.Msg }) {
			t.Fatalf("round %d: %d messages, changed before the next Take", round, len(before))
		}
		c.Take()
		for _, s := range out.Send[:cap(out.Send)] {
			if cap(out.Send) <= givenMax && s.Msg != nil {
				t.Fatalf("round %d: a message is kept that nobody will read", round)
			}
		}
	}
}

func TestPeersAreFoundAsInASortedList(t *testing.T) {
	c, _, _, _ := shapeRig(t)
	var o orders
	var ids []wire.PeerID
	at := func(i int) wire.PeerID { return ids[i] }
	for range 500 {
		id := make([]byte, c.rngPeers.IntN(14))
		for i := range id {
			id[i] = byte(c.rngPeers.IntN(2)) // many begin alike, and some are beginnings of others
		}
		want, there := slices.BinarySearch(ids, wire.PeerID(id))
		if i, ok := o.find(wire.PeerID(id), at); i != want || ok != there {
			t.Fatalf("%x is found at %d, %v; want %d, %v", id, i, ok, want, there)
		}
		switch {
		case !there:
			ids = slices.Insert(ids, want, wire.PeerID(id))
			o.insert(want, wire.PeerID(id))
		case c.rngPeers.IntN(2) == 0:
			ids = slices.Delete(ids, want, want+1)
			o.remove(want)
		}
	}
}

type noTimer int

func (noTimer) due(*Core) {}

func TestTimersComeByTimeThenByAge(t *testing.T) {
	c, _, _, _ := shapeRig(t)
	var h timerHeap
	var model []timerItem
	for i := range 2000 {
		now := Time(c.rngPeers.IntN(20))
		if c.rngPeers.IntN(2) == 0 {
			h.at(now, noTimer(i))
			model = append(model, timerItem{at: now, t: noTimer(i)})
			slices.SortStableFunc(model, func(x, y timerItem) int { return int(x.at - y.at) })
		} else if got, ok := h.popDue(now); ok {
			if got != model[0].t || model[0].at > now {
				t.Fatalf("%v is due at %d, want %+v", got, now, model[0])
			}
			model = model[1:]
		} else if len(model) > 0 && model[0].at <= now {
			t.Fatalf("nothing is due at %d, want %+v", now, model[0])
		}
		if next := h.next(); len(model) > 0 && next != model[0].at || len(model) == 0 && next != Never {
			t.Fatalf("next at %d; want %v", next, model)
		}
	}
}
