package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/busnode/busnode/gossip/sim"
)

// simulation is what the runs of one setting have brought.
type simulation struct {
	flags    *simFlags
	result   sim.Result
	outcomes []*sim.Outcome       // without --rounds, in the order of the runs
	rounds   []*sim.RoundsOutcome // with --rounds
	seconds  float64              // that it took
	memory   uint64               // bytes that the process had from the system, at most
}

// simulate makes all runs of a setting. The error is the context's cause.
func (f *simFlags) simulate(ctx context.Context, p *progress) (*simulation, error) {
	s := &simulation{flags: f}
	start, peak := time.Now(), watchMemory()
	defer peak.stop()
	p.unit = f.weight() / float64(f.runs)
	var err error
	if f.rounds {
		r := f.newRounds()
		s.rounds, err = runAll(ctx, p, f.runs, r.Nodes, func(run int, tell func(float64) bool) *sim.RoundsOutcome {
			o := r.Run(run, tell)
			if o != nil && run > 0 {
				o.Tree = nil
			}
			return o
		})
		s.result = r.Summarize(s.rounds)
	} else {
		e := f.experiment()
		s.outcomes, err = runAll(ctx, p, f.runs, e.Nodes, func(run int, tell func(float64) bool) *sim.Outcome {
			o := e.Run(run, tell)
			if o != nil && run > 0 { // the pictures are of the first
				o.Edges, o.Tree, o.Curve = nil, nil, nil
			}
			return o
		})
		s.result = e.Summarize(s.outcomes)
	}
	if err != nil {
		return nil, err
	}
	s.seconds, s.memory = math.Round(time.Since(start).Seconds()*1000)/1000, peak.stop()
	return s, nil
}

// weight is how long the simulation takes in comparison with others, about.
func (f *simFlags) weight() float64 {
	return float64(f.nodes) * float64(f.events.n+simSetupEvents) * float64(f.runs)
}

// simSetupEvents is how many events take as long as making and connecting the nodes.
const simSetupEvents = 20

// runAll makes runs side by side, as many at once as processors and memory
// allow, and returns their outcomes in order: it does not matter how many went at once.
func runAll[T any](
	ctx context.Context, p *progress, runs, nodes int, run func(i int, tell func(share float64) bool) *T,
) ([]*T, error) {
	outcomes := make([]*T, runs)
	var next atomic.Int64
	var working sync.WaitGroup
	for range min(runs, atOnce(nodes)) {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < runs && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				told := 0.0
				tell := func(share float64) bool {
					p.add(share - told)
					told = share
					return ctx.Err() == nil
				}
				outcomes[i] = run(i, tell)
				tell(1)
			}
		})
	}
	working.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return outcomes, nil
}

const (
	simNodeBytes   = 64 << 10 // that a simulated node takes, with what the collector leaves lying
	memoryAssumed  = 2 << 30  // where the system does not tell
	simMemoryShare = 0.8      // of the memory that is free, which the collector is to stay within
)

// atOnce returns how many simulations of so many nodes go at once.
func atOnce(nodes int) int {
	free := availableMemory()
	if free == 0 {
		free = memoryAssumed
	}
	fit := free / simNodeBytes / uint64(nodes)
	return max(1, min(runtime.GOMAXPROCS(0), int(min(fit, math.MaxInt32))))
}

// collectAt returns by how many percent the memory of so many nodes may grow before it is
// collected. With Go's 100, a third of the time is the collector's: while a network is made, hardly
// anything that it marks is garbage. But with very many nodes memory is dearer than time.
func collectAt(nodes int) int {
	if nodes <= 100_000 {
		return 1000
	}
	return 100
}

// hurry lets the process take more memory and spend less time on collecting it, where
// the user has not said otherwise by GOGC and GOMEMLIMIT. The function that it returns undoes it.
func (a *app) hurry(nodes int) (undo func()) {
	percent, limit := 0, int64(0)
	_, hasPercent := a.lookupEnv("GOGC")
	if !hasPercent {
		percent = debug.SetGCPercent(collectAt(nodes))
	}
	_, hasLimit := a.lookupEnv("GOMEMLIMIT")
	free := availableMemory()
	if !hasLimit && free > 0 {
		limit = debug.SetMemoryLimit(int64(simMemoryShare * float64(free)))
	}
	return func() {
		if !hasPercent {
			debug.SetGCPercent(percent)
		}
		if limit > 0 {
			debug.SetMemoryLimit(limit)
		}
	}
}

// memoryWatch finds the most memory that the process had while it ran.
type memoryWatch struct {
	end      chan struct{}
	ended    sync.Once
	watching sync.WaitGroup
	peak     uint64 // the watcher's until stop
}

// memoryLooks is how often the memory is looked at.
const memoryLooks = 50 * time.Millisecond

func watchMemory() *memoryWatch {
	w := &memoryWatch{end: make(chan struct{}), peak: memoryNow()}
	w.watching.Go(func() {
		ticker := time.NewTicker(memoryLooks)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				w.peak = max(w.peak, memoryNow())
			case <-w.end:
				return
			}
		}
	})
	return w
}

// stop ends the watch and returns the peak. It is idempotent.
func (w *memoryWatch) stop() uint64 {
	w.ended.Do(func() {
		close(w.end)
		w.watching.Wait()
		w.peak = max(w.peak, memoryNow())
	})
	return w.peak
}

// memoryNow returns what the Go runtime has from the system: heap, stacks and its own.
func memoryNow() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return 0
		}
	}
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// progress is how far a command's simulations have come, shown as a bar on a
// terminal. Its methods are safe for concurrent use, but unit is set between runs.
type progress struct {
	show  *display
	total float64 // of all runs' weights
	unit  float64 // the weight of one of the runs under way
	start time.Time

	mu   sync.Mutex // guards the fields below
	done float64
	drew time.Time
}

func newProgress(show *display, total float64) *progress {
	return &progress{show: show, total: total, start: time.Now()}
}

// add tells that so much more of a run is done.
func (p *progress) add(share float64) {
	p.mu.Lock()
	p.done += share * p.unit
	now := time.Now()
	due := p.show.live && now.Sub(p.drew) >= redraw
	if due {
		p.drew = now
	}
	done := min(1, p.done/p.total)
	p.mu.Unlock()
	if due {
		p.show.figure("", bar(done, now.Sub(p.start)))
	}
}

const barCells = 24

// bar draws a share that took some time, and says what the rest may take.
func bar(share float64, took time.Duration) string {
	full := int(share * barCells)
	text := strings.Repeat("█", full) + strings.Repeat("░", barCells-full) + fmt.Sprintf(" %3.0f %%", 100*share)
	if share > 0.01 && took > time.Second {
		left := time.Duration(float64(took) * (1 - share) / share)
		text += fmt.Sprintf("  %v left", left.Round(time.Second))
	}
	return text
}
