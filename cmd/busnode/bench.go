package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
)

type benchFlags struct {
	payload    quantity.Size
	events     int
	log        string
	sync       string
	publishers int
	data       string
}

// benchResult is what bench local measured, as --output json shows it.
type benchResult struct {
	Published      int     `json:"published"`
	Delivered      int     `json:"delivered"`
	Lost           int     `json:"lost"`
	Duplicates     int     `json:"duplicates"`
	OutOfOrder     int     `json:"out_of_order"`
	EventsPerS     float64 `json:"events_per_s"`
	MBPerS         float64 `json:"mb_per_s"`
	CPUSPerMillion float64 `json:"cpu_s_per_million"`
	P50Ms          float64 `json:"p50_ms"`
	P99Ms          float64 `json:"p99_ms"`
	Batches        uint64  `json:"batches"`
}

func (r *benchResult) asPromised() bool { return r.Lost == 0 && r.Duplicates == 0 && r.OutOfOrder == 0 }

func (r *benchResult) print(w *bytes.Buffer) {
	rows := [][]string{
		{"delivered", humanize.Comma(int64(r.Delivered)) + " of " + humanize.Comma(int64(r.Published))},
		{"rate", fmt.Sprintf("%s events/s, %.1f MB/s of payload", humanize.Comma(int64(r.EventsPerS)), r.MBPerS)},
		{"cpu", fmt.Sprintf("%.2f s per million events, both nodes", r.CPUSPerMillion)},
		{"latency", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", r.P50Ms, r.P99Ms)},
		{"batches", humanize.Comma(int64(r.Batches))},
		{"lost", fmt.Sprint(r.Lost)},
		{"duplicates", fmt.Sprint(r.Duplicates)},
		{"out of order", fmt.Sprint(r.OutOfOrder)},
	}
	_ = printTable(w, []string{"WHAT", "MEASURED"}, rows) // a buffer takes all
}

func (a *app) benchCommand() *cobra.Command {
	local := &cobra.Command{
		Use:   "local",
		Short: "Measure two nodes of one process over loopback TCP",
		Long: `Publish on one node and subscribe on another, both in this process, connected over
loopback TCP as any two nodes are. Time runs from the first Publish to the last event
handed to the subscription; latency from an event's own time.`,
		Example: "  busnode bench local --payload 128 --log disk --sync never",
	}
	f := &benchFlags{payload: 128}
	fs := local.Flags()
	fs.Var(&f.payload, "payload", "`size` of a payload")
	fs.IntVar(&f.events, "events", 0, "`number` of events (default 1000000, or as many as make 512 MiB)")
	choiceFlag(fs, &f.log, "log", "where both nodes keep their log", "memory", "disk")
	choiceFlag(fs, &f.sync, "sync", "when a log on disk is synced", "always", "interval", "never")
	fs.IntVar(&f.publishers, "publishers", 1, "`number` of goroutines that publish")
	fs.StringVar(&f.data, "data", "", "keep logs on disk in this `directory` (default a temporary one)")
	a.does(local, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return a.benchLocal(ctx, f)
	})
	return group(&cobra.Command{Use: "bench", Short: "Measure"}, local, a.benchReconcileCommand())
}

const (
	benchEventsDefault = 1_000_000
	benchBytesDefault  = 512 << 20
)

func (f *benchFlags) check() error {
	if f.events == 0 {
		f.events = int(min(benchEventsDefault, benchBytesDefault/max(int64(f.payload), 1)))
	}
	switch {
	case f.events < 1:
		return usagef("--events %d: want 1 or more", f.events)
	case f.publishers < 1 || f.publishers > f.events:
		return usagef("--publishers %d: want 1 to the number of events", f.publishers)
	}
	return nil
}

func (a *app) benchLocal(ctx context.Context, f *benchFlags) error {
	dir, remove, err := f.dataDir()
	if err != nil {
		return err
	}
	defer remove()
	warnings := slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})
	b := &bench{flags: f, show: a.newDisplay(), logger: slog.New(warnings)}
	defer b.show.stop()
	if err := b.open(ctx, dir); err != nil {
		return errors.Join(err, b.close())
	}
	result, err := b.run(ctx)
	b.show.stop()
	if err = errors.Join(err, b.close()); err != nil {
		return err
	}
	if err := a.printResult(result, result.print); err != nil {
		return err
	}
	if !result.asPromised() {
		return fmt.Errorf("%d lost, %d duplicates, %d out of order", result.Lost, result.Duplicates, result.OutOfOrder)
	}
	return nil
}

// dataDir returns a fresh directory for this run's logs.
func (f *benchFlags) dataDir() (dir string, remove func(), err error) {
	if f.log == "memory" {
		return "", func() {}, nil
	}
	if f.data != "" {
		if err := os.MkdirAll(f.data, 0o700); err != nil {
			return "", nil, err
		}
	}
	dir, err = os.MkdirTemp(f.data, "busnode-bench-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil // what is left lies where the user was told
}

// bench is one run: two nodes, and what passes between them.
type bench struct {
	flags    *benchFlags
	show     *display
	logger   *slog.Logger
	from, to *bus.Bus
}

const benchTopic = "bench"

// open starts both nodes and waits until they know each other's interest.
func (b *bench) open(ctx context.Context, dir string) (err error) {
	b.show.begin("connecting two nodes")
	if b.from, err = b.openNode(ctx, dir, "from"); err != nil {
		return err
	}
	if b.to, err = b.openNode(ctx, dir, "to", bus.WithPeers(b.from.Addrs()...)); err != nil {
		return err
	}
	return nil
}

func (b *bench) openNode(ctx context.Context, dir, name string, opts ...bus.Option) (*bus.Bus, error) {
	opts = append(opts,
		bus.WithListen("/ip4/127.0.0.1/tcp/0"), bus.WithoutMDNS(), bus.WithNetwork(fmt.Sprintf("bench-%d", os.Getpid())),
		bus.WithLogger(b.logger), bus.WithEventLog(bus.LogConfig{Sync: syncPolicy(b.flags.sync)}))
	if dir != "" {
		opts = append(opts, bus.WithDataDir(filepath.Join(dir, name)))
	}
	return bus.Open(ctx, opts...)
}

func (b *bench) close() error {
	var errs []error
	for _, node := range []*bus.Bus{b.to, b.from} { // the one that dials first, or it would miss the other
		if node != nil {
			errs = append(errs, node.Close())
		}
	}
	return errors.Join(errs...)
}

// connectFor bounds how long two nodes of one process may take to find each other.
const connectFor = 10 * time.Second

func (b *bench) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, connectFor, timeoutf("the nodes have not connected after %v", connectFor))
	defer cancel()
	for len(b.from.Peers()) == 0 || len(b.to.Peers()) == 0 {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
