package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

type reconcileFlags struct {
	items, missing int
	spread         string
	seed           uint64
}

// The words of --spread.
const (
	spreadRecent  = "recent"
	spreadUniform = "uniform"
)

const reconcileItemsMax = 100_000_000

// reconcileResult is what bench reconcile measured, as --output json shows it.
type reconcileResult struct {
	Bytes         int     `json:"bytes"`
	RoundTrips    int     `json:"round_trips"`
	CPUMsA        float64 `json:"cpu_ms_a"`
	CPUMsB        float64 `json:"cpu_ms_b"`
	Symbols       int     `json:"symbols"`
	Equal         bool    `json:"equal"`
	FullListBytes int     `json:"full_list_bytes"`
	MerkleBytes   int     `json:"merkle_bytes"`

	flags  *reconcileFlags
	found  measure
	full   measure
	merkle measure
	build  time.Duration // of one Merkle tree
}

func (a *app) benchReconcileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Measure what it costs two nodes to find what their sets of batches differ in",
		Long: `Make two sets of batches that differ, and let node A find the difference by the exchange
that nodes run: every message is encoded and parsed. Beside it, the same is done with
a list of all IDs and with a Merkle tree.

Bytes go both ways, from Open until A knows the difference; names, wants and
bodies come after that. With --missing 0, it is the heartbeat alone.`,
		Example: "  busnode bench reconcile --items 1000000 --missing 1000 --spread recent",
	}
	f := &reconcileFlags{}
	fs := cmd.Flags()
	fs.IntVar(&f.items, "items", 1_000_000, "`number` of batches in all, 10 a second")
	fs.IntVar(&f.missing, "missing", 1_000, "`number` of them that one of the nodes lacks, half on each side")
	choiceFlag(fs, &f.spread, "spread", "missing among the newest 4 × missing, or over all of time",
		spreadRecent, spreadUniform)
	fs.Uint64Var(&f.seed, "seed", 0, "what IDs and keys are drawn from; 0: a random `number`")
	return a.does(cmd, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return a.benchReconcile(ctx, f)
	})
}

func (f *reconcileFlags) check() error {
	for f.seed == 0 {
		f.seed = rand.Uint64()
	}
	switch {
	case f.items < 1 || f.items > reconcileItemsMax:
		return usagef("--items %d: want 1 to %d", f.items, reconcileItemsMax)
	case f.missing < 0 || f.missing > f.items:
		return usagef("--missing %d: want 0 to the number of items, %d", f.missing, f.items)
	}
	return nil
}

func (a *app) benchReconcile(ctx context.Context, f *reconcileFlags) error {
	show := a.newDisplay()
	defer show.stop()
	result, err := f.run(ctx, show)
	show.stop()
	if err != nil {
		return err
	}
	if err := a.printResult(result, result.print); err != nil {
		return err
	}
	if !result.Equal {
		return errors.New("the exchange did not find the difference")
	}
	return nil
}

// run measures the exchange and its rivals, on a thread of its own.
func (f *reconcileFlags) run(ctx context.Context, show *display) (*reconcileResult, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	show.begin("making two sets of %s batches", humanize.Comma(int64(f.items)))
	sets, err := makeTwoSets(ctx, f, func(n int) { show.held("made", n, f.items) })
	if err != nil {
		return nil, err
	}
	show.done("made two sets of %s batches, seed %d", humanize.Comma(int64(f.items)), f.seed)
	r := &reconcileResult{flags: f}
	if err := r.rivals(ctx, sets, show); err != nil {
		return nil, err
	}
	show.begin("exchanging")
	runtime.GC() // as before
	x := newExchangeRun(sets, f.seed)
	if f.missing == 0 {
		r.Equal, err = x.agree()
	} else {
		r.Equal, err = x.find(ctx)
	}
	if err != nil {
		return nil, err
	}
	r.found = x.measure()
	r.Bytes, r.RoundTrips, r.Symbols = x.bytes, x.roundTrips, x.symbols
	r.CPUMsA, r.CPUMsB = milliseconds(x.a.spent), milliseconds(x.b.spent)
	return r, nil
}

// rivals finds the difference as others do. It goes first, for the exchange makes
// both sets the same in the end.
func (r *reconcileResult) rivals(ctx context.Context, sets *twoSets, show *display) (err error) {
	show.begin("sending a list of all IDs")
	idsA, idsB := sortedIDs(sets.a, sets), sortedIDs(sets.b, sets)
	if err := ctx.Err(); err != nil {
		return err
	}
	runtime.GC() // what making the sets left behind is not to be paid for by the first
	var lack, surplus idList
	if r.full, lack, surplus, err = fullList(idsA, idsB); err != nil {
		return err
	}
	if !sets.differBy(lack, surplus) {
		return errors.New("the list of all IDs did not lead to the difference")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	show.begin("comparing Merkle trees")
	if r.merkle, lack, surplus, r.build, err = merkleTrees(idsA, idsB); err != nil {
		return err
	}
	if !sets.differBy(lack, surplus) {
		return errors.New("the Merkle trees did not lead to the difference")
	}
	r.FullListBytes, r.MerkleBytes = r.full.bytes, r.merkle.bytes
	return ctx.Err()
}

func (r *reconcileResult) print(w *bytes.Buffer) {
	name := "exchange"
	if r.flags.missing == 0 {
		name = "heartbeat"
	}
	rows := [][]string{
		r.found.row(name, r.flags.missing),
		r.full.row("list of all IDs", r.flags.missing),
		r.merkle.row("Merkle tree", r.flags.missing),
	}
	_ = printTable(w, []string{"WAY", "BYTES", "EACH", "ROUND TRIPS", "CPU A", "CPU B"}, rows) // a buffer takes all
	fmt.Fprintln(w)
	sets := fmt.Sprintf("%s batches, %s of them missing at A or B, %s; seed %d", humanize.Comma(int64(r.flags.items)),
		humanize.Comma(int64(r.flags.missing)), r.flags.spread, r.flags.seed)
	_ = printTable(w, []string{"sets", sets}, [][]string{
		{"symbols", humanize.Comma(int64(r.Symbols))},
		{"tree", fmt.Sprintf("built in %s on each side, not in the CPU above", cpuText(r.build))},
		{"equal", fmt.Sprint(r.Equal)},
	})
}

// measure is what one way of finding the difference has cost.
type measure struct {
	bytes, roundTrips int
	cpuA, cpuB        time.Duration
}

func (m measure) row(name string, missing int) []string {
	each := "-"
	if missing > 0 {
		each = humanize.FormatFloat("#,###.#", float64(m.bytes)/float64(missing))
	}
	return []string{
		name, humanize.Comma(int64(m.bytes)), each, fmt.Sprint(m.roundTrips), cpuText(m.cpuA), cpuText(m.cpuB),
	}
}

func cpuText(d time.Duration) string { return fmt.Sprintf("%.3f ms", milliseconds(d)) }

// milliseconds returns d to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)/time.Microsecond) / 1000
}

// tally adds up what a way of finding the difference costs both nodes.
type tally struct {
	a, b              side
	bytes, roundTrips int
}

func (t *tally) measure() measure {
	return measure{bytes: t.bytes, roundTrips: t.roundTrips, cpuA: t.a.spent, cpuB: t.b.spent}
}

// side is one of the two nodes, and what its calls have cost.
type side struct{ spent time.Duration }

// do runs f at the side's expense.
func (s *side) do(f func()) {
	start := threadTime()
	f()
	s.spent += threadTime() - start
}
