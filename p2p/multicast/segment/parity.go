package segment

import (
	"math"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

const (
	// wasteShare is how much of a block's data its first parity may be in vain, on
	// average: parity in advance saves a round of repair, and too much of it costs all.
	wasteShare = 0.02
	// wasteFloor is the same in shards: of a small block a shard is soon a large part, and
	// yet spares the members a request.
	wasteFloor     = 0.25
	parityFirstMax = 24
)

// parityPlan knows how many parity shards to send with a block before anybody
// asks, by what each member reports to lose.
type parityPlan struct {
	losses  [256]int // members by the loss that they report
	members int
	forAll  [datagram.DataMax + 1]int8 // by k, -1 if not computed since the losses changed
	fresh   bool
}

// replan takes the reports into account anew.
func (e *Engine) replan() {
	p := &e.parity
	clear(p.losses[:])
	p.members = 0
	for _, s := range e.streams {
		if s.up && !e.outlier(s) {
			p.losses[s.reported]++
			p.members++
		}
	}
	p.fresh = true
	for k := range p.forAll {
		p.forAll[k] = -1
	}
}

// parityFor returns how many parity shards a block is sent with.
func (e *Engine) parityFor(b *block) int {
	p := &e.parity
	if m := b.flow.member; m != nil {
		var one [256]int
		one[m.reported] = 1
		return parityOf(b.k, &one)
	}
	if !p.fresh {
		e.replan()
	}
	if p.forAll[b.k] < 0 {
		p.forAll[b.k] = int8(parityOf(b.k, &p.losses))
	}
	return int(p.forAll[b.k])
}

// parityOf returns the largest r for which the parity in vain stays within its
// share. With M the number of shards after which all members have k of them, that is
// E[max(0, k+r-M)] = Σ P(M ≤ n) for n from k to k+r-1, and P(M ≤ n) is the product
// of the members' P(Binomial(n, 1-loss) ≥ k).
func parityOf(k int, losses *[256]int) int {
	var have, last [256]float64 // P(k of n arrived), P(the kth of them was the nth)
	allowed := max(wasteShare*float64(k), wasteFloor)
	lossy := false
	for l, members := range losses {
		if members == 0 || l == 0 {
			continue
		}
		lossy = true
		last[l] = math.Pow(1-float64(l)/255, float64(k))
		have[l] = last[l]
	}
	if !lossy {
		return 0
	}
	waste := 0.0
	for r := range parityFirstMax {
		all := 1.0
		for l, members := range losses {
			if members != 0 && l != 0 {
				all *= math.Pow(have[l], float64(members))
				n := float64(k + r)
				last[l] *= float64(l) / 255 * n / (n - float64(k) + 1)
				have[l] += last[l]
			}
		}
		if waste += all; waste > allowed {
			return r
		}
	}
	return parityFirstMax
}
