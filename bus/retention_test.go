package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
)

// The test of this file is of nodes that retain different amounts of the same
// topic: they must agree on what both may hold, without comparing it for ever.

const (
	retentionTopic  = "retained"
	retentionEvents = 400 // of each of two nodes, a kilobyte each
)

// TestRetentionsThatDifferAgree has two nodes publish and retain different
// amounts, both restart, and a third join. Whenever publishing pauses they come
// to rest: no exchange repeats and nothing trimmed comes back. Who joins gets
// what either of the others retains.
func TestRetentionsThatDifferAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &retentionRig{t: t, net: bustest.New(t, 0)}
		r.open(400 << 10)
		r.open(100 << 10)
		r.publish(0, retentionEvents)
		r.rest()
		large, small := r.held(0), r.held(1)
		for author, values := range large {
			if n := len(values); n < 100 || n > 300 || len(small[author]) > n/2 {
				t.Fatalf("of node %s, %d and %d events are retained: the test shows nothing", author, n, len(small[author]))
			}
			wantSuffix(t, values, small[author])
		}

		for i := range 2 {
			if err := r.net.Restart(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			r.subscribe(i)
			r.rest()
		}
		wantHeld(t, "restarted", r.held(0), large)
		wantHeld(t, "restarted", r.held(1), small)

		joiner := r.open(0)
		r.rest()
		wantHeld(t, "joined", r.held(joiner), large)
		wantHeld(t, "met a joiner", r.held(0), large)
		wantHeld(t, "met a joiner", r.held(1), small)

		r.publish(retentionEvents, 50)
		r.rest()
		for author, values := range r.held(joiner) {
			if want := append(large[author], values[len(values)-50:]...); !slices.Equal(values, want) {
				t.Errorf("the joiner holds %d of node %s, want %d", len(values), author, len(want))
			}
			wantSuffix(t, values, r.held(0)[author])
			wantSuffix(t, values, r.held(1)[author])
		}
	})
}

// retentionRig is nodes that hold one topic, each with a retention of its own.
type retentionRig struct {
	t     *testing.T
	net   *bustest.Network
	nodes int
}

// open opens a node that retains so many bytes; 0: all.
func (r *retentionRig) open(bytes int64) int {
	r.t.Helper()
	dir, retain := bus.WithDataDir(r.t.TempDir()), bus.WithEventLog(bus.LogConfig{TopicBytes: bytes})
	i, err := r.net.Add(r.t.Context(), dir, retain)
	if err != nil {
		r.t.Fatal(err)
	}
	r.nodes++
	r.subscribe(i)
	return i
}

func (r *retentionRig) topic(i int) bus.Topic[string] {
	r.t.Helper()
	return bustest.Topic(r.t, r.net.Bus(i), retentionTopic, bus.Text{})
}

// subscribe makes node i hold the topic.
func (r *retentionRig) subscribe(i int) { bustest.Subscribe(r.t, r.topic(i), bus.FromNow()) }

// publish has the first two nodes publish n kilobytes each, numbered from from.
func (r *retentionRig) publish(from, n int) {
	r.t.Helper()
	for i := range n {
		for x := range 2 {
			bustest.Publish(r.t, r.topic(x), fmt.Sprintf("%d %d %1000d", x, from+i, 0))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// rest gives the nodes two minutes, and checks that for ten more they do nothing.
func (r *retentionRig) rest() {
	r.t.Helper()
	time.Sleep(2 * time.Minute)
	before := make([]map[string]uint64, r.nodes)
	for i := range before {
		before[i] = r.net.Bus(i).Stats().Counters
	}
	time.Sleep(10 * time.Minute)
	for i := range before {
		after := r.net.Bus(i).Stats().Counters
		for _, name := range []string{
			"gossip_sessions", "gossip_heartbeats_stale", "gossip_wants_sent", "gossip_accepted", "gossip_refused_trimmed",
		} {
			if after[name] != before[i][name] {
				r.t.Errorf("node %d: %s went from %d to %d while nothing happened", i, name, before[i][name], after[name])
			}
		}
		if after["gossip_heartbeats"] == before[i]["gossip_heartbeats"] {
			r.t.Errorf("node %d compared nothing", i)
		}
	}
}

// held returns the numbers of the events that node i holds, in order, by the
// node that published them.
func (r *retentionRig) held(i int) map[string][]string {
	r.t.Helper()
	sub := bustest.Subscribe(r.t, r.topic(i), bus.FromStart())
	defer sub.Close()
	all := map[string][]string{}
	for n := r.net.Bus(i).Topics()[0].Events; n > 0; {
		ev, err := sub.Next(r.t.Context())
		if errors.Is(err, bus.ErrGap) || errors.Is(err, bus.ErrLagged) { // word of what was trimmed
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		f := strings.Fields(ev.Value)
		all[f[0]] = append(all[f[0]], f[1])
		n--
	}
	return all
}

func wantHeld(t *testing.T, when string, got, want map[string][]string) {
	t.Helper()
	for author, values := range want {
		if !slices.Equal(got[author], values) {
			t.Errorf("%s: of node %s, %d events are held, want %d", when, author, len(got[author]), len(values))
		}
	}
}

// wantSuffix checks that the newest of the values are held.
func wantSuffix(t *testing.T, values, newest []string) {
	t.Helper()
	if n := len(newest); n == 0 || n > len(values) || !slices.Equal(values[len(values)-n:], newest) {
		t.Errorf("%d events are not the newest of %d", n, len(values))
	}
}
