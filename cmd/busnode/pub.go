package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/cmd/busnode/internal/api"
	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
)

type pubFlags struct {
	node     nodeFlags
	key      string
	headers  []string
	count    int
	size     quantity.Size
	rate     quantity.Rate
	waitHeld int
	timeout  time.Duration
}

func (a *app) pubCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pub TOPIC [PAYLOAD]",
		Short: "Publish events",
		Long: `Publish PAYLOAD; or generated events, with --count or --size; or an event for each
line of standard input.

With a node on --data the events go through it, and are held by it when pub ends.
Without, pub runs a node for itself, with the identity and log in --data if a node
has run there, else temporary ones. It finds others with --peer or mDNS, and ends when
one neighbour holds all events; if none does by --timeout, the exit code is 3.`,
		Example: `  busnode pub orders.eu '{"id":7}' --key 7 -H source:shop
  seq 1000 | busnode pub numbers --output jsonl
  busnode pub load --count 100000 --size 1KiB --rate 50Mbit --wait-held 2`,
	}
	f := &pubFlags{}
	fs := cmd.Flags()
	f.node.addJoining(a, fs, "warn")
	fs.StringVar(&f.key, "key", "", "`key` of the events (default none)")
	fs.StringArrayVarP(&f.headers, "header", "H", nil, "a header as `name:value`; repeats")
	fs.IntVar(&f.count, "count", 0, "publish this `number` of events: PAYLOAD again and again, or generated ones")
	fs.Var(&f.size, "size", "size of generated payloads (default 128)")
	fs.Var(&f.rate, "rate", "at most this fast: 500 is events a second, 100Mbit payload bits a second (default no limit)")
	fs.IntVar(&f.waitHeld, "wait-held", 0, "wait until this `number` of other nodes hold all")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second,
		"wait this long for other nodes to hold all, from the last event on")
	return a.does(cmd, 1, 2, resultOutputs, func(ctx context.Context, args []string) error {
		return a.publish(ctx, f, args)
	})
}

func (f *pubFlags) check(topic string) error {
	if err := bus.ValidTopic(topic); err != nil {
		return err
	}
	for _, h := range f.headers {
		if name, _, ok := strings.Cut(h, ":"); !ok || name == "" {
			return usagef("--header %q: write NAME:VALUE", h)
		}
	}
	switch {
	case f.count < 0:
		return usagef("--count %d: want 1 or more", f.count)
	case f.waitHeld < 0:
		return usagef("--wait-held %d: want 0 or more", f.waitHeld)
	case f.timeout < 0:
		return usagef("--timeout %v: want 0 or more", f.timeout)
	}
	return nil
}

func (a *app) publish(ctx context.Context, f *pubFlags, args []string) error {
	topic := args[0]
	if err := f.check(topic); err != nil {
		return err
	}
	src, err := f.source(a, args)
	if err != nil {
		return err
	}
	s, err := a.join(ctx, &f.node, false)
	if err != nil {
		return err
	}
	defer s.close()
	request := api.PublishRequest{Topic: topic, Headers: f.headers, IDs: a.output != outputText}
	if f.key != "" {
		request.Key = &f.key
	}
	printer := &idPrinter{app: a}
	published, err := send(ctx, s, request, src, &f.rate, printer.print)
	if err = errors.Join(err, printer.end()); err != nil {
		if published.Events > 0 {
			return fmt.Errorf("%w; what came before is published: %s", err, countOf(int(published.Events), "event"))
		}
		return err
	}
	return f.waitUntilHeld(ctx, s, published)
}

// waitUntilHeld waits for other nodes as the flags say; one that the command
// started itself must not end before a neighbour holds its events.
func (f *pubFlags) waitUntilHeld(ctx context.Context, s *session, published api.Published) error {
	nodes := f.waitHeld
	if s.own {
		nodes = max(nodes, 1)
	}
	if nodes == 0 || published.Last == nil {
		return nil
	}
	err := s.WaitHeld(ctx, *published.Last, nodes, f.timeout)
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeTimeout {
		return err
	}
	fate := "the node goes on spreading them"
	switch {
	case s.own && s.kept:
		fate = "they stay in the log and spread when a node runs on " + f.node.data
	case s.own:
		fate = "they are gone; give --peer, or run a node on " + f.node.data
	}
	return timeoutf("after %v fewer than %s hold all %s: %s",
		f.timeout, countOf(nodes, "other node"), countOf(int(published.Events), "event"), fate)
}

// send publishes what src gives, at the given rate.
func send(
	ctx context.Context, s *session, r api.PublishRequest, src source, rate *quantity.Rate, ids func(lines []byte) error,
) (api.Published, error) {
	in, out := io.Pipe()
	feeding, cancel := context.WithCancel(ctx)
	defer cancel()
	fed := make(chan error, 1)
	go func() {
		fed <- feed(feeding, bufio.NewWriterSize(out, 64<<10), src, rate)
		_ = out.Close() // never fails; what was fed before an error is to be published
	}()
	published, err := s.Publish(ctx, r, in, ids)
	_ = in.Close() // never fails; stops a feed that is writing, and leaves behind one that waits for input
	if err != nil {
		return published, err
	}
	return published, <-fed
}

// feed writes a line for each event. Lines gather until the buffer is full or
// the next event has to be waited for.
func feed(ctx context.Context, w *bufio.Writer, src source, rate *quantity.Rate) error {
	start := time.Now()
	var line []byte
	var sent int64
	for n := 0; ; n++ {
		wait := time.Until(start.Add(rate.At(n, sent)))
		if wait > 0 || src.blocks() {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		payload, err := src.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(w.Flush(), err)
		}
		sent += int64(len(payload))
		line = api.AppendPublication(line[:0], &api.Publication{Payload: payload})
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
}

// idPrinter writes the lines of IDs of published events.
type idPrinter struct {
	app   *app
	lines []byte // until the end, for one document
}

func (p *idPrinter) print(lines []byte) error {
	if p.app.output == outputJSON {
		p.lines = append(p.lines, lines...)
		return nil
	}
	_, err := p.app.stdout.Write(lines)
	return err
}

func (p *idPrinter) end() error {
	if p.app.output != outputJSON {
		return nil
	}
	ids := []json.RawMessage{}
	for line := range bytes.Lines(p.lines) {
		ids = append(ids, line)
	}
	return printJSON(p.app.stdout, ids, outputJSON)
}
