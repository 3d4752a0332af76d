package sim

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// lastFaultTime returns when the last fault that has a time is over.
func (x *experimenter) lastFaultTime() (last time.Duration) {
	for _, p := range x.Partitions {
		last = max(last, p.At+p.For)
	}
	for _, c := range x.Crashes {
		last = max(last, c.At)
	}
	return last
}

// strike lays out the faults; the load lasts so long from now.
func (x *experimenter) strike(load time.Duration) {
	s := x.sim
	for _, p := range x.Partitions {
		s.At(p.At, func() {
			wall := s.Partition(x.pick(p.Share), false)
			s.At(p.For, wall.Heal)
		})
	}
	for _, c := range x.Crashes {
		s.At(c.At, func() {
			for _, n := range x.pick(c.Share) {
				n.Crash(false)
			}
		})
	}
	x.lastFault = x.lastFaultTime()
	if x.Churn.Share > 0 {
		end := max(load, x.lastFault)
		x.lastFault = end
		x.churn(s.now.Add(end).Add(1))
	}
}

// pick returns a share of the nodes that are up, at random.
func (x *experimenter) pick(share float64) []*Node {
	var up []*Node
	for _, i := range x.faults.Perm(len(x.sim.nodes)) {
		if n := x.sim.nodes[i]; n.Up() {
			up = append(up, n)
		}
	}
	return up[:int(share*float64(len(up))+0.5)]
}

// churn has one node go, and one come, and goes on until end.
func (x *experimenter) churn(end gossip.Time) {
	s := x.sim
	wait := time.Duration(float64(x.Churn.Every) / (x.Churn.Share * float64(x.Nodes)))
	wait = time.Duration(float64(wait) * 2 * x.faults.Float64())
	if s.now.Add(wait) >= end {
		return
	}
	s.At(wait, func() {
		n := x.anyUp()
		if n == nil {
			return // nobody is left to come or go
		}
		if x.faults.IntN(2) == 0 {
			n.Crash(true)
			s.At(time.Duration(2*x.faults.Float64()*float64(restartAfter)), func() {
				n.Restart(false)
				x.introduce(n)
			})
		} else {
			n.Leave()
			x.join(n)
		}
		x.churn(end)
	})
}

// anyUp returns one of the nodes that are up, or nil if none is.
func (x *experimenter) anyUp() *Node {
	if !slices.ContainsFunc(x.sim.nodes, (*Node).Up) {
		return nil
	}
	for {
		if n := x.sim.nodes[x.faults.IntN(len(x.sim.nodes))]; n.Up() {
			return n
		}
	}
}

// join has a new node come instead of one that left, and publish if that did. A
// rendezvous tells it of some that are up; from these it learns of others.
func (x *experimenter) join(left *Node) {
	n := x.add(left.signer != nil)
	x.cursor[n.Index] = x.first
	for i, p := range x.publishers {
		if p == left {
			x.publishers[i] = n
		}
	}
	x.introduce(n)
}

// introduced is how many nodes a rendezvous tells of.
const introduced = 3

// introduce tells the node of others, as a rendezvous does.
func (x *experimenter) introduce(n *Node) {
	records := make([]wire.Record, 0, introduced)
	for range introduced {
		if peer := x.anyUp(); peer != n {
			records = append(records, peer.Record())
		}
	}
	n.core.Known(Topic, records)
	n.step()
}
