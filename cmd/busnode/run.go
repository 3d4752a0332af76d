package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2/maybe"
	"github.com/spf13/cobra"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

// stopFor bounds a clean end: commands that are being served, then telling a
// neighbour what it lacks. Closing itself takes the rest of the two seconds that
// are promised.
const stopFor = 500 * time.Millisecond

func (a *app) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a node until Ctrl-C",
		Long: `Run a node until Ctrl-C or SIGTERM, which end it cleanly in under two seconds; a
second one ends it at once. Other commands with the same --data work through it.

DIR/addrs holds the node's multiaddrs, one a line, from when it accepts commands
until it ends.`,
		Example: `  busnode run --data /tmp/a --topic 'orders.>'
  busnode run --data /tmp/b --peer "$(head -1 /tmp/a/addrs)"`,
	}
	f := &nodeFlags{}
	f.addJoining(a, cmd.Flags(), "info")
	f.addHolding(cmd.Flags())
	return a.does(cmd, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		return a.runNode(ctx, f)
	})
}

func (a *app) runNode(ctx context.Context, f *nodeFlags) error {
	if err := needDataDir(f.data); err != nil {
		return err
	}
	logger := a.logger(f)
	opts, err := f.options(logger)
	if err != nil {
		return err
	}
	b, err := bus.Open(ctx, append(opts, bus.WithDataDir(f.data))...)
	if err != nil {
		return inUse(f.data, err)
	}
	following, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if f.allow != "" {
		wg.Go(func() { followAllowed(following, b, f.allow, logger) })
	}
	err = serveNode(ctx, b, f, logger)
	stop()
	wg.Wait()
	return errors.Join(err, endNode(b, logger))
}

// serveNode answers commands until ctx is done.
func serveNode(ctx context.Context, b *bus.Bus, f *nodeFlags, logger *slog.Logger) error {
	addrs := filepath.Join(f.data, "addrs")
	removeQuietly(addrs, logger) // of a process that died: nobody may take it for ours
	defer removeQuietly(addrs, logger)
	listener, err := api.Listen(f.data)
	if err != nil {
		return err
	}
	server := api.NewServer(b, api.Node{Network: f.network, Version: currentVersion().Version, Logger: logger})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err = writeAddrs(addrs, b.Addrs()); err == nil {
		logger.Info("node runs", "peer", b.ID(), "network", f.network, "addrs", b.Addrs(), "data", f.data)
		err = follow(ctx, b, addrs, served)
	}
	logger.Info("node ends")
	removeQuietly(addrs, logger) // before the socket goes, for the one stands for the other
	end, cancel := context.WithTimeout(context.Background(), stopFor)
	defer cancel()
	return errors.Join(err, server.Close(end))
}

// follow keeps the file of addresses up to date until ctx is done or the
// server fails.
func follow(ctx context.Context, b *bus.Bus, path string, served <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-b.AddrsChanged():
			if err := writeAddrs(path, b.Addrs()); err != nil {
				return err
			}
		}
	}
}

func writeAddrs(path string, addrs []string) error {
	if err := maybe.WriteFile(path, []byte(strings.Join(addrs, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("write addresses: %w", err)
	}
	return nil
}

func removeQuietly(path string, logger *slog.Logger) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		logger.Warn("remove file", "path", path, "err", err)
	}
}

// endNode lets a neighbour have what was published last, for a moment, and
// closes the bus.
func endNode(b *bus.Bus, logger *slog.Logger) error {
	published := b.Stats().Counters["published"] > 0
	if len(b.Peers()) == 0 {
		if published {
			logger.Warn("no neighbour is there to take what was published here; it stays in the log")
		}
		return b.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopFor)
	defer cancel()
	err := b.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		logger.Warn("no neighbour is known to hold all that was published here; it stays in the log")
		return nil
	}
	return err
}
