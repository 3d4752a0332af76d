package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/busnode/busnode/gossip"
)

// Topic is the topic that experiments publish on.
const Topic = "sim"

// Experiment is a run that a person describes by a few numbers: nodes in a random
// overlay, one topic that all read, publishers that take turns, and faults.
// Times are from the first event that counts.
type Experiment struct {
	Nodes      int
	Degree     int // links a node in the overlay
	Config     gossip.Config
	Net        Network
	Publishers int
	Zipf       bool // publisher number i publishes in proportion to 1/i, else all alike
	Warmup     int  // events before those that count
	Events     int  // that count
	Interval   time.Duration
	Payload    int // bytes of an event
	Churn      Churn
	Partitions []Split
	Crashes    []Crash
	Settle     time.Duration // from the connections to the first event; 0: 2 s and four latencies
	Drain      time.Duration // that the rest may take after the last event and the last fault; 0: a minute
	Curve      time.Duration // between two looks at the states of the first event that counts; 0: none
	Seed       uint64
}

// Churn is that nodes come and go: Share of the nodes each Every.
// One half of them crash and are back with their log some seconds later; the
// other half leave for good, and as many new ones join.
type Churn struct {
	Share float64
	Every time.Duration
}

// Split is a partition in two, for a while.
type Split struct {
	At, For time.Duration
	Share   float64 // of the nodes on one side
}

// Crash is that a share of the nodes vanish at once and for good.
type Crash struct {
	At    time.Duration
	Share float64
}

// Validate reports what makes no sense. The errors wrap [ErrParams].
func (e *Experiment) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %s", ErrParams, fmt.Sprintf(format, args...)))
		}
	}
	share := func(name string, p, limit float64) {
		check(p >= 0 && p <= limit, "%s %g, want 0 to %g", name, p, limit)
	}
	check(e.Nodes >= 2, "%d nodes, want at least 2", e.Nodes)
	check(e.Degree >= 2, "degree %d, want at least 2", e.Degree)
	check(e.Publishers >= 1 && e.Publishers <= max(1, e.Nodes), "%d publishers, want 1 to the number of nodes, %d",
		e.Publishers, e.Nodes)
	check(e.Events >= 1, "%d events, want at least 1", e.Events)
	check(e.Warmup >= 0, "%d events to warm up, want 0 or more", e.Warmup)
	check(e.Payload >= 0 && e.Payload <= payloadMax, "payload of %d bytes, want 0 to %d", e.Payload, payloadMax)
	check(e.Net.Latency >= 0 && e.Net.Jitter >= 0 && e.Net.Rate >= 0 && e.Interval >= 0,
		"a negative latency, jitter, bandwidth or interval")
	check(e.Interval <= spanMax/time.Duration(max(1, e.Events+e.Warmup)) && e.Net.Latency <= spanMax,
		"a latency of %v, %d events one each %v: want less than %v", e.Net.Latency, e.Events+e.Warmup, e.Interval, spanMax)
	check(e.Net.Jitter <= e.Net.Latency, "jitter %v above the latency, %v", e.Net.Jitter, e.Net.Latency)
	share("loss", e.Net.Loss, 0.9)
	share("churn", e.Churn.Share, 1)
	check(e.Churn.Share == 0 || float64(e.Churn.Every) >= churnEach*e.Churn.Share*float64(e.Nodes),
		"churn of %g each %v: want at most one of the %d nodes each microsecond", e.Churn.Share, e.Churn.Every, e.Nodes)
	for _, p := range e.Partitions {
		check(p.At >= 0 && p.For > 0, "partition at %v for %v", p.At, p.For)
		share("share of a partition", p.Share, 1)
	}
	for _, c := range e.Crashes {
		check(c.At >= 0, "crash at %v", c.At)
		share("share of a crash", c.Share, 1)
	}
	if err := e.Config.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

const (
	payloadMax   = 4 << 20
	spanMax      = 10_000 * time.Hour        // of a run: times are far from what they can hold
	churnEach    = float64(time.Microsecond) // the least mean time between two nodes that go
	settleTime   = 2 * time.Second
	drainTime    = time.Minute
	restartAfter = 5 * time.Second // mean
)

// seedStep keeps the seeds of several runs apart (the golden ratio, as in splitmix).
const seedStep = 0x9e3779b97f4a7c15

// seedOf returns the seed of one of several runs.
func (e *Experiment) seedOf(run int) uint64 { return e.Seed + uint64(run)*seedStep }

// Run makes one of several runs. progress, if not nil, is called now and then with
// the share that is done; it returns false to end the run, and then Run returns
// nil. The experiment is valid.
func (e *Experiment) Run(run int, progress func(share float64) bool) *Outcome {
	x := e.begin(run)
	settle, ok := x.setup(progress)
	if !ok || !x.phase(progress, 0, settle) {
		return nil
	}
	total := x.schedule()
	if !x.phase(progress, setupShare, total) {
		return nil
	}
	if !x.recover(progress) {
		return nil
	}
	return x.outcome()
}

// exchange reports whether nodes tell each other of their neighbours. While none is
// lost, the overlay stays as it was made, and shuffles would be but traffic.
func (e *Experiment) exchange() bool {
	return e.Churn.Share > 0 || len(e.Partitions)+len(e.Crashes) > 0
}

// experimenter is one run of an experiment.
type experimenter struct {
	*Experiment
	sim        *Sim
	seed       uint64
	load       *rand.Rand // who publishes
	faults     *rand.Rand // whom faults strike
	publishers []*Node
	weights    []float64 // summed up, if Zipf
	first      int       // index of the first batch that counts
	began      gossip.Time
	lastFault  time.Duration // when the last fault is over
	ends       gossip.Time   // when the load ends
	complete   gossip.Time   // when every node that was up held all; 0: not yet
	cursor     []int         // for each node, the first batch that it may lack
	sizes      []int         // nodes that were up when an event was published
	curve      []Sample
}

const setupShare = 0.2 // of a run, as progress tells it

func (e *Experiment) begin(run int) *experimenter {
	x := &experimenter{Experiment: e, seed: e.seedOf(run)}
	x.sim = New(Params{Seed: x.seed, Config: &x.Config, Exchange: e.exchange()})
	x.sim.Net = e.Net
	x.load, x.faults = x.sim.Rand(1), x.sim.Rand(2)
	return x
}

// setup makes nodes and overlay, and returns how long they take to settle, or false if progress
// ended the run.
func (x *experimenter) setup(progress func(float64) bool) (settle time.Duration, ok bool) {
	for i := range x.Nodes {
		if i%1024 == 0 && progress != nil && !progress(0) {
			return 0, false
		}
		x.add(i < x.Publishers)
	}
	x.publishers = append(x.publishers, x.sim.nodes[:x.Publishers]...)
	if x.Zipf {
		sum := 0.0
		for i := range x.publishers {
			sum += 1 / float64(i+1)
			x.weights = append(x.weights, sum)
		}
	}
	edges, err := Regular(x.Nodes, x.Degree, x.sim.Rand(3))
	mustf(err == nil, "%v", err) // Validate has seen to it
	if x.exchange() {
		x.sim.Link(edges)
	} else {
		x.sim.Connect(edges)
	}
	if x.Settle > 0 {
		return x.Settle, true
	}
	return settleTime + 4*x.Net.Latency, true
}

func (x *experimenter) add(publisher bool) *Node {
	n := x.sim.Add(NodeParams{Publisher: publisher, Filters: []string{Topic}, Phase: -1})
	x.cursor = append(x.cursor, 0)
	return n
}

// phase lets d pass in slices, and tells of the progress.
func (x *experimenter) phase(progress func(float64) bool, from float64, d time.Duration) bool {
	const slices = 200
	to := setupShare
	if from > 0 {
		to = 1
	}
	for i := range slices {
		share := from + (to-from)*float64(i)/slices
		ended := false // a slice of a large network, or a long one, takes a while: it ends in the middle, too
		x.sim.RunUntil(d/slices*time.Duration(i+1)-d/slices*time.Duration(i), func() bool {
			ended = progress != nil && !progress(share)
			return ended
		})
		if ended {
			return false
		}
	}
	return true
}

// schedule lays out load and faults, and returns how long they last.
func (x *experimenter) schedule() time.Duration {
	s := x.sim
	warm := time.Duration(x.Warmup) * x.Interval
	if x.Warmup > 0 {
		warm += settleTime // so that the last of it has arrived
	}
	for i := range x.Warmup {
		s.At(time.Duration(i)*x.Interval, func() { x.publish(i) })
	}
	load := time.Duration(x.Events-1) * x.Interval
	s.At(warm, func() {
		s.Measure()
		x.first, x.began = len(s.store.batches), s.now
		for i := range x.cursor {
			x.cursor[i] = x.first
		}
		for i := range x.Events {
			s.At(time.Duration(i)*x.Interval, func() { x.publish(x.Warmup + i) })
		}
		x.strike(load)
		x.sample()
	})
	x.ends = s.now.Add(warm + load)
	return warm + max(load, x.lastFaultTime())
}

// publish has the publisher whose turn it is publish, or the next that is up.
func (x *experimenter) publish(turn int) {
	i := turn % len(x.publishers)
	if x.Zipf {
		r := x.load.Float64() * x.weights[len(x.weights)-1]
		for i = 0; x.weights[i] < r; i++ {
		}
	}
	up := 0
	for _, n := range x.sim.nodes {
		if n.Up() {
			up++
		}
	}
	for range x.publishers {
		if n := x.publishers[i]; n.Up() {
			x.sizes = append(x.sizes, up)
			n.Publish(Topic, x.Payload)
			return
		}
		i = (i + 1) % len(x.publishers)
	}
}

// recover waits until every node that is up holds all, or Drain has passed. It
// returns false if progress ended the run.
func (x *experimenter) recover(progress func(float64) bool) bool {
	drain := x.Drain
	if drain == 0 {
		drain = drainTime
	}
	ended := false
	x.sim.RunUntil(drain, func() bool {
		ended = progress != nil && !progress(1)
		return ended || x.isComplete()
	})
	return !ended
}

// isComplete reports whether every node that is up can read all that counts.
func (x *experimenter) isComplete() bool {
	total := len(x.sim.store.batches)
	if x.complete != 0 || x.sim.now < x.ends {
		return x.complete != 0
	}
	for i, n := range x.sim.nodes {
		if !n.Up() {
			continue
		}
		for x.cursor[i] < total {
			a := n.Arrival(x.cursor[i])
			if !a.IsReleased() {
				return false
			}
			x.cursor[i]++
		}
	}
	x.complete = x.sim.now
	return true
}
