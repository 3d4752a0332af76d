package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// demoResult is what demo found, as --output json shows it.
type demoResult struct {
	Published int          `json:"published"`
	Nodes     []demoNode   `json:"nodes"`
	Repairs   []demoRepair `json:"repairs"`
	Seconds   float64      `json:"seconds"`
}

type demoNode struct {
	Name       string `json:"name"`
	Held       int    `json:"held"`
	Missing    int    `json:"missing"`
	Duplicates int    `json:"duplicates"`
	OutOfOrder int    `json:"out_of_order"`
}

func (n *demoNode) asPromised() bool { return n.Missing == 0 && n.Duplicates == 0 && n.OutOfOrder == 0 }

type demoRepair struct {
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
}

func (a *app) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show on this machine what a network of nodes survives",
		Long: `Start nodes as processes of their own, with logs on disk, connected over loopback.
Publish on several; cut the network in two and publish on both sides; heal it; kill a
node and start it again; add one that joins late. Then read every node's log and
compare it with what was published. The exit code is 0 only if every node has every
event, once, and each publisher's in order.`,
	}
	var nodes, events int
	cmd.Flags().IntVar(&nodes, "nodes", 5, "`number` of nodes, 3 to 20; one more joins late")
	cmd.Flags().IntVar(&events, "events", 1000, "`number` of events, 20 to 1000000")
	return a.does(cmd, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		switch {
		case nodes < 3 || nodes > 20:
			return usagef("--nodes %d: want 3 to 20", nodes)
		case events < 20 || events > 1_000_000:
			return usagef("--events %d: want 20 to 1000000", events)
		}
		return a.demo(ctx, nodes, events)
	})
}

func (a *app) demo(ctx context.Context, nodes, events int) error {
	start := time.Now()
	dir, err := os.MkdirTemp("", "busnode-demo-")
	if err != nil {
		return err
	}
	d := &demo{
		dir: dir, show: a.newDisplay(), ledger: newLedger(), network: "demo-" + strconv.Itoa(os.Getpid()), size: nodes,
	}
	defer d.end()
	err = d.play(ctx, events)
	d.show.stop()
	if err != nil && ctx.Err() == nil {
		d.printLogs(a.stderr)
	}
	if d.result.Nodes == nil {
		return err
	}
	d.result.Seconds = seconds(time.Since(start))
	return errors.Join(a.printResult(d.result, d.result.print), err)
}

// print writes the closing table.
func (r *demoResult) print(w *bytes.Buffer) {
	rows := make([][]string, len(r.Nodes))
	for i, n := range r.Nodes {
		rows[i] = []string{
			n.Name, humanize.Comma(int64(n.Held)),
			strconv.Itoa(n.Missing), strconv.Itoa(n.Duplicates), strconv.Itoa(n.OutOfOrder),
		}
	}
	fmt.Fprintf(w, "\n%s events published\n\n", humanize.Comma(int64(r.Published)))
	_ = printTable(w, []string{"NODE", "HELD", "MISSING", "DUPLICATES", "OUT OF ORDER"}, rows) // a buffer takes all
	fmt.Fprintln(w)
	rows = rows[:0]
	for _, p := range r.Repairs {
		rows = append(rows, []string{p.What, fmt.Sprintf("%.2f s", p.Seconds)})
	}
	_ = printTable(w, []string{"REPAIR", "TIME UNTIL ALL WAS HELD"}, rows) // a buffer takes all
	fmt.Fprintf(w, "\ndone in %.1f s\n", r.Seconds)
}

// demo is one run of the script.
type demo struct {
	dir     string
	network string
	size    int // nodes at the start
	nodes   []*demoProcess
	show    *display
	ledger  *ledger
	result  demoResult
}

// play runs the script, then compares.
func (d *demo) play(ctx context.Context, events int) error {
	quarter := events / 4
	steps := []func(context.Context) error{
		d.startAll,
		func(ctx context.Context) error { return d.calm(ctx, quarter) },
		func(ctx context.Context) error { return d.cut(ctx, quarter) },
		func(ctx context.Context) error { return d.crash(ctx, quarter) },
		func(ctx context.Context) error { return d.late(ctx, events-3*quarter) },
		d.compare,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) startAll(ctx context.Context) error {
	d.show.begin("starting %d nodes, each a process with a log on disk", d.size)
	for i := range d.size {
		if err := d.startNode(ctx, i+1, d.nodes); err != nil {
			return err
		}
	}
	if err := d.await(ctx, d.nodes, "connected", func(ctx context.Context, n *demoProcess) (bool, error) {
		peers, err := n.client.Peers(ctx)
		return len(peers) == d.size-1, err
	}); err != nil {
		return err
	}
	d.show.done("%d nodes run and are connected to each other", d.size)
	return nil
}

// calm publishes on every other node while all is well.
func (d *demo) calm(ctx context.Context, events int) error {
	var on []*demoProcess
	for i := 0; i < d.size; i += 2 {
		on = append(on, d.nodes[i])
	}
	d.show.begin("publishing %d events on %s", events, nodeNames(on))
	took, err := d.publishAndWait(ctx, on, events, d.nodes)
	if err != nil {
		return err
	}
	d.show.done("%d events published on %s; all nodes hold them %s", events, nodeNames(on), took.after())
	return nil
}

// cut splits the network in halves that refuse each other, publishes on both
// sides, and heals it.
func (d *demo) cut(ctx context.Context, events int) error {
	left, right := d.nodes[:d.size/2], d.nodes[d.size/2:]
	d.show.begin("cutting the network: %s | %s", nodeNames(left), nodeNames(right))
	if err := d.block(ctx, left, right); err != nil {
		return err
	}
	d.show.done("network cut: %s | %s", nodeNames(left), nodeNames(right))
	on := []*demoProcess{left[0], right[0]}
	d.show.begin("publishing %d events on both sides of the cut", events)
	if err := d.publishApart(ctx, left, right, events); err != nil {
		return err
	}
	d.show.done("%d events published on %s; each side holds its own only", events, nodeNames(on))
	d.show.begin("healing the network")
	healed := time.Now()
	for _, n := range d.nodes {
		if err := n.client.Block(ctx, nil); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	took, err := d.awaitAll(ctx, d.nodes, healed)
	if err != nil {
		return err
	}
	d.repaired("network cut in two, then healed", took)
	d.show.done("network healed; all nodes hold all %d events %s", d.ledger.len(), took.after())
	return nil
}

// publishApart publishes on both sides and checks that nothing crosses.
func (d *demo) publishApart(ctx context.Context, left, right []*demoProcess, events int) error {
	before := d.ledger.len()
	if err := d.publish(ctx, left[:1], events/2); err != nil {
		return err
	}
	if err := d.publish(ctx, right[:1], events-events/2); err != nil {
		return err
	}
	if err := d.awaitHeld(ctx, left, before+events/2); err != nil {
		return err
	}
	return d.awaitHeld(ctx, right, before+events-events/2)
}

// crash kills a node, publishes without it, and starts it again.
func (d *demo) crash(ctx context.Context, events int) error {
	victim := d.nodes[2]
	others := append(append([]*demoProcess{}, d.nodes[:2]...), d.nodes[3:]...)
	on := d.nodes[:2]
	d.show.begin("killing %s with SIGKILL, publishing %d events on %s", victim.name, events, nodeNames(on))
	victim.kill()
	took, err := d.publishAndWait(ctx, on, events, others)
	if err != nil {
		return err
	}
	d.show.done("%s killed; %d events published without it, held by the others %s", victim.name, events, took.after())
	d.show.begin("starting %s again", victim.name)
	restarted := time.Now()
	if err := victim.start(ctx); err != nil {
		return err
	}
	if took, err = d.awaitAll(ctx, d.nodes, restarted); err != nil {
		return err
	}
	d.repaired(victim.name+" killed, then started again", took)
	d.show.done("%s started again; it holds all %d events %s", victim.name, d.ledger.len(), took.after())
	return nil
}

// late adds a node that knows only the one that was killed, and publishes on both.
func (d *demo) late(ctx context.Context, events int) error {
	via := d.nodes[2]
	d.show.begin("adding a node that joins late, through %s", via.name)
	joined := time.Now()
	if err := d.startNode(ctx, d.size+1, []*demoProcess{via}); err != nil {
		return err
	}
	newcomer := d.nodes[d.size]
	took, err := d.awaitAll(ctx, []*demoProcess{newcomer}, joined)
	if err != nil {
		return err
	}
	d.repaired(newcomer.name+" joined late", took)
	d.show.done("%s joined; it holds all %d events %s", newcomer.name, d.ledger.len(), took.after())
	on := []*demoProcess{via, newcomer}
	d.show.begin("publishing %d events on %s", events, nodeNames(on))
	if took, err = d.publishAndWait(ctx, on, events, d.nodes); err != nil {
		return err
	}
	d.show.done("%d events published on %s; all nodes hold them %s", events, nodeNames(on), took.after())
	return nil
}

// compare reads every node's log from its start.
func (d *demo) compare(ctx context.Context) error {
	d.show.begin("reading every node's log from its start")
	d.result.Published = d.ledger.len()
	found := make([]demoNode, len(d.nodes))
	errs := make([]error, len(d.nodes))
	var reading sync.WaitGroup
	for i, n := range d.nodes {
		reading.Go(func() { found[i], errs[i] = d.ledger.compare(ctx, n) })
	}
	reading.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.result.Nodes = found
	var broken []string
	for _, n := range found {
		if !n.asPromised() {
			broken = append(broken, n.Name)
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("not as promised on %s", strings.Join(broken, ", "))
	}
	d.show.done("every node's log read and compared with what was published")
	return nil
}

func (d *demo) repaired(what string, took duration) {
	d.result.Repairs = append(d.result.Repairs, demoRepair{What: what, Seconds: seconds(time.Duration(took))})
}

func nodeNames(nodes []*demoProcess) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	return strings.Join(names, " ")
}

// duration is a time taken, for prose.
type duration time.Duration

func (t duration) after() string { return fmt.Sprintf("after %.2f s", time.Duration(t).Seconds()) }

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
