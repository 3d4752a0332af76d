package gossip

// timer is something that becomes due. Timers are not cancelled: whoever is
// due looks at its state and does nothing if that has changed.
type timer interface{ due(c *Core) }

type timerItem struct {
	at  Time
	seq uint64 // ties are broken by age, so that runs repeat
	t   timer
}

func (i *timerItem) before(j *timerItem) bool { return i.at < j.at || i.at == j.at && i.seq < j.seq }

// timerHeap orders all timers of a core behind one deadline. It is typed: container/heap
// makes an allocation of each item that comes or goes.
type timerHeap struct {
	first Time // of the earliest; valid while there are items
	items []timerItem
	seq   uint64
}

func (h *timerHeap) at(at Time, t timer) {
	h.seq++
	h.items = append(h.items, timerItem{at, h.seq, t})
	i := len(h.items) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !h.items[i].before(&h.items[parent]) {
			break
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
	h.first = h.items[0].at
}

func (h *timerHeap) next() Time {
	if len(h.items) == 0 {
		return Never
	}
	return h.first
}

func (h *timerHeap) popDue(now Time) (timer, bool) {
	if len(h.items) == 0 || h.first > now {
		return nil, false
	}
	t, last := h.items[0].t, len(h.items)-1
	h.items[0], h.items[last] = h.items[last], timerItem{}
	h.items = h.items[:last]
	for i := 0; ; {
		least := i
		for kid := 2*i + 1; kid <= 2*i+2 && kid < last; kid++ {
			if h.items[kid].before(&h.items[least]) {
				least = kid
			}
		}
		if least == i {
			break
		}
		h.items[i], h.items[least] = h.items[least], h.items[i]
		i = least
	}
	if last > 0 {
		h.first = h.items[0].at
	}
	return t, true
}
