package gossip

import "container/heap"

// timer is something that becomes due. Timers are not cancelled: whoever is
// due looks at its state and does nothing if that has changed.
type timer interface{ due(c *Core) }

type timerItem struct {
	at  Time
	seq uint64 // ties are broken by age, so that runs repeat
	t   timer
}

// timerHeap orders all timers of a core behind one deadline.
type timerHeap struct {
	items timerItems
	seq   uint64
}

func (h *timerHeap) at(at Time, t timer) {
	h.seq++
	heap.Push(&h.items, timerItem{at, h.seq, t})
}

func (h *timerHeap) next() Time {
	if len(h.items) == 0 {
		return Never
	}
	return h.items[0].at
}

func (h *timerHeap) popDue(now Time) (timer, bool) {
	if len(h.items) == 0 || h.items[0].at > now {
		return nil, false
	}
	return heap.Pop(&h.items).(timerItem).t, true
}

type timerItems []timerItem

func (s timerItems) Len() int { return len(s) }
func (s timerItems) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].seq < s[j].seq
}
func (s timerItems) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *timerItems) Push(x any)   { *s = append(*s, x.(timerItem)) }
func (s *timerItems) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = timerItem{}
	*s = (*s)[:last]
	return x
}
