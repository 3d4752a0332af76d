package sim

import (
	"flag"
	"runtime/debug"
	"testing"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "run TestSwarm with this seed alone")
	seedsFlag = flag.Int("sim.seeds", 0, "how many seeds TestSwarm runs; 0: 40, or 10 with -short")
	firstFlag = flag.Uint64("sim.first", 1, "the first of them")
)

// TestSwarm runs networks under faults drawn from a seed. While faults last
// nothing may be wrong that a checker sees; when they have ended all must be well within a
// bound, and then nothing may go on. Each seed runs twice, alike.
func TestSwarm(t *testing.T) {
	if *seedFlag != 0 {
		swarmSeed(t, *seedFlag)
		return
	}
	seeds := *seedsFlag
	if seeds == 0 {
		if seeds = 40; testing.Short() {
			seeds = 10
		}
	}
	for i := range uint64(seeds) {
		swarmSeed(t, *firstFlag+i)
	}
}

func swarmSeed(t *testing.T, seed uint64) {
	t.Helper()
	r := Swarm(seed).Run()
	if r.Err != nil {
		t.Errorf("%v\nparameters: %v\nreproduce at commit %s: "+
			"go test -tags invariants ./gossip/sim -run TestSwarm -sim.seed=%d",
			r.Err, r.Plan, commit(), seed)
	}
	if again := Swarm(seed).Run(); again.Trace != r.Trace || again.Events != r.Events {
		t.Errorf("seed %d does not repeat: traces %x and %x", seed, r.Trace, again.Trace)
	}
	if testing.Verbose() {
		t.Logf("seed %d: well after %v, probe %v, %d batches, %d events, %d messages; %v", seed, r.Recovery, r.Probe,
			r.Batches, r.Events, r.Most, r.Plan)
	}
}

// commit returns what the test was built from, if the build knows.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " (modified)"
		}
	}
	return rev + dirty
}
