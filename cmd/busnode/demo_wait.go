package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

const (
	demoTopic = "demo"
	demoPoll  = 10 * time.Millisecond
	// demoPatience is how long a step may take before the demo has failed.
	demoPatience = 15 * time.Second
)

// publish publishes events on nodes in turn, a share each, and notes them in the ledger.
func (d *demo) publish(ctx context.Context, on []*demoProcess, events int) error {
	for i, n := range on {
		share := events / len(on)
		if i < events%len(on) {
			share++
		}
		if err := d.publishOn(ctx, n, share); err != nil {
			return fmt.Errorf("publish on %s: %w", n.name, err)
		}
	}
	return nil
}

func (d *demo) publishOn(ctx context.Context, n *demoProcess, events int) error {
	var body []byte
	payloads := make([]string, events)
	for i := range payloads {
		n.published++
		payloads[i] = n.name + " " + strconv.Itoa(n.published)
		body = api.AppendPublication(body, &api.Publication{Payload: []byte(payloads[i])})
	}
	var ids []api.EventID
	_, err := n.client.Publish(ctx, api.PublishRequest{Topic: demoTopic, IDs: true}, bytes.NewReader(body),
		func(lines []byte) error {
			for line := range bytes.Lines(lines) {
				var id api.EventID
				if err := json.Unmarshal(line, &id); err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return nil
		})
	if err != nil {
		return err
	}
	if len(ids) != events {
		return fmt.Errorf("%d IDs came back for %d events", len(ids), events)
	}
	for i, id := range ids {
		d.ledger.add(id, payloads[i])
	}
	return nil
}

// publishAndWait publishes on some nodes and waits until all of those at hold
// everything published so far. The time runs from the end of publishing.
func (d *demo) publishAndWait(ctx context.Context, on []*demoProcess, events int, at []*demoProcess) (duration, error) {
	if err := d.publish(ctx, on, events); err != nil {
		return 0, err
	}
	return d.awaitAll(ctx, at, time.Now())
}

// awaitAll waits until the nodes hold everything published so far.
func (d *demo) awaitAll(ctx context.Context, at []*demoProcess, since time.Time) (duration, error) {
	err := d.awaitHeld(ctx, at, d.ledger.len())
	return duration(time.Since(since)), err
}

func (d *demo) awaitHeld(ctx context.Context, at []*demoProcess, events int) error {
	return d.await(ctx, at, fmt.Sprintf("holding %d events", events),
		func(ctx context.Context, n *demoProcess) (bool, error) {
			held, err := n.heldNow(ctx)
			d.show.held(n.name, held, events)
			return held == events, err
		})
}

// block cuts all connections between the halves and waits until they are gone.
func (d *demo) block(ctx context.Context, left, right []*demoProcess) error {
	for _, half := range [][2][]*demoProcess{{left, right}, {right, left}} {
		for _, n := range half[0] {
			if err := n.client.Block(ctx, nodeIDs(half[1])); err != nil {
				return fmt.Errorf("cut off %s: %w", n.name, err)
			}
		}
	}
	for _, half := range [][]*demoProcess{left, right} {
		err := d.await(ctx, half, "cut off", func(ctx context.Context, n *demoProcess) (bool, error) {
			peers, err := n.client.Peers(ctx)
			return len(peers) == len(half)-1, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func nodeIDs(nodes []*demoProcess) []string {
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.id
	}
	return ids
}

// await asks each node again and again until all are ready.
func (d *demo) await(
	ctx context.Context, nodes []*demoProcess, what string, ready func(context.Context, *demoProcess) (bool, error),
) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, timeoutf("no progress"))
	defer cancel()
	for _, n := range nodes {
		for {
			ok, err := ready(ctx, n)
			if ok && err == nil {
				break
			}
			if err == nil {
				err = pause(ctx, demoPoll)
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s is not %s after %v: %w", n.name, what, demoPatience, context.Cause(ctx))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// heldNow asks how many of the demo's events the node holds.
func (n *demoProcess) heldNow(ctx context.Context) (int, error) {
	topics, err := n.client.Topics(ctx)
	for _, t := range topics {
		if t.Topic == demoTopic {
			return int(t.Events), err
		}
	}
	return 0, err
}
