package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/busnode/busnode/gossip/sim"
)

// simResult is what a simulation found, as --output json shows it.
type simResult struct {
	Nodes               int      `json:"nodes"`
	Residue             float64  `json:"residue"`
	Traffic             float64  `json:"traffic"`
	TAve                float64  `json:"t_ave"`
	TLast               float64  `json:"t_last"`
	Rounds              float64  `json:"rounds"`
	CopiesPerNode       float64  `json:"copies_per_node"`
	BytesPerNode        float64  `json:"bytes_per_node"`
	ControlBytesPerNode float64  `json:"control_bytes_per_node"`
	P50Ms               float64  `json:"p50_ms"`
	P99Ms               float64  `json:"p99_ms"`
	MaxMs               float64  `json:"max_ms"`
	HopsMax             int      `json:"hops_max"`
	Delivered           int      `json:"delivered"`
	Missing             int      `json:"missing"`
	Duplicates          int      `json:"duplicates"`
	RecoveryMs          *float64 `json:"recovery_ms"`
	Seed                uint64   `json:"seed"`
	Seconds             float64  `json:"seconds"`
	MemoryBytes         uint64   `json:"memory_bytes"`
}

// json returns the result as scripts get it.
func (s *simulation) json() simResult {
	r := &s.result
	j := simResult{
		Nodes: r.Nodes, Residue: finite(r.Residue), Traffic: finite(r.Traffic), TAve: finite(r.TAve),
		TLast: finite(r.TLast), Rounds: finite(r.Rounds), CopiesPerNode: finite(r.CopiesPerNode),
		BytesPerNode: finite(r.BytesPerNode), ControlBytesPerNode: finite(r.ControlBytesPerNode),
		P50Ms: milliseconds(r.P50), P99Ms: milliseconds(r.P99), MaxMs: milliseconds(r.Max), HopsMax: r.HopsMax,
		Delivered: r.Delivered, Missing: r.Missing, Duplicates: r.Duplicates, Seed: r.Seed, Seconds: s.seconds,
		MemoryBytes: s.memory,
	}
	if !s.flags.rounds && r.Recovery >= 0 {
		ms := milliseconds(r.Recovery)
		j.RecoveryMs = &ms
	}
	return j
}

// finite returns v without what arithmetic leaves beyond nine decimals, and 0 for what JSON
// cannot say.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return math.Round(v*1e9) / 1e9
}

// sim makes one simulation and shows what it found.
func (a *app) sim(ctx context.Context, f *simFlags) error {
	if err := f.fits(availableMemory()); err != nil {
		return err
	}
	defer a.hurry(f.nodes)()
	show := a.newDisplay()
	defer show.stop()
	show.begin("simulating %s", f.what())
	s, err := f.simulate(ctx, newProgress(show, f.weight()))
	show.stop()
	if err != nil {
		return err
	}
	if err := s.drawPictures(); err != nil {
		return err
	}
	return a.printResult(s.json(), s.print)
}

// what says in a few words what is simulated.
func (f *simFlags) what() string {
	text := humanize.Comma(int64(f.nodes)) + " nodes"
	if f.runs > 1 {
		text += ", " + humanize.Comma(int64(f.runs)) + " runs"
	}
	return text
}

func (s *simulation) print(w *bytes.Buffer) {
	rows := s.timeRows()
	help := "node: each but the publisher, so that one copy is the least; residue: what spreading missed, repaired or not."
	if s.flags.rounds {
		rows, help = s.roundsRows()
	}
	_ = printTable(w, []string{"FIGURE", "MEASURED", "MEANING"}, rows) // a buffer takes all
	fmt.Fprintf(w, "\n%s\n", help)
	fmt.Fprintf(w, "%s: %s, %s of memory\n", s.flags.what(), took(s.seconds), humanize.IBytes(s.memory))
	fmt.Fprintln(w, commandLine("busnode sim", s.flags.set))
}

// took writes how long something took.
func took(s float64) string {
	if s >= 100 {
		return (time.Duration(s) * time.Second).String()
	}
	return digits(s) + " s"
}

func (s *simulation) timeRows() [][]string {
	r := &s.result
	delivered := humanize.Comma(int64(r.Delivered)) + " of " + humanize.Comma(int64(r.Delivered+r.Missing))
	useful := ""
	if s.flags.payload > 0 {
		useful = fmt.Sprintf("; %.2f × the payload", r.BytesPerNode/float64(s.flags.payload))
	}
	recovery := "not in a minute"
	if r.Recovery >= 0 {
		recovery = millis(r.Recovery)
	}
	rows := [][]string{
		{"delivered", delivered, "events that a node can read, over all nodes that are up"},
		{"latency p50", millis(r.P50), "from an event's publishing to its delivery"},
		{"latency p99", millis(r.P99), ""},
		{"latency max", millis(r.Max), ""},
		{"hops", fmt.Sprint(r.HopsMax), "the longest way of a first copy"},
		{"copies", fmt.Sprintf("%.3f", r.CopiesPerNode), "payloads received, a node and event"},
		{"bytes", humanize.Comma(int64(r.BytesPerNode)) + " B", "of all messages, a node and event" + useful},
		{"control", humanize.Comma(int64(r.ControlBytesPerNode)) + " B", "of those without payload"},
		{"residue", percent(r.Residue), "share of nodes and events that spreading missed"},
		{"recovery", recovery, "from the last event, or the end of the last fault, until all held all"},
	}
	return rows
}

func (s *simulation) roundsRows() (rows [][]string, help string) {
	r := &s.result
	cycles := func(v float64) string { return digits(v) + " cycles" }
	rows = [][]string{
		{"residue", percent(r.Residue), "share of the nodes that an event missed"},
		{"traffic", digits(r.Traffic), "payloads sent, a node and event"},
		{"t_ave", cycles(r.TAve), "mean arrival, where it arrived"},
		{"t_last", cycles(r.TLast), "last arrival"},
		{"rounds", cycles(r.Rounds), "until nobody spread it any more"},
		{"hops", fmt.Sprint(r.HopsMax), "the longest way of a first copy"},
		{"bytes", humanize.Comma(int64(r.BytesPerNode)) + " B", "of all messages, a node and event"},
		{"control", humanize.Comma(int64(r.ControlBytesPerNode)) + " B", "of those without payload"},
	}
	law := sim.ResidueOfTraffic(r.Traffic)
	return rows, fmt.Sprintf("any kind of push leaves a residue of e^-traffic, here %s; pull and push-pull "+
		"leave less.", percent(law))
}
