package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

// ledger is what was published, as the publishers were told.
type ledger struct {
	entries map[api.EventID]entry
	counts  map[string]int // events by author
}

type entry struct {
	payload string
	place   int // among its author's events, over all its epochs
}

func newLedger() *ledger {
	return &ledger{entries: map[api.EventID]entry{}, counts: map[string]int{}}
}

func (l *ledger) len() int { return len(l.entries) }

func (l *ledger) add(id api.EventID, payload string) {
	l.entries[id] = entry{payload: payload, place: l.counts[id.Author]}
	l.counts[id.Author]++
}

const (
	readQuiet   = 300 * time.Millisecond // with all there, this long without another event is the end
	readPatient = 3 * time.Second        // with some missing
)

// compare reads a node's log as any subscriber would, and counts what differs
// from the ledger. What was never published counts as a duplicate would: an
// event too many.
func (l *ledger) compare(ctx context.Context, n *demoProcess) (found demoNode, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read the log of %s: %w", n.name, err)
		}
	}()
	found.Name = n.name
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := n.client.Subscribe(ctx, api.SubscribeRequest{Filter: demoTopic, From: "start"})
	if err != nil {
		return found, err
	}
	seen := map[api.EventID]bool{}
	last := map[string]int{}
	quiet := time.AfterFunc(readPatient, cancel)
	defer quiet.Stop()
	for {
		line, err := in.Next()
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			break
		}
		if err != nil {
			return found, err
		}
		got, err := api.ParseLine(line)
		if err != nil {
			return found, err
		}
		if got.Event != nil {
			l.check(&found, got.Event, seen, last)
		}
		if len(seen) == len(l.entries) {
			quiet.Reset(readQuiet)
			continue
		}
		quiet.Reset(readPatient)
	}
	found.Held = len(seen)
	found.Missing = len(l.entries) - len(seen)
	closing, cancelClosing := context.WithTimeout(context.WithoutCancel(ctx), stopFor)
	defer cancelClosing()
	return found, in.Close(closing)
}

func (l *ledger) check(found *demoNode, e *api.Event, seen map[api.EventID]bool, last map[string]int) {
	id := api.EventID{Topic: e.Topic, Author: e.Author, Epoch: e.Epoch, Seq: e.Seq}
	want, published := l.entries[id]
	if !published || want.payload != string(e.Payload) || seen[id] {
		found.Duplicates++
		return
	}
	seen[id] = true
	if before, ok := last[e.Author]; ok && want.place <= before {
		found.OutOfOrder++
		return
	}
	last[e.Author] = want.place
}
