package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// The bounds within which a fault run demands that all is well again.
const (
	// healBound is from the end of all faults until every node holds what it has a
	// right to and has shown it to its readers. Connections are back after some 6 s
	// (they are found down after 4.4 s at most, and dialled each 1.5 s at most). What is asked of
	// a peer that cannot serve it is asked of another after WantTimeout, 5 s, and of
	// the same one no sooner than after three times GapTimeout, 30 s; and what nobody
	// claims is a gap after GapTimeout.
	healBound = 50 * time.Second
	// farBound is what a clock that was far off adds. A batch that its author dated
	// ahead is taken in when it is FutureMax, 30 s, ahead; and then the cut lies behind by twice that at most.
	farBound = 90 * time.Second
	// skewFactor is how many times the skew of clocks is added. What only anti-entropy finds
	// (of an author whose links are forgotten no head tells) is dated up to twice the
	// skew ahead of the slowest clock; and the cut lies behind by as much again, the
	// most by which rumors were late.
	skewFactor = 4
	// hopBound is what a hop may take where rumors are mongered: all that they miss
	// is carried by anti-entropy, from node to node. Its digests leave out the last 2 s, are sent
	// each 4 s at least while little happens, and to one neighbour at a time.
	hopBound = 10 * time.Second
	// probeBound is how long the batches may take that are published when all is
	// well: links may have turned lazy all over, and a wait for a gap may run.
	probeBound = 20 * time.Second
	// calmTime is what nodes get to find that they agree, and quietTime is for how
	// long they are then watched. An exchange that found nothing, for the other side's
	// repair was under way, is begun anew at most each 30 s.
	calmTime  = 35 * time.Second
	quietTime = 20 * time.Second
	// mongerCycles is for how many cycles a rumor may be spread to nodes that all know it: k
	// for each that has it still, one after the other, and some that ask for what they trimmed.
	mongerCycles = 64
	lookEvery    = 250 * time.Millisecond // at whether all is well
	clogMax      = 3 * time.Second
)

// SwarmResult is what a fault run brought.
type SwarmResult struct {
	Plan     Plan
	Err      error         // what was wrong; nil: nothing
	Recovery time.Duration // from the end of all faults until all was well; negative: it was not
	Probe    time.Duration // until all had what was published then
	Trace    uint64
	Events   uint64 // that the simulator handled
	Batches  int
	Elapsed  time.Duration
	Most     int // messages without a batch that a node sent a peer in a second
}

// Run runs the plan: faults, then their end, then the demand that all be well
// within a bound, then that nothing goes on. A panic, of the simulator's or the core's, is an error.
func (p Plan) Run() (r SwarmResult) {
	w := newSwarm(p)
	defer func() {
		if v := recover(); v != nil {
			r = w.result(fmt.Errorf("%w: panic at %v: %v", ErrBroken, w.sim.Now(), v))
		}
	}()
	w.strike()
	w.sim.Run(p.Span)
	w.heal()
	return w.result(w.demand())
}

// swarm is a fault run.
type swarm struct {
	Ignore
	Plan
	sim      *Sim
	draw     drawer // whom faults strike, and when
	checkers []Checker
	bounded  *BoundedChecker
	silenced []bool // by node: its core has told that its batches would be refused
	walls    []*Partition
	healed   bool
	recovery time.Duration
	probe    time.Duration
}

func newSwarm(p Plan) *swarm {
	s := New(Params{Seed: p.Seed, Config: &p.Config, Encode: p.Encode, Trace: true, StoreDelay: p.StoreDelay})
	w := &swarm{Plan: p, sim: s, draw: drawer{s.Rand(0x666c)}, recovery: -1}
	s.Net, s.Faults = p.Net, p.Faults
	w.checkers = Checkers(s)
	for _, c := range w.checkers {
		if b, ok := c.(*BoundedChecker); ok {
			w.bounded = b
		}
	}
	s.Observe(w)
	for i := range p.Nodes {
		w.add(i == 0)
	}
	if p.FarSkew != 0 {
		s.nodes[w.draw.IntN(p.Nodes)].Skew = p.FarSkew
	}
	s.Connect(p.overlay(w.draw.Rand))
	return w
}

func (w *swarm) add(first bool) *Node {
	skew := time.Duration(0)
	if w.Skew > 0 {
		skew = time.Duration(w.draw.Int64N(int64(2*w.Skew)+1)) - w.Skew
	}
	w.silenced = append(w.silenced, false)
	return w.sim.Add(NodeParams{Publisher: true, Filters: w.filters(&w.draw, first), Phase: -1, Skew: skew})
}

// Notice notes whose batches would be refused: the driver lets it publish no more.
func (w *swarm) Notice(n *Node, x *gossip.Notice) {
	switch x.Kind {
	case gossip.NoticeClock:
		w.silenced[n.Index] = x.Offset != 0
	case gossip.NoticeIdentityInUse:
		w.silenced[n.Index] = true
	default:
	}
}

// Restarted lets a node publish again.
func (w *swarm) Restarted(n *Node, _ bool) { w.silenced[n.Index] = false }

// strike lays out load and faults.
func (w *swarm) strike() {
	for range w.Batches {
		w.sim.At(time.Duration(w.draw.Int64N(int64(w.Span))), func() {
			w.publish(w.any(), w.topic())
		})
	}
	for _, f := range []struct {
		every time.Duration
		do    func()
	}{
		{w.Cuts, w.cut},
		{w.Splits, w.split},
		{w.Crashes, w.crash},
		{w.Joins, w.join},
		{w.Leaves, w.leave},
		{w.Clogs, func() { w.any().Clog(time.Duration(w.draw.Int64N(int64(clogMax)))) }},
		{w.Refusals, w.refuse},
		{w.Trims, w.trim},
		{w.Interests, w.change},
		{w.Twins, w.equivocate},
	} {
		w.often(f.every, f.do)
	}
}

// often does something again and again as long as faults last.
func (w *swarm) often(mean time.Duration, do func()) {
	if mean <= 0 {
		return
	}
	w.sim.At(time.Duration(w.draw.Int64N(int64(2*mean))), func() {
		if !w.healed {
			do()
			w.often(mean, do)
		}
	})
}

// any returns any node, up or not.
func (w *swarm) any() *Node { return w.sim.nodes[w.draw.IntN(len(w.sim.nodes))] }

func (w *swarm) topic() string { return w.Topics[w.draw.IntN(len(w.Topics))] }

// publish has the node publish, unless its driver would not.
func (w *swarm) publish(n *Node, topic string) {
	if w.mayPublish(n) {
		n.Publish(topic, w.draw.IntN(w.Payload))
	}
}

// mayPublish reports whether the node's driver would let it publish: peers would refuse what is
// dated far ahead of its clock, and a log that takes no writes takes none of its own.
func (w *swarm) mayPublish(n *Node) bool {
	return n.Up() && !n.log.refuses && !w.silenced[n.Index] && n.hlc <= n.wall().Add(wire.FutureMax)
}

func (w *swarm) cut() {
	if n := w.any(); len(n.links) > 0 {
		w.sim.Cut(n, n.links[w.draw.IntN(len(n.links))].peer)
	}
}

func (w *swarm) split() {
	var inside []*Node
	for _, n := range w.sim.nodes {
		if w.draw.sometimes(0.5) {
			inside = append(inside, n)
		}
	}
	wall := w.sim.Partition(inside, w.OneWay && w.draw.sometimes(0.5))
	w.walls = append(w.walls, wall)
	w.sim.At(w.draw.between(0, 12), wall.Heal)
}

func (w *swarm) crash() {
	n := w.any()
	// A crash between a trim and the record of the gap that it makes loses the record:
	// what waited for a predecessor, and was trimmed, then vanishes without a word.
	if !n.Up() || w.Trims > 0 && (n.log.writes > 0 || n.log.refuses) {
		return
	}
	n.Crash(true)
	lost := w.draw.sometimes(w.Lost)
	w.sim.At(w.draw.between(0, 10), func() {
		if !n.Up() && !n.gone {
			n.Restart(lost)
		}
	})
}

func (w *swarm) join() {
	n := w.add(false)
	for range 1 + w.draw.IntN(3) {
		peer := w.any()
		if peer == n || peer.gone || slices.Contains(n.kept, peer) {
			continue
		}
		n.keep(peer)
		if !w.sim.link(n, peer) {
			w.sim.redial(n, peer)
		}
	}
}

func (w *swarm) leave() {
	up := 0
	for _, n := range w.sim.nodes {
		if n.Up() {
			up++
		}
	}
	if n := w.any(); n.Up() && up > 2 {
		n.Leave()
	}
}

func (w *swarm) refuse() {
	n := w.any()
	n.Refuse(true)
	w.sim.At(w.draw.between(0, 6), func() { n.Refuse(false) })
}

// trim has a node's retention remove the oldest of an author's batches.
func (w *swarm) trim() {
	n, author, topic := w.any(), w.any(), w.topic()
	if !n.Up() || n.log.writes > 0 || n.log.refuses {
		return
	}
	held := n.Held(topic, author)
	n.Trim(held[:w.draw.IntN(len(held)+1)])
}

// change takes an interest away, or gives it back.
func (w *swarm) change() {
	n := w.any()
	switch {
	case len(n.filter) > 0:
		n.Disinterest(n.filter[0])
	case len(n.former) > 0:
		n.Interest(n.former[len(n.former)-1])
	}
}

// equivocate has another process that has a node's key, and a log of its own, publish too.
func (w *swarm) equivocate() {
	n := w.any()
	if topic := w.topic(); w.mayPublish(n) && len(n.links) > 0 {
		n.Equivocate(topic, n.links[w.draw.IntN(len(n.links))].peer)
	}
}

const twinBytes = 7 // of payload; the other has none

// heal ends all faults.
func (w *swarm) heal() {
	s := w.sim
	w.healed = true
	for _, wall := range w.walls {
		wall.Heal()
	}
	s.Faults, s.Net.Loss = Faults{}, 0
	for _, n := range s.nodes {
		if n.gone {
			continue
		}
		if n.Skew == w.FarSkew {
			n.Skew = 0
		}
		if !n.Up() {
			n.Restart(false)
		}
		n.Refuse(false)
		if len(n.filter) == 0 && len(n.former) > 0 {
			n.Interest(n.former[len(n.former)-1])
		}
	}
	if w.vanishes() {
		for _, e := range s.Edges() {
			s.Cut(s.nodes[e[0]], s.nodes[e[1]])
		}
	}
}

// demand reports what is wrong when all faults have ended.
func (w *swarm) demand() error {
	bound, probe := healBound+skewFactor*w.Skew, probeBound+skewFactor*w.Skew
	if w.FarSkew != 0 {
		bound, probe = bound+farBound, probe+farBound
	}
	if len(w.Config.Topics) > 0 {
		hops := time.Duration(len(w.sim.nodes)) * hopBound // at most, on a line
		bound, probe = bound+hops, probe+hops
	}
	s := w.sim
	begin := s.Now()
	if err := s.until(bound, s.amiss, endless); err != nil {
		return w.judge(fmt.Errorf("%w: liveness: not all is well %v after the end of all faults: %w", ErrBroken, bound, err))
	}
	w.recovery = s.Now() - begin
	begin = s.Now()
	for _, n := range s.nodes {
		w.publish(n, w.topic())
	}
	if err := s.until(probe, s.amiss, endless); err != nil {
		return w.judge(fmt.Errorf("%w: liveness: what is published when all is well is not everywhere after %v: %w",
			ErrBroken, probe, err))
	}
	w.probe = s.Now() - begin
	s.Run(calmTime)
	for _, t := range w.Config.Topics {
		s.Run(mongerCycles * t.Mongering.Interval)
	}
	w.bounded.Quiet()
	s.Run(quietTime)
	return w.judge(nil)
}

// judge joins what the checkers found to what is known.
func (w *swarm) judge(err error) error {
	errs := []error{err}
	for _, c := range w.checkers {
		if _, ok := c.(*HonestChecker); ok && w.Faults.Corrupt > 0 {
			continue // a peer whose frames come damaged does not look honest
		}
		if err == nil {
			c.End(w.sim)
		}
		errs = append(errs, c.Err())
	}
	return errors.Join(errs...)
}

func (w *swarm) result(err error) SwarmResult {
	s := w.sim
	return SwarmResult{
		Plan: w.Plan, Err: err, Recovery: w.recovery, Probe: w.probe, Trace: s.Trace(), Events: s.Events(),
		Batches: len(s.store.batches), Elapsed: s.Now(), Most: w.bounded.Most(),
	}
}
