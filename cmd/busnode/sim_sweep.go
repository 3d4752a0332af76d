package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
	"github.com/busnode/busnode/gossip/sim"
)

// sweepResult is what a sweep found, as --output json shows it.
type sweepResult struct {
	Vary string     `json:"vary"`
	Rows []sweepRow `json:"rows"`
	Fit  *fitResult `json:"fit"`
}

type sweepRow struct {
	Value any `json:"value"` // a number where the flag has one: milliseconds, bytes, bits a second, shares of 1
	simResult
}

// fitResult is a law that was fitted to the rows.
type fitResult struct {
	Law string  `json:"law"`
	A   float64 `json:"a"`
	B   float64 `json:"b"`
	R2  float64 `json:"r2"`
}

// sweep is a simulation repeated with several values of one flag.
type sweep struct {
	flag  string
	texts []string // the values as they were written
	flags []*simFlags
	set   *pflag.FlagSet
	rows  []*simulation
}

// notVaried are the flags of sim that make no rows.
var notVaried = []string{
	"partition", "crash", "rounds", "report", "plot", "output", "config", "vary", "help",
}

func (a *app) simSweepCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Repeat a simulation with several values of one flag",
		Long: `Repeat a simulation with several values of one flag of 'busnode sim', and show a row for each.
The other flags are those of 'busnode sim'.

With --vary nodes=… a law t_last = a + b·ln n is fitted to the last arrival, in
milliseconds, or in cycles with --rounds; with --vary k=… a law ln(residue) = a + b·k.`,
		Example: `  busnode sim sweep --vary nodes=100,1000,10000 --events 20
  busnode sim sweep --rounds --nodes 1000 --mode push --runs 50 --vary k=1,2,3,4,5`,
	}
	vary := ""
	cmd.Flags().StringVar(&vary, "vary", "", "what differs from row to row, as `flag=values`: nodes=100,1000")
	f := newSimFlags(cmd.Flags())
	return a.does(cmd, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		s, err := newSweep(f, vary)
		if err != nil {
			return err
		}
		return a.sweep(ctx, s)
	})
}

// newSweep settles the flags of every row before the first is run.
func newSweep(f *simFlags, vary string) (*sweep, error) {
	name, values, found := strings.Cut(vary, "=")
	if vary == "" {
		return nil, usagef("--vary is missing: the name of a flag and its values, as nodes=100,1000,10000")
	}
	if !found || values == "" {
		return nil, usagef("--vary %s: write the name of a flag and its values: nodes=100,1000,10000",
			printable(vary))
	}
	flag := f.set.Lookup(name)
	if flag == nil {
		return nil, usagef("--vary %s: busnode sim has no such flag", printable(name))
	}
	if slices.Contains(notVaried, name) {
		return nil, usagef("--vary %s: that flag is the same for all rows", name)
	}
	if f.isGiven(name) {
		return nil, usagef("--%s: that is what --vary varies", name)
	}
	s := &sweep{flag: name, set: f.set, texts: strings.Split(values, ",")}
	before := *f
	for _, text := range s.texts {
		if err := flag.Value.Set(text); err != nil {
			return nil, usagef("--vary %s=%s: %v", name, printable(text), valueError(flag, err))
		}
		row, err := f.settled()
		if err != nil {
			return nil, err
		}
		s.flags = append(s.flags, row)
	}
	*f = before // for the command line that repeats it
	return s, nil
}

func (a *app) sweep(ctx context.Context, s *sweep) error {
	most, free := 0, availableMemory()
	for _, f := range s.flags {
		if err := f.fits(free); err != nil {
			return err
		}
		most = max(most, f.nodes)
	}
	defer a.hurry(most)()
	show := a.newDisplay()
	defer show.stop()
	if err := s.run(ctx, show); err != nil {
		return err
	}
	show.stop()
	if err := s.drawPictures(); err != nil {
		return err
	}
	return a.printResult(s.json(), s.print)
}

func (s *sweep) run(ctx context.Context, show *display) error {
	total := 0.0
	for _, f := range s.flags {
		total += f.weight()
	}
	p := newProgress(show, total)
	for i, f := range s.flags {
		show.begin("%s %s: %s", s.flag, s.texts[i], f.what())
		debug.FreeOSMemory() // so that each row's memory is its own
		row, err := f.simulate(ctx, p)
		if err != nil {
			return err
		}
		s.rows = append(s.rows, row)
		show.done("%s %s: last arrival after %s", s.flag, s.texts[i], row.lastArrival())
	}
	return nil
}

func (s *simulation) lastArrival() string {
	if s.flags.rounds {
		return digits(s.result.TLast) + " cycles"
	}
	return millis(s.result.Max)
}

func (s *sweep) json() sweepResult {
	r := sweepResult{Vary: s.flag, Rows: []sweepRow{}}
	for i, row := range s.rows {
		r.Rows = append(r.Rows, sweepRow{s.value(i), row.json()})
	}
	if fit := s.fit(); fit != nil {
		r.Fit = &fitResult{fit.Law, finite(fit.A), finite(fit.B), finite(fit.R2)}
	}
	return r
}

// value returns what varies as a number in base units, or as it was written.
func (s *sweep) value(i int) any {
	flag, text := s.set.Lookup(s.flag), s.texts[i]
	switch flag.Value.(type) {
	case *share:
		v, _ := parseShare(text) // it was read before
		return v
	case *quantity.Size:
		return int64(s.flags[i].payload)
	case *bandwidth:
		return s.flags[i].bandwidth.bits
	}
	if d, err := time.ParseDuration(text); err == nil && flag.Value.Type() == "duration" {
		return milliseconds(d)
	}
	if n, err := strconv.ParseUint(text, 0, 64); err == nil {
		return n
	}
	return text
}

// The laws that sweeps are fitted to.
const (
	lawNodes = "t_last = a + b·ln n"
	lawK     = "ln(residue) = a + b·k"
)

// fit fits the law that the varied flag has, or returns nil: there is none, or
// there are no two rows that differ.
func (s *sweep) fit() *sim.Fit {
	var xs, ys []float64
	differ := false
	for _, row := range s.rows {
		x, y := float64(row.flags.nodes), row.result.TLast
		if s.flag == "k" {
			x, y = float64(row.flags.k), math.Log(row.result.Residue)
		}
		if !math.IsInf(y, 0) {
			differ = differ || len(xs) > 0 && x != xs[0]
			xs, ys = append(xs, x), append(ys, y)
		}
	}
	if !differ {
		return nil
	}
	var fit sim.Fit
	switch s.flag {
	case "nodes":
		fit = sim.FitLog(xs, ys)
		fit.Law = lawNodes
	case "k":
		fit = sim.FitLine(xs, ys)
		fit.Law = lawK
	default:
		return nil
	}
	fit.A, fit.B = unlessTiny(fit.A, fit.B), unlessTiny(fit.B, fit.A)
	return &fit
}

// tiny is the part of the other coefficient below which one is what rounding left of 0.
const tiny = 1e-9

// unlessTiny returns v, or 0 if it is nothing beside the law's other coefficient.
func unlessTiny(v, other float64) float64 {
	if math.Abs(v) < tiny*math.Abs(other) {
		return 0
	}
	return v
}

func (s *sweep) print(w *bytes.Buffer) {
	header, rows := s.table()
	_ = printTable(w, header, rows) // a buffer takes all
	fmt.Fprintln(w)
	if fit := s.fit(); fit != nil {
		fmt.Fprintf(w, "%s with a = %s, b = %s; R² = %.4f\n", fit.Law, digits(fit.A), digits(fit.B), fit.R2)
	}
	fmt.Fprintln(w, s.command())
}

func (s *sweep) command() string { return commandLine("busnode sim sweep", s.set) }

// table returns the rows for people.
func (s *sweep) table() (header []string, rows [][]string) {
	header = []string{strings.ToUpper(s.flag), "RESIDUE", "COPIES", "P50", "P99", "LAST"}
	if s.rows[0].flags.rounds {
		header = []string{strings.ToUpper(s.flag), "RESIDUE", "TRAFFIC", "T_AVE", "T_LAST", "ROUNDS"}
	}
	header = append(header, "HOPS", "BYTES", "CONTROL", "TOOK", "MEMORY")
	for i, row := range s.rows {
		r := &row.result
		cells := []string{s.texts[i], percent(r.Residue)}
		if row.flags.rounds {
			cells = append(cells, digits(r.Traffic), digits(r.TAve), digits(r.TLast), digits(r.Rounds))
		} else {
			cells = append(cells, fmt.Sprintf("%.3f", r.CopiesPerNode), millis(r.P50), millis(r.P99), millis(r.Max))
		}
		rows = append(rows, append(cells, fmt.Sprint(r.HopsMax), humanize.Comma(int64(r.BytesPerNode)),
			humanize.Comma(int64(r.ControlBytesPerNode)), took(row.seconds), humanize.IBytes(row.memory)))
	}
	return header, rows
}
