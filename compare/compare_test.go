// Package compare runs busnode and GossipSub side by side on one simulated
// network. README.md says how to run it and how to read what it prints.
package compare

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var (
	full     = flag.Bool("compare.full", false, "run the whole table, some minutes, and print it")
	jsonFile = flag.String("compare.json", "", "also write the table's results to this `file`, a line of JSON each")
	seed     = flag.Uint64("compare.seed", 1, "what identities, overlays and payloads are drawn from")
)

func TestBusnodeDeliversOnceAndInOrderWithFewerBytesThanGossipSub(t *testing.T) {
	pair := runBoth(t, conditions{
		Nodes: 20, Payload: 1 << 10, Interval: 50 * time.Millisecond, WarmUp: 60, Measured: 60,
	})
	g, b := pair[0], pair[1]
	if b.Delivered != b.Expected {
		t.Errorf("busnode delivered %d of %d", b.Delivered, b.Expected)
	}
	if b.Faults != (faults{}) {
		t.Errorf("busnode delivered what it should not have: %+v", b.Faults)
	}
	if b.Copies < 1 || b.Copies > 1.3 {
		t.Errorf("busnode: %.2f copies per event and node, want 1 to 1.3", b.Copies)
	}
	if g.Delivered != g.Expected || g.Copies < 1 {
		t.Errorf("GossipSub delivered %d of %d in %.2f copies: is the comparison fair?", g.Delivered, g.Expected, g.Copies)
	}
	if b.BytesPerByte >= g.BytesPerByte {
		t.Errorf("%.2f bytes per useful byte, GossipSub needs %.2f", b.BytesPerByte, g.BytesPerByte)
	}
}

// The rows of the table. Sixty-four KiB come at a rate at which
// GossipSub's copies do not fill the links either.
func rows() (all []conditions) {
	for _, nodes := range []int{20, 50, 100} {
		all = append(all,
			conditions{Nodes: nodes, Payload: 128, Interval: 50 * time.Millisecond, WarmUp: 200, Measured: 200},
			conditions{Nodes: nodes, Payload: 1 << 10, Interval: 50 * time.Millisecond, WarmUp: 200, Measured: 200},
			conditions{Nodes: nodes, Payload: 64 << 10, Interval: 500 * time.Millisecond, WarmUp: 80, Measured: 20})
	}
	return append(all, conditions{Nodes: 100, Payload: 1 << 10, Interval: 50 * time.Millisecond, Measured: 40})
}

func TestTable(t *testing.T) {
	if !*full {
		t.Skip("takes minutes; -compare.full runs it")
	}
	var pairs [][2]result
	for _, c := range rows() {
		t.Run(c.String(), func(t *testing.T) { pairs = append(pairs, runBoth(t, c)) })
	}
	writeConditions(os.Stdout, *seed)
	err := writeTable(os.Stdout, pairs)
	if *jsonFile != "" {
		err = errors.Join(err, writeFile(*jsonFile, pairs))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runBoth runs both systems under the same conditions.
func runBoth(t *testing.T, c conditions) (pair [2]result) {
	t.Helper()
	c.Degree, c.Seed = min(meanDegree, c.Nodes-1), *seed
	for i, with := range contenders {
		if !t.Run(with.name, func(t *testing.T) { pair[i] = run(t, with, c) }) {
			t.FailNow()
		}
		if *full {
			fmt.Fprintf(os.Stderr, "%s, %s: %.0f s\n", c, with.name, pair[i].Real.Seconds())
		}
	}
	return pair
}

func writeFile(name string, pairs [][2]result) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(writeJSON(f, pairs), f.Close())
}

func TestOverlay(t *testing.T) {
	for _, n := range []int{3, 20, 100} {
		edges := newOverlay(n, meanDegree, *seed)
		if want := min(n*meanDegree/2, n*(n-1)/2); len(edges) != want {
			t.Errorf("%d nodes have %d edges, want %d", n, len(edges), want)
		}
		if !connected(n, edges) {
			t.Errorf("the overlay of %d nodes is in parts", n)
		}
	}
}

func TestRecorderNotesWhatShouldNotArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const payload = 16
		r := newRecorder(2, *seed)
		first, second := r.next(0, payload), r.next(0, payload)
		time.Sleep(latency)
		r.received(0, first) // the publisher's own
		r.received(1, second)
		r.received(1, first)
		r.received(1, first)
		r.received(1, second[:payload-1])
		if got, want := r.faultsSoFar(), (faults{Foreign: 1, Twice: 1, OutOfOrder: 1}); got != want {
			t.Errorf("faults %+v, want %+v", got, want)
		}
		for from, want := range []int{2, 1, 0} {
			if latencies, expected := r.arrived(from); len(latencies) != want || expected != want {
				t.Errorf("from event %d on: %d of %d arrivals, want %d", from, len(latencies), expected, want)
			}
		}
	})
}
