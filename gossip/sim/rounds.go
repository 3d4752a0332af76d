package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Rounds is an experiment in the model of Demers et al. (PODC 1987): all nodes
// act in synchronous cycles, messages take no time, partners are uniform among all
// other nodes, and what a node is told in a cycle it tells from the next one on.
// The nodes are production cores that run rumor mongering without anti-entropy.
//
// A core has but Fanout + Hunt peers, and each of them is an anycast: what is
// sent to it goes to a random other node, a new one each cycle, and the answer
// comes back. So a million nodes need no more memory each than ten.
type Rounds struct {
	Nodes     int
	Mongering gossip.Mongering // Interval is of no importance
	Rumors    int              // spread one after the other on each network
	Payload   int              // bytes of an event
	Loss      float64          // share of messages that are lost
	CyclesMax int              // that a rumor may take; 0: 10,000
	Seed      uint64

	whole bool // also what changes nothing is delivered
}

const cyclesMax = 10_000

// Validate reports what makes no sense. The errors wrap [ErrParams] or
// [gossip.ErrConfig].
func (r *Rounds) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %s", ErrParams, fmt.Sprintf(format, args...)))
		}
	}
	slots := r.Mongering.Fanout + r.Mongering.Hunt
	check(r.Nodes >= 2, "%d nodes, want at least 2", r.Nodes)
	check(slots < min(r.Nodes, 1<<16), "fanout and hunting take %d partners, and there are %d other nodes",
		slots, r.Nodes-1)
	check(r.Rumors >= 1 && r.Rumors <= r.Nodes, "%d rumors on one network, want 1 to the number of nodes, %d",
		r.Rumors, r.Nodes)
	check(r.Payload >= 0 && r.Payload <= payloadMax, "payload of %d bytes, want 0 to %d", r.Payload, payloadMax)
	check(r.Loss >= 0 && r.Loss < 1, "loss %g, want 0 to less than 1", r.Loss)
	check(r.CyclesMax >= 0, "at most %d cycles", r.CyclesMax)
	cfg := r.config()
	if err := cfg.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// never is a heartbeat interval that no run outlasts.
const never = 10 * 365 * 24 * time.Hour

func (r *Rounds) config() gossip.Config {
	cfg := gossip.DefaultConfig()
	m := r.Mongering
	cfg.HeartbeatInterval = never
	cfg.Topics = []gossip.TopicConfig{{Filter: Topic, Mongering: &m, NoAntiEntropy: true}}
	return cfg
}

// RoundsOutcome is what a network's rumors brought, one after the other.
type RoundsOutcome struct {
	Rumors []Figures
	Tally  Tally
	Curve  []Sample // by cycles since the beginning, At in cycles; summed up over the rumors
	Hops   int
	Tree   []TreeHop // of the first rumor; At in cycles
}

// Figures are what the papers tell of a rumor.
type Figures struct {
	Residue float64 // share of nodes that it missed
	Traffic float64 // times that it was sent, a node
	TAve    float64 // mean cycle of arrival, where it arrived
	TLast   float64 // cycle of the last arrival
	Rounds  float64 // cycles until nobody was infective any more
}

// Run makes one network and spreads its rumors. progress, if not nil, is called
// now and then with the share that is done; it returns false to end the run, and then
// Run returns nil. The experiment is valid.
func (r *Rounds) Run(run int, progress func(share float64) bool) *RoundsOutcome {
	seed := r.Seed + uint64(run)*seedStep
	x := &rounds{
		Rounds: r, rng: rand.New(rand.NewPCG(seed, 0x726f756e64)), slots: r.Mongering.Fanout + r.Mongering.Hunt,
		tally: newTally(0), nodes: make([]roundNode, r.Nodes), out: &RoundsOutcome{},
	}
	x.partners = make([]int32, r.Nodes*x.slots)
	for i := range x.slots {
		x.anyone = append(x.anyone, wire.Author{0: 0xff, 30: byte(i >> 8), 31: byte(i)}.PeerID())
	}
	signers := make([]wire.Signer, r.Rumors)
	for i := range x.nodes {
		if i%1024 == 0 && progress != nil && !progress(setupShare*float64(i)/float64(r.Nodes)) {
			return nil
		}
		x.start(i, signers)
	}
	for i, s := range signers {
		part := (1 - setupShare) / float64(len(signers))
		tell := func(share float64) bool {
			return progress == nil || progress(setupShare+part*(float64(i)+share))
		}
		if !x.spread(i, s, tell) {
			return nil
		}
	}
	x.out.Tally, x.out.Hops = x.tally, x.hops
	return x.out
}

// Summarize makes one result of all rumors on all networks. Its TAve, TLast and
// Rounds are in cycles, its latencies none.
func (r *Rounds) Summarize(runs []*RoundsOutcome) Result {
	result := Result{Nodes: r.Nodes, Seed: r.Seed}
	rumors, bytes, control := 0.0, 0.0, 0.0
	copies := uint64(0)
	for _, o := range runs {
		for _, f := range o.Rumors {
			rumors++
			result.Residue += f.Residue
			result.Traffic += f.Traffic
			result.TAve += f.TAve
			result.TLast += f.TLast
			result.Rounds += f.Rounds
			missed := int(math.Round(f.Residue * float64(r.Nodes)))
			result.Missing += missed
			result.Delivered += r.Nodes - 1 - missed
		}
		all, some := o.Tally.Bytes()
		bytes, control = bytes+float64(all), control+float64(some)
		copies += o.Tally.Copies
		result.HopsMax = max(result.HopsMax, o.Hops)
	}
	if rumors == 0 {
		return result
	}
	for _, v := range []*float64{&result.Residue, &result.Traffic, &result.TAve, &result.TLast, &result.Rounds} {
		*v /= rumors
	}
	share := 1 / (rumors * float64(r.Nodes-1))
	result.CopiesPerNode = float64(copies) * share
	result.BytesPerNode, result.ControlBytesPerNode = bytes*share, control*share
	return result
}
