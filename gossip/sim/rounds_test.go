package sim

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// someRounds is push with feedback and a counter of 3 among 300 nodes.
func someRounds() Rounds {
	return Rounds{
		Nodes: 300, Rumors: 20, Payload: 100, Seed: 7,
		Mongering: gossip.Mongering{Mode: gossip.Push, K: 3, Fanout: 1, Interval: 100 * time.Millisecond},
	}
}

// runRounds makes one network's rumors, and checks what holds of all.
func runRounds(t *testing.T, r Rounds) (*RoundsOutcome, Result) {
	t.Helper()
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	o := r.Run(0, nil)
	sum := r.Summarize([]*RoundsOutcome{o})
	t.Logf("residue %.4f, traffic %.3f, t_ave %.2f, t_last %.2f, rounds %.2f, %d hops", sum.Residue, sum.Traffic, sum.TAve,
		sum.TLast, sum.Rounds, sum.HopsMax)
	for i, f := range o.Rumors {
		if f.Residue < 0 || f.Residue >= 1 || f.TAve > f.TLast || f.TLast > f.Rounds {
			t.Errorf("rumor %d: %+v", i, f)
		}
	}
	for i, s := range o.Curve {
		if s.Susceptible+s.Infective+s.Removed != float64(r.Nodes*r.Rumors) || s.At != time.Duration(i) {
			t.Errorf("cycle %d: %+v, want %d nodes in all", i, s, r.Nodes*r.Rumors)
		}
	}
	if first := o.Curve[0]; first.Infective != float64(r.Rumors) || first.Removed != 0 {
		t.Errorf("at first: %+v, want one infective node a rumor", first)
	}
	if last := o.Curve[len(o.Curve)-1]; last.Infective != 0 {
		t.Errorf("at last: %+v, want no infective node", last)
	}
	return o, sum
}

func TestRoundsRepeat(t *testing.T) {
	r := someRounds()
	one, _ := runRounds(t, r)
	again := r.Run(0, func(float64) bool { return true })
	if !reflect.DeepEqual(one, again) {
		t.Error("equal seeds, but the outcomes differ")
	}
	if reflect.DeepEqual(one.Rumors, r.Run(1, nil).Rumors) {
		t.Error("another run is the same")
	}
	if r.Seed++; reflect.DeepEqual(one.Rumors, r.Run(0, nil).Rumors) {
		t.Error("another seed, and the same run")
	}
}

func TestRoundsTreeAndHops(t *testing.T) {
	o, sum := runRounds(t, someRounds())
	hops := map[int]TreeHop{}
	for _, h := range o.Tree {
		hops[h.Node] = h
	}
	deepest := 0
	for _, h := range o.Tree {
		if from := hops[h.From]; h.From != h.Node && (h.Hops != from.Hops+1 || h.At <= from.At) {
			t.Errorf("%+v comes from %+v: a node acts on what it knew when the cycle began", h, from)
		}
		deepest = max(deepest, h.Hops)
	}
	missed := o.Rumors[0].Residue * 300
	if got := float64(len(o.Tree)); got != 300-missed || deepest > o.Hops || sum.HopsMax != o.Hops {
		t.Errorf("%g nodes of the tree, %g missed; %d hops", got, missed, deepest)
	}
}

// TestRoundsKnobs: what each setting does, by Demers et al. 1987, section 1.4.
func TestRoundsKnobs(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	t.Parallel()
	with := func(change func(*Rounds)) Result {
		r := someRounds()
		change(&r)
		_, sum := runRounds(t, r)
		return sum
	}
	usual := with(func(*Rounds) {})
	// «Blind vs. feedback: ... blind k must be increased»: at the same k it leaves more.
	blind := with(func(r *Rounds) { r.Mongering.Blind = true })
	if blind.Residue < 1.5*usual.Residue || blind.Traffic > usual.Traffic {
		t.Errorf("blind: residue %.4f with traffic %.2f; with feedback %.4f with %.2f", blind.Residue, blind.Traffic,
			usual.Residue, usual.Traffic)
	}
	// «Counter vs. coin»: counters and feedback improve the delay, and leave no more.
	if r := with(func(r *Rounds) { r.Mongering.Coin = true }); r.Residue < usual.Residue {
		t.Errorf("coin: residue %.4f; counter: %.4f", r.Residue, usual.Residue)
	}
	// Two partners a cycle: it is over sooner.
	if r := with(func(r *Rounds) { r.Mongering.Fanout = 2 }); r.TLast > 0.8*usual.TLast {
		t.Errorf("fanout 2: the last after %.1f cycles; 1: %.1f", r.TLast, usual.TLast)
	}
	// «Connection limit»: with push it improves residue for its traffic (s = e^-λm, λ = 1/(1 - e^-1)).
	limited := with(func(r *Rounds) { r.Mongering.ConnectionLimit, r.Mongering.K = 1, 2 })
	if law := ResidueOfTraffic(limited.CopiesPerNode); limited.Residue > 0.8*law {
		t.Errorf("connection limit 1: residue %.4f with %.2f copies, want less than e^-m, %.4f", limited.Residue,
			limited.CopiesPerNode, law)
	}
	// «Hunting»: with enough of it, a limit is as if there were a permutation; it is over sooner.
	hunting := with(func(r *Rounds) {
		r.Mongering.ConnectionLimit, r.Mongering.Hunt, r.Mongering.K = 1, 4, 2
	})
	if hunting.TLast >= limited.TLast {
		t.Errorf("hunting: the last after %.1f cycles; without: %.1f", hunting.TLast, limited.TLast)
	}
	// Losses cost time.
	if r := with(func(r *Rounds) { r.Loss = 0.3 }); r.TLast < 1.1*usual.TLast {
		t.Errorf("30 %% loss: the last after %.1f cycles; without: %.1f", r.TLast, usual.TLast)
	}
	// Push-pull: a pull finds those that push misses.
	if r := with(func(r *Rounds) { r.Mongering.Mode = gossip.PushPull }); r.Residue > usual.Residue/2 {
		t.Errorf("push-pull: residue %.5f; push: %.5f", r.Residue, usual.Residue)
	}
}

// TestRoundsGrowWithTheLogarithm: pushing reaches n nodes in log2 n + ln n + O(1) cycles (Pittel 1987,
// cited by Demers et al., section 1.3), and what a node sends does not grow with n.
func TestRoundsGrowWithTheLogarithm(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	t.Parallel()
	var ns, last []float64
	least, most := 1e9, 0.0
	for _, n := range []int{100, 1000, 10_000} {
		r := someRounds()
		r.Nodes, r.Rumors = n, 10
		_, sum := runRounds(t, r)
		ns, last = append(ns, float64(n)), append(last, sum.TLast)
		least, most = min(least, sum.Traffic), max(most, sum.Traffic)
	}
	fit := FitLog(ns, last)
	if fit.B < 1.9 || fit.B > 2.9 || fit.R2 < 0.98 { // 1/ln 2 + 1 = 2.44
		t.Errorf("t_last = %.2f + %.2f·ln n, R² %.4f; want about 2.44·ln n", fit.A, fit.B, fit.R2)
	}
	if most > 1.05*least {
		t.Errorf("traffic from %.3f to %.3f a node, want it alike", least, most)
	}
}

func TestRoundsEndWhenTheyAreTold(t *testing.T) {
	r := someRounds()
	last := 0.0
	if o := r.Run(0, func(share float64) bool {
		if share < last || share > 1 {
			t.Errorf("%g done after %g", share, last)
		}
		last = share
		return share < 0.5
	}); o != nil || last < 0.5 || last > 0.6 {
		t.Errorf("outcome %v; %g done when it ended", o, last)
	}
	r.CyclesMax, r.Rumors = 4, 1
	if f := r.Run(0, nil).Rumors[0]; f.Rounds != 4 || f.Residue < 0.9 {
		t.Errorf("%+v, want it cut off after 4 cycles, in which a rumor reaches 16 nodes at most", f)
	}
}

func TestRoundsValidate(t *testing.T) {
	for _, c := range []struct {
		want string
		with func(*Rounds)
	}{
		{"1 nodes", func(r *Rounds) { r.Nodes, r.Rumors = 1, 1 }},
		{"take 300 partners", func(r *Rounds) { r.Mongering.Fanout = 300 }},
		{"0 rumors", func(r *Rounds) { r.Rumors = 0 }},
		{"301 rumors", func(r *Rounds) { r.Rumors = 301 }},
		{"payload of -1", func(r *Rounds) { r.Payload = -1 }},
		{"loss 1", func(r *Rounds) { r.Loss = 1 }},
		{"at most -1 cycles", func(r *Rounds) { r.CyclesMax = -1 }},
	} {
		r := someRounds()
		c.with(&r)
		if err := r.Validate(); !errors.Is(err, ErrParams) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want ErrParams with %q", err, c.want)
		}
	}
	r := someRounds()
	r.Mongering.K = 0
	if err := r.Validate(); !errors.Is(err, gossip.ErrConfig) {
		t.Errorf("error %v, want gossip.ErrConfig", err)
	}
}

// TestPaperColocatedSites: Demers et al. 1987, section 3.2, figure 1: two sites s and t near each other, and
// m sites equally far from both. With a choice by 1/Q², where Q counts the sites that are not farther
// away, and push, s and t choose each other so often that both lose interest before anybody else knows:
// «the update is delivered to s and t» alone. With k = 5 that has a chance above 25 %; chosen
// uniformly it never happens.
func TestPaperColocatedSites(t *testing.T) {
	const m, runs = 20, 60
	die := func(near float64) (died int) {
		r := Rounds{
			Nodes: m + 2, Rumors: 1, Seed: 1,
			Mongering: gossip.Mongering{Mode: gossip.Push, K: 5, Fanout: 1, Interval: 100 * time.Millisecond},
		}
		for run := range uint64(runs) {
			x := colocated(&r, run, near)
			if x.reached <= 2 {
				died++
			}
		}
		return died
	}
	// Of t, Q = 1; of each of the others, m + 1.
	spatial := 1 / (1 + m/float64((m+1)*(m+1)))
	if died := die(spatial); died < runs/4 {
		t.Errorf("with 1/Q², %d of %d rumors died at the two sites, want over a quarter", died, runs)
	} else {
		t.Logf("with 1/Q² %d of %d rumors died at the two sites", died, runs)
	}
	if died := die(1 / float64(m+1)); died > 0 {
		t.Errorf("with a uniform choice, %d of %d rumors died at the two sites", died, runs)
	}
}

// colocated lets one rumor run that begins at node 0, where nodes 0 and 1 choose each other with chance near.
func colocated(r *Rounds, run uint64, near float64) *rounds {
	x := &rounds{
		Rounds: r, rng: rand.New(rand.NewPCG(run, 1)), slots: 1, tally: newTally(0), nodes: make([]roundNode, r.Nodes),
		anyone: []wire.PeerID{wire.Author{0: 0xff}.PeerID()}, out: &RoundsOutcome{}, partners: make([]int32, r.Nodes),
	}
	signers := make([]wire.Signer, 1)
	for i := range x.nodes {
		x.start(i, signers)
	}
	x.publish(0, signers[0])
	for {
		for i := range x.nodes[:2] {
			x.nodes[i].drawn, x.partners[i] = x.cycle+1, int32(1-i)
			if x.rng.Float64() >= near {
				x.partners[i] = int32(2 + x.rng.IntN(r.Nodes-2))
			}
		}
		begun := x.beginCycle()
		if x.look(x.cycle); len(x.infective) == 0 {
			return x
		}
		x.deliver(begun)
	}
}
