package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/cmd/busnode/internal/api"
	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
	"github.com/busnode/busnode/gossip"
)

// nodeFlags are the settings of a node: all of them for run, those that say
// who it is and whom it meets for a short-lived one.
type nodeFlags struct {
	data           string
	listen, peers  []string
	forward        []string
	network, psk   string
	noMDNS         bool
	noPeerExchange bool
	multicast      string
	interfaces     []string
	multicastOpen  bool
	allow          string
	sync           string
	retainAge      time.Duration
	retainBytes    quantity.Size
	logFormat      string
	logLevel       string
}

func (a *app) dataFlag(fs *pflag.FlagSet, to *string) {
	fs.StringVar(to, "data", defaultDataDir(a.lookupEnv), "the node's data `directory`")
}

// addJoining adds the flags that any node has.
func (f *nodeFlags) addJoining(a *app, fs *pflag.FlagSet, logLevel string) {
	a.dataFlag(fs, &f.data)
	fs.StringArrayVar(&f.listen, "listen", nil,
		"listen on this `multiaddr`; repeats (default all interfaces, TCP and QUIC, free ports)")
	fs.StringArrayVar(&f.peers, "peer", nil, "stay connected to this `multiaddr`, with /p2p/ID; repeats")
	fs.StringVar(&f.network, "network", bus.DefaultNetwork, "`name` of the network; nodes of others are refused")
	fs.StringVar(&f.psk, "psk", "", "`file` with the network's key, see keygen; nodes without it are refused")
	fs.BoolVar(&f.noMDNS, "no-mdns", false, "neither look for nodes to connect to on the local network nor be found")
	fs.BoolVar(&f.noPeerExchange, "no-peer-exchange", false,
		"neither tell peers of others nor connect to those that they tell of")
	fs.StringVar(&f.allow, "allow", "",
		"deal with the peers in this `file` alone, a peer ID a line; they agree on a key for multicast")
	f.multicast = bus.MulticastFallback.String()
	fs.Var(choice{&f.multicast, []string{"off", "fallback", "always"}}, "multicast",
		"send by multicast never, where streams fail, or first")
	fs.StringArrayVar(&f.interfaces, "multicast-interface", nil,
		"use multicast on this interface; `name` may hold * and ?; repeats (default those that suit)")
	fs.BoolVar(&f.multicastOpen, "multicast-open", false,
		"in a network without a key, multicast so that anybody who knows its name can read along")
	choiceFlag(fs, &f.logFormat, "log-format", "log as", "text", "json")
	f.logLevel = logLevel
	fs.Var(choice{&f.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "log from this level on")
}

// addHolding adds the flags of a node that stays.
func (f *nodeFlags) addHolding(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.forward, "topic", nil, "hold the topics of this `filter` for the node itself; repeats")
	choiceFlag(fs, &f.sync, "sync", "when to sync the log to disk", "always", "interval", "never")
	fs.DurationVar(&f.retainAge, "retain-age", 0, "remove events older than this `duration` (default never)")
	fs.Var(&f.retainBytes, "retain-bytes", "remove the oldest events when the log exceeds this `size` (default never)")
}

// options turns the flags into options of the bus, without the data directory.
func (f *nodeFlags) options(logger *slog.Logger) ([]bus.Option, error) {
	opts := []bus.Option{bus.WithNetwork(f.network), bus.WithLogger(logger)}
	if f.psk != "" {
		key, err := bus.LoadNetworkKey(f.psk)
		if err != nil {
			return nil, fmt.Errorf("--psk: %w", err)
		}
		opts = append(opts, bus.WithNetworkKey(key))
	}
	if len(f.listen) > 0 {
		opts = append(opts, bus.WithListen(f.listen...))
	}
	if len(f.peers) > 0 {
		opts = append(opts, bus.WithPeers(f.peers...))
	}
	if len(f.forward) > 0 {
		opts = append(opts, bus.WithForward(f.forward...))
	}
	if f.noMDNS {
		opts = append(opts, bus.WithoutMDNS())
	}
	if f.noPeerExchange {
		cfg := gossip.DefaultConfig()
		cfg.NoPeerExchange = true
		opts = append(opts, bus.WithGossip(cfg))
	}
	if f.allow != "" {
		allowed, err := readAllowed(f.allow)
		if err != nil {
			return nil, err
		}
		opts = append(opts, bus.WithAllowedPeers(allowed...))
	}
	multicast, err := f.multicastOption()
	if err != nil {
		return nil, err
	}
	return append(opts, multicast, bus.WithEventLog(bus.LogConfig{
		Sync: syncPolicy(f.sync), Age: f.retainAge, Bytes: int64(f.retainBytes),
	})), nil
}

// multicastOption turns the flags of multicast into the bus's option.
func (f *nodeFlags) multicastOption() (bus.Option, error) {
	mode, err := bus.ParseMulticastMode(f.multicast)
	if err != nil {
		return nil, err
	}
	var opts []bus.MulticastOption
	if len(f.interfaces) > 0 {
		opts = append(opts, bus.MulticastInterfaces(f.interfaces...))
	}
	if f.multicastOpen {
		opts = append(opts, bus.MulticastOpen())
	}
	return bus.WithMulticast(mode, opts...), nil
}

func syncPolicy(name string) bus.SyncPolicy {
	switch name {
	case "interval":
		return bus.SyncInterval
	case "never":
		return bus.SyncNever
	}
	return bus.SyncAlways
}

func (a *app) logger(f *nodeFlags) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		level = slog.LevelInfo // the flag's own check lets no other text through
	}
	opts := &slog.HandlerOptions{Level: level}
	if f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, opts))
	}
	return slog.New(slog.NewTextHandler(a.stderr, opts))
}

func needDataDir(dir string) error {
	if dir == "" {
		return usagef("no data directory: give --data DIR")
	}
	return nil
}

// inUse explains that a directory's node is not this process's.
func inUse(dir string, err error) error {
	if errors.Is(err, bus.ErrInUse) {
		return fmt.Errorf("another process uses %s: stop it, or give each node a --data directory of its own", dir)
	}
	return err
}

// session is a node that a command works with: one that runs elsewhere, or a
// short-lived one of the command's own.
type session struct {
	*api.Client
	own     bool // the node ends with the command
	kept    bool // what is published is in a log that outlives the command
	closers []func()
}

func (s *session) close() {
	s.Client.Close()
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

// running connects to the node that runs on dir.
func running(ctx context.Context, dir string) (*session, error) {
	if err := needDataDir(dir); err != nil {
		return nil, err
	}
	conn, err := api.Dial(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("no node runs on %s: start one with busnode run --data %s", dir, dir)
	}
	_ = conn.Close() // it only showed that someone answers
	return &session{Client: api.NewClient(func(ctx context.Context) (net.Conn, error) { return api.Dial(ctx, dir) })}, nil
}

// inUseRetry and inUseFor pace a command that finds a directory in use with
// nobody answering: a node that is starting or ending, or another command.
const (
	inUseRetry = 50 * time.Millisecond
	inUseFor   = 5 * time.Second
)

// join connects to the node on the data directory, or else starts a
// short-lived one: with the directory's identity and log if it has them or
// durable asks for it, else a temporary one.
func (a *app) join(ctx context.Context, f *nodeFlags, durable bool) (*session, error) {
	deadline := time.Now().Add(inUseFor)
	for {
		if f.data != "" {
			if s, err := running(ctx, f.data); err == nil {
				return s, nil
			}
		}
		s, err := a.startOwn(ctx, f, durable)
		if !errors.Is(err, bus.ErrInUse) || time.Now().After(deadline) {
			return s, inUse(f.data, err)
		}
		select {
		case <-time.After(inUseRetry):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (a *app) startOwn(ctx context.Context, f *nodeFlags, durable bool) (*session, error) {
	logger := a.logger(f)
	opts, err := f.options(logger)
	if err != nil {
		return nil, err
	}
	kept := durable || hasNode(f.data)
	if kept {
		if err := needDataDir(f.data); err != nil {
			return nil, err
		}
		opts = append(opts, bus.WithDataDir(f.data))
	}
	b, err := bus.Open(ctx, opts...)
	if err != nil {
		return nil, err
	}
	s := &session{own: true, kept: kept}
	s.serve(b, api.Node{Network: f.network, Version: currentVersion().Version, Logger: logger})
	return s, nil
}

// serve lets the client talk to b as it would to a node of another process.
func (s *session) serve(b *bus.Bus, node api.Node) {
	pipe := api.NewPipe()
	server := api.NewServer(b, node)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(pipe); err != nil {
			node.Logger.Error("api ended", "err", err)
		}
	}()
	s.Client = api.NewClient(pipe.Dial)
	s.closers = append(s.closers, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopFor)
		defer cancel()
		err := server.Close(ctx)
		<-served
		if err := errors.Join(err, b.Close()); err != nil {
			node.Logger.Warn("close", "err", err)
		}
	})
}

// hasNode reports whether a node has run on dir before.
func hasNode(dir string) bool {
	if dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "identity"))
	return !errors.Is(err, fs.ErrNotExist)
}
