package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/busnode/busnode/gossip/sim"
)

type paperFlags struct {
	table, runs int
	seed        uint64
	picture     pictureFlags
	set         *pflag.FlagSet
}

// paperResult is a table of the paper with our figures, as --output json shows it.
type paperResult struct {
	Table int           `json:"table"`
	Rows  []paperFigure `json:"rows"`
}

type paperFigure struct {
	K       int     `json:"k"`
	Residue float64 `json:"residue"`
	Traffic float64 `json:"traffic"`
	TAve    float64 `json:"t_ave"`
	TLast   float64 `json:"t_last"`
}

// paper is one table under way.
type paper struct {
	flags  *paperFlags
	rows   []sim.PaperRow
	found  []sim.Result
	curves [][]sim.Sample // of each row: the states by cycles, summed up over all runs
}

func (a *app) simPaperCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "paper",
		Short: "Reproduce a table of Demers et al. 1987 with the core that runs in production",
		Long: `Reproduce a table of Demers et al., "Epidemic Algorithms for Replicated Database Maintenance"
(PODC 1987), section 1.4: 1,000 sites, k from 1 to 5, synchronous cycles, uniform partners.

  table 1   push, feedback, counter
  table 2   push, blind, coin
  table 3   pull, feedback, counter

A run is one rumor; averages are over all runs, also those in which the rumor died at
once. t_ave is the mean cycle of arrival, which for tables 1 and 2 is not how the paper
counts it: its figures are 1 to 3 cycles higher.`,
		Example: "  busnode sim paper --table 1 --runs 2000",
	}
	f := &paperFlags{set: cmd.Flags()}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.IntVar(&f.table, "table", 1, "`number` of the table: 1, 2 or 3")
	fs.IntVar(&f.runs, "runs", 200, "`number` of runs of each row")
	fs.Uint64Var(&f.seed, "seed", 1, "what chance is drawn from, a `number`")
	f.picture.add(fs)
	return a.does(cmd, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		p, err := f.paper()
		if err != nil {
			return err
		}
		return a.paper(ctx, p)
	})
}

func (f *paperFlags) paper() (*paper, error) {
	rows, err := sim.PaperTable(f.table)
	switch {
	case err != nil:
		return nil, usagef("--table %d: want 1, 2 or 3", f.table)
	case f.runs < 1 || f.runs > simRunsMax:
		return nil, usagef("--runs %d: want 1 to %d", f.runs, simRunsMax)
	}
	return &paper{flags: f, rows: rows}, f.picture.check()
}

func (a *app) paper(ctx context.Context, p *paper) error {
	defer a.hurry(p.rows[0].Rounds.Nodes)()
	show := a.newDisplay()
	defer show.stop()
	bar := newProgress(show, float64(len(p.rows)*p.flags.runs))
	for i := range p.rows {
		show.begin("table %d, k = %d", p.flags.table, p.rows[i].K)
		if err := p.run(ctx, bar, &p.rows[i]); err != nil {
			return err
		}
	}
	show.stop()
	if err := p.drawPictures(); err != nil {
		return err
	}
	return a.printResult(p.json(), p.print)
}

// run makes all runs of a row: several rumors on each of several networks.
func (p *paper) run(ctx context.Context, bar *progress, row *sim.PaperRow) error {
	each := min(row.Rounds.Rumors, p.flags.runs)
	networks := (p.flags.runs + each - 1) / each
	r := row.Rounds
	r.Seed = p.flags.seed
	bar.unit = float64(p.flags.runs) / float64(networks)
	outcomes, err := runAll(ctx, bar, networks, r.Nodes, func(run int, tell func(float64) bool) *sim.RoundsOutcome {
		network := r
		network.Rumors = min(each, p.flags.runs-run*each)
		o := network.Run(run, tell)
		if o != nil {
			o.Tree = nil
		}
		return o
	})
	if err != nil {
		return err
	}
	p.found = append(p.found, r.Summarize(outcomes))
	var curve []sim.Sample
	for _, o := range outcomes {
		curve = sim.SumCurves(curve, o.Curve)
	}
	p.curves = append(p.curves, curve)
	return nil
}

func (p *paper) json() paperResult {
	r := paperResult{Table: p.flags.table, Rows: []paperFigure{}}
	for i, found := range p.found {
		r.Rows = append(r.Rows, paperFigure{
			K: p.rows[i].K, Residue: finite(found.Residue), Traffic: finite(found.Traffic), TAve: finite(found.TAve),
			TLast: finite(found.TLast),
		})
	}
	return r
}

func (p *paper) print(w *bytes.Buffer) {
	fmt.Fprintf(w, "Demers et al. 1987, table %d: %s; 1,000 sites, %s a row\n\n", p.flags.table, p.what(),
		countOf(p.flags.runs, "run"))
	header, rows := p.table()
	_ = printTable(w, header, rows) // a buffer takes all
	fmt.Fprintln(w, "\nresidue: share of the sites that a rumor missed; traffic: updates sent a site; t: cycles.")
	fmt.Fprintln(w, p.command())
}

func (p *paper) command() string { return commandLine("busnode sim paper", p.flags.set) }

func (p *paper) what() string {
	return [...]string{"push, feedback, counter", "push, blind, coin", "pull, feedback, counter"}[p.flags.table-1]
}

// table returns our figures beside those of the paper and of an independent simulation.
func (p *paper) table() (header []string, rows [][]string) {
	header = []string{
		"K", "RESIDUE", "PAPER", "REPRODUCED", "TRAFFIC", "PAPER", "REPRODUCED", "T_AVE", "PAPER", "T_LAST",
		"PAPER", "REPRODUCED",
	}
	for i, found := range p.found {
		row := &p.rows[i]
		cells := []string{strconv.Itoa(row.K)}
		add := func(write func(float64) string, ours float64, theirs ...float64) {
			cells = append(cells, write(ours))
			for _, v := range theirs {
				if v == 0 {
					cells = append(cells, "-")
				} else {
					cells = append(cells, write(v))
				}
			}
		}
		add(plain, found.Residue, row.Paper.Residue, row.Reproduced.Residue)
		add(digits, found.Traffic, row.Paper.Traffic, row.Reproduced.Traffic)
		add(digits, found.TAve, row.Paper.TAve)
		add(digits, found.TLast, row.Paper.TLast, row.Reproduced.TLast)
		rows = append(rows, cells)
	}
	return header, rows
}

// plain writes a residue as the paper does.
func plain(v float64) string { return humanize.FtoaWithDigits(v, 6) }
