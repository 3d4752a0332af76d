package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/sim"
)

// simFlags describe a simulation; settled returns them without what was left open.
type simFlags struct {
	nodes    int
	degree   int
	strategy string // "" while open

	mode, variant, stop               string
	k, fanout, connectionLimit, hunts int
	minimize                          bool
	cycle                             time.Duration
	rounds                            bool

	antiEntropy heartbeat
	loss        share
	latency     time.Duration
	jitter      time.Duration
	bandwidth   bandwidth
	churn       churn
	partitions  list[sim.Split]
	crashes     list[sim.Crash]

	events     optional // in total
	warmup     optional // the first of them
	interval   time.Duration
	payload    quantity.Size
	publishers optional
	zipf       bool
	runs       int
	seed       uint64

	picture pictureFlags
	set     *pflag.FlagSet // that the flags are in, as they were given
}

// The words of --strategy, --mode, --variant and --stop.
const (
	strategyTree      = "tree"
	strategyMongering = "mongering"
	modePushPull      = "push-pull"
	modePush          = "push"
	modePull          = "pull"
	variantFeedback   = "feedback"
	variantBlind      = "blind"
	stopCounter       = "counter"
	stopCoin          = "coin"
)

// The defaults that depend on other flags, and bounds that keep a typing error
// from taking all the memory.
const (
	simWarmup     = 100
	simEvents     = 200
	simPublishers = 20
	simNodesMax   = 10_000_000
	simEventsMax  = 10_000_000
	simRunsMax    = 1_000_000
)

func (a *app) simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Simulate many nodes with the core that runs in production",
		Long: `Simulate a network of nodes on a virtual clock, in this process. Every node runs the gossip
core that runs in production; links have a latency, a bandwidth and losses. Equal flags and
an equal seed give equal figures.

Without flags: 100 nodes, a tree for each of 20 publishers, 200 events, of which the first
100 are to warm up and do not count. With --rounds: rumor mongering in synchronous cycles
with uniform partners, the model of Demers et al. (PODC 1987).`,
		Example: `  busnode sim --nodes 1000 --loss 1% --churn 1%/1m --report sim.html
  busnode sim --rounds --nodes 1000 --mode push --k 2 --runs 100
  busnode sim sweep --nodes 1000 --vary loss=0,1%,5%,20%
  busnode sim paper --table 1`,
	}
	cmd.SuggestionsMinimumDistance = 2
	f := newSimFlags(cmd.Flags())
	a.does(cmd, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		settled, err := f.settled()
		if err != nil {
			return err
		}
		return a.sim(ctx, settled)
	})
	args := cmd.Args
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if len(given) > 0 {
			return unknownCommand(cmd, given[0])
		}
		return args(cmd, given)
	}
	cmd.AddCommand(a.simPaperCommand(), a.simSweepCommand(), a.simScenarioCommand())
	return cmd
}

// newSimFlags adds the flags of a simulation to fs.
func newSimFlags(fs *pflag.FlagSet) *simFlags {
	m := gossip.DefaultMongering()
	f := &simFlags{
		set: fs, payload: 1024, bandwidth: bandwidth{100e6, "100Mbit"},
		partitions: list[sim.Split]{parse: parseSplit, kind: "AT:FOR[:SHARE]"},
		crashes:    list[sim.Crash]{parse: parseCrash, kind: "AT:SHARE"},
	}
	fs.SortFlags = false
	fs.IntVar(&f.nodes, "nodes", 100, "`number` of nodes")
	fs.Var(choice{&f.strategy, []string{strategyTree, strategyMongering}}, "strategy",
		"how rumors spread (default tree, with --rounds mongering)")
	fs.IntVar(&f.degree, "degree", 8, "`number` of links a node in the random overlay")
	choiceFlag(fs, &f.mode, "mode", "mongering: who sends what in a contact", modePushPull, modePush, modePull)
	choiceFlag(fs, &f.variant, "variant", "mongering: whether the partner's knowing counts", variantFeedback,
		variantBlind)
	choiceFlag(fs, &f.stop, "stop", "mongering: how a node loses interest", stopCounter, stopCoin)
	fs.IntVar(&f.k, "k", m.K, "mongering: lose interest after `K` useless contacts, or with probability 1/K")
	fs.IntVar(&f.fanout, "fanout", m.Fanout, "mongering: `number` of partners a cycle")
	fs.IntVar(&f.connectionLimit, "connection-limit", 0,
		"mongering: contacts that a node accepts a cycle; 0: no `limit`")
	fs.IntVar(&f.hunts, "hunt", 0, "mongering: `number` of other partners to try after a refusal")
	fs.BoolVar(&f.minimize, "minimize", false, "mongering: of two that know, only the smaller counter is raised")
	fs.DurationVar(&f.cycle, "cycle", m.Interval, "mongering: the `time` between two contacts of a node")
	fs.BoolVar(&f.rounds, "rounds", false, "synchronous cycles and uniform partners, without links and time")
	f.antiEntropy.every = gossip.DefaultConfig().HeartbeatInterval
	fs.Var(&f.antiEntropy, "anti-entropy", "mean time between two heartbeats of a node, or off")
	fs.Var(&f.loss, "loss", "share of the packets that are lost")
	fs.DurationVar(&f.latency, "latency", 50*time.Millisecond, "of a link, one way")
	fs.DurationVar(&f.jitter, "jitter", 0, "by which a frame takes more or less, at most")
	fs.Var(&f.bandwidth, "bandwidth", "of a node's uplink, and of its downlink")
	fs.Var(&f.churn, "churn", "share of the nodes that come and go in a time: 1%/1m")
	fs.Var(&f.partitions, "partition", "cut the network in two: 5s:60s:0.5 (repeats)")
	fs.Var(&f.crashes, "crash", "a share of the nodes vanishes: 5s:50% (repeats)")
	fs.Var(&f.events, "events", "`number` of events in total (default 200, with --rounds 1)")
	fs.Var(&f.warmup, "warmup", "`number` of the first events, which do not count (default 100, or half of the "+
		"events if less)")
	fs.DurationVar(&f.interval, "interval", 50*time.Millisecond, "between two events")
	fs.Var(&f.payload, "payload", "`size` of an event")
	fs.Var(&f.publishers, "publishers", "`number` of nodes that publish, in turn (default 20, or all if less)")
	fs.BoolVar(&f.zipf, "zipf", false, "publisher number i publishes in proportion to 1/i")
	fs.IntVar(&f.runs, "runs", 1, "`number` of runs that are summed up")
	fs.Uint64Var(&f.seed, "seed", 1, "what chance is drawn from, a `number`")
	f.picture.add(fs)
	return f
}

// isGiven reports whether a flag has another value than its default, from wherever.
func (f *simFlags) isGiven(name string) bool {
	flag := f.set.Lookup(name)
	return flag.Value.String() != flag.DefValue
}

// withoutTime are the flags that synchronous cycles leave no room for.
var withoutTime = []string{
	"degree", "cycle", "latency", "jitter", "bandwidth", "churn", "partition", "crash", "warmup", "interval",
	"publishers", "zipf",
}

// ofMongering are the flags that a tree has no use for.
var ofMongering = []string{
	"mode", "variant", "stop", "k", "fanout", "connection-limit", "hunt", "minimize", "cycle",
}

// settled returns a copy in which nothing is left open. What makes no sense is a usage error.
func (f *simFlags) settled() (*simFlags, error) {
	g := *f
	return &g, g.settle()
}

func (f *simFlags) settle() error {
	if f.strategy == "" {
		f.strategy = strategyTree
		if f.rounds {
			f.strategy = strategyMongering
		}
	}
	if err := f.checkNumbers(); err != nil {
		return err
	}
	if f.strategy == strategyTree {
		if f.rounds {
			return usagef("--rounds: the tree grows along links, and cycles with uniform partners have none: " +
				"use --strategy mongering")
		}
		if name := f.firstGiven(ofMongering); name != "" {
			return usagef("--%s: the tree has none: use --strategy mongering", name)
		}
	}
	if err := f.checkMongering(); err != nil {
		return err
	}
	if f.rounds {
		return f.checkRounds()
	}
	return f.checkTime()
}

func (f *simFlags) firstGiven(flags []string) string {
	for _, name := range flags {
		if f.isGiven(name) {
			return name
		}
	}
	return ""
}

func (f *simFlags) checkNumbers() error {
	f.publishers.open(min(simPublishers, f.nodes))
	f.events.open(simEvents)
	if f.rounds && !f.isGiven("events") {
		f.events.n = 1
	}
	switch {
	case f.nodes < 2 || f.nodes > simNodesMax:
		return usagef("--nodes %d: want 2 to %d", f.nodes, simNodesMax)
	case f.degree < 2:
		return usagef("--degree %d: want 2 or more", f.degree)
	case f.events.n < 1 || f.events.n > simEventsMax:
		return usagef("--events %d: want 1 to %d", f.events.n, simEventsMax)
	case f.payload > simPayloadMax:
		return usagef("--payload %d: want 0 to %d bytes", f.payload, simPayloadMax)
	case f.publishers.n < 1 || f.publishers.n > f.nodes:
		return usagef("--publishers %d: want 1 to the number of nodes, %d", f.publishers.n, f.nodes)
	case f.runs < 1 || f.runs > simRunsMax:
		return usagef("--runs %d: want 1 to %d", f.runs, simRunsMax)
	case f.loss > simLossMax:
		return usagef("--loss %v: want at most %v, for with more hardly anything arrives", float64(f.loss),
			simLossMax)
	}
	return f.picture.check()
}

const (
	simPayloadMax = 4 << 20
	simLossMax    = 0.9
)

func (f *simFlags) checkMongering() error {
	switch {
	case f.minimize && (f.mode != modePushPull || f.variant != variantFeedback || f.stop != stopCounter):
		return usagef("--minimize compares two nodes' counters: it needs --mode push-pull, --variant feedback " +
			"and --stop counter")
	case f.k < 1 || f.k > simKMax:
		return usagef("--k %d: want 1 to %d", f.k, simKMax)
	case f.fanout < 1 || f.fanout > simFanoutMax:
		return usagef("--fanout %d: want 1 to %d", f.fanout, simFanoutMax)
	case f.connectionLimit < 0 || f.connectionLimit > simLimitMax:
		return usagef("--connection-limit %d: want 0 to %d", f.connectionLimit, simLimitMax)
	case f.hunts < 0 || f.hunts > simLimitMax:
		return usagef("--hunt %d: want 0 to %d", f.hunts, simLimitMax)
	case f.hunts > 0 && f.connectionLimit == 0:
		return usagef("--hunt %d: nobody refuses a contact without --connection-limit", f.hunts)
	case f.cycle <= 0:
		return usagef("--cycle %v: want more than 0", f.cycle)
	}
	return nil
}

const (
	simKMax      = 254
	simFanoutMax = 64
	simLimitMax  = 1000
)

// checkRounds refuses what needs a time that synchronous cycles do not have.
func (f *simFlags) checkRounds() error {
	if name := f.firstGiven(withoutTime); name != "" {
		return usagef("--%s: with --rounds all nodes act at once, with anybody, and nothing takes time", name)
	}
	if f.isGiven("anti-entropy") && !f.antiEntropy.off {
		return usagef("--anti-entropy %v: with --rounds there is none; leave --rounds out to see both",
			f.antiEntropy.every)
	}
	f.antiEntropy = heartbeat{off: true}
	r := f.newRounds()
	return asUsage(r.Validate())
}

func (f *simFlags) checkTime() error {
	f.warmup.open(min(simWarmup, f.events.n/2))
	switch {
	case f.warmup.n < 0:
		return usagef("--warmup %d: want 0 or more", f.warmup.n)
	case f.warmup.n >= f.events.n:
		return usagef("--warmup %d: want fewer than the events in total, %d, for none would count", f.warmup.n,
			f.events.n)
	case f.latency < 0 || f.jitter < 0 || f.interval < 0:
		return usagef("a negative --latency, --jitter or --interval")
	case f.jitter > f.latency:
		return usagef("--jitter %v: want at most the latency, %v", f.jitter, f.latency)
	}
	return asUsage(f.experiment().Validate())
}

// asUsage makes what a simulation says of its parameters a usage error.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, kind := range []error{sim.ErrParams, sim.ErrScenario, gossip.ErrConfig} {
		text = strings.ReplaceAll(text, kind.Error()+": ", "")
	}
	return usagef("%s", text)
}

// noHeartbeat is an interval that no simulation outlasts.
const noHeartbeat = 80_000 * time.Hour

func (f *simFlags) mongering() gossip.Mongering {
	m := gossip.Mongering{
		Mode: gossip.PushPull, Blind: f.variant == variantBlind, Coin: f.stop == stopCoin, K: f.k, Fanout: f.fanout,
		ConnectionLimit: f.connectionLimit, Hunt: f.hunts, Minimize: f.minimize, Interval: f.cycle,
	}
	switch f.mode {
	case modePush:
		m.Mode = gossip.Push
	case modePull:
		m.Mode = gossip.Pull
	}
	return m
}

// experiment returns what the flags describe, without --rounds.
func (f *simFlags) experiment() *sim.Experiment {
	cfg := gossip.DefaultConfig()
	cfg.Degree = max(simDegreeMin, f.degree)
	cfg.HeartbeatInterval = f.antiEntropy.every
	if f.antiEntropy.off {
		cfg.HeartbeatInterval = noHeartbeat
	}
	if f.strategy == strategyMongering {
		m := f.mongering()
		cfg.Topics = []gossip.TopicConfig{{Filter: sim.Topic, Mongering: &m, NoAntiEntropy: f.antiEntropy.off}}
	}
	return &sim.Experiment{
		Nodes: f.nodes, Degree: f.degree, Config: cfg,
		Net: sim.Network{
			Latency: f.latency, Jitter: f.jitter, Rate: int(f.bandwidth.bits / 8), Loss: float64(f.loss),
		},
		Publishers: f.publishers.n, Zipf: f.zipf, Warmup: f.warmup.n, Events: f.events.n - f.warmup.n,
		Interval: f.interval, Payload: int(f.payload), Churn: f.churn.Churn, Partitions: f.partitions.items,
		Crashes: f.crashes.items, Curve: f.curveStep(), Seed: f.seed,
	}
}

// simDegreeMin is the least number of neighbours that a core can be told to pick.
const simDegreeMin = 3

// curveStep returns the time between two looks at the nodes' states; pictures alone need them.
func (f *simFlags) curveStep() time.Duration {
	if !f.picture.wanted() {
		return 0
	}
	return max(f.latency/5, time.Millisecond)
}

// newRounds returns what the flags describe, with --rounds.
func (f *simFlags) newRounds() *sim.Rounds {
	return &sim.Rounds{
		Nodes: f.nodes, Mongering: f.mongering(), Rumors: f.events.n, Payload: int(f.payload),
		Loss: float64(f.loss), Seed: f.seed,
	}
}
