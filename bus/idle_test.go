package bus_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
)

// What a node hands to its streams when nothing happens, in bytes a second.
const (
	idleAntiEntropyMax = 100
	idleMax            = 250 // with liveness
)

const (
	idleNodes   = 9 // each a neighbour of the other eight
	idleTopics  = 100
	idleSettle  = 5 * time.Second
	idleWindow  = 10 * time.Second
	idleWindows = 3
)

var idleBatches = flag.Int("idle.batches", 10_000, "batches that the idle nodes hold in the larger of two runs")

func TestIdleNodeSendsLittleWhateverItHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("watches real nodes for a quarter of a minute and more")
	}
	for _, batches := range []int{1_000, *idleBatches} {
		t.Run(fmt.Sprint(batches, " batches"), func(t *testing.T) {
			t.Parallel()
			testIdle(t, batches)
		})
	}
}

// testIdle watches nodes that hold the same. A machine that is too busy to keep
// their links up only makes it look again: what counts is what nodes come to.
func testIdle(t *testing.T, batches int) {
	nodes := openHolding(t, writeHistory(t, batches), batches)
	time.Sleep(idleSettle)
	var cost idleCost
	for range idleWindows {
		cost = watchIdle(nodes)
		t.Logf("%d batches: %.1f B/s a node of liveness and %.1f of anti-entropy; the busiest node sends %.1f in all",
			batches, cost.liveness, cost.rest, cost.busiest)
		if cost.rest <= idleAntiEntropyMax && cost.rest+cost.liveness <= idleMax {
			break
		}
	}
	if cost.liveness == 0 {
		t.Error("the nodes show no sign of life")
	}
	if cost.rest > idleAntiEntropyMax {
		t.Errorf("%.1f B/s a node of anti-entropy, want %d at most", cost.rest, idleAntiEntropyMax)
	}
	if all := cost.rest + cost.liveness; all > idleMax {
		t.Errorf("%.1f B/s a node in all, want %d at most", all, idleMax)
	}
}

// idleCost is in bytes a second and node. What is not liveness is anti-entropy:
// nothing is published.
type idleCost struct {
	liveness, rest float64
	busiest        float64 // in all, of the node that sends most
}

// watchIdle measures what nodes send within a window.
func watchIdle(nodes []*bus.Bus) idleCost {
	read := func(b *bus.Bus) (all, liveness float64) {
		c := b.Stats().Counters
		return float64(c["streams_bytes_sent"]), float64(c["streams_liveness_bytes_sent"])
	}
	var all, liveness [idleNodes]float64
	start := time.Now()
	for i, b := range nodes {
		all[i], liveness[i] = read(b)
	}
	time.Sleep(idleWindow)
	seconds := time.Since(start).Seconds()
	var cost idleCost
	for i, b := range nodes {
		a, l := read(b)
		a, l = (a-all[i])/seconds, (l-liveness[i])/seconds
		cost.liveness += l / idleNodes
		cost.rest += (a - l) / idleNodes
		cost.busiest = max(cost.busiest, a)
	}
	return cost
}

func idleTopic(i int) string { return fmt.Sprint("idle.", i) }

// writeHistory returns a log's directory with so many batches of one event
// each. One author wrote them all, who is gone.
func writeHistory(t *testing.T, batches int) string {
	t.Helper()
	dir := t.TempDir()
	b := openReal(t, bus.WithNetwork("idle"), bus.WithDataDir(dir), bus.WithEventLog(bus.LogConfig{Sync: bus.SyncNever}))
	var publishers sync.WaitGroup
	for i := range idleTopics {
		topic := bustest.Topic(t, b, idleTopic(i), bus.Text{})
		publishers.Go(func() {
			for range batches / idleTopics {
				if _, err := topic.Publish(t.Context(), "something"); err != nil { // alone in its batch
					t.Error(err)
					return
				}
			}
		})
	}
	publishers.Wait()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "log")
}

// openHolding opens nodes that start with copies of a log, know each other and
// keep all its topics. It returns when they are all neighbours on all of them.
func openHolding(t *testing.T, history string, batches int) []*bus.Bus {
	t.Helper()
	nodes := make([]*bus.Bus, idleNodes)
	var addrs []string
	for i := range nodes {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "log"), os.DirFS(history)); err != nil {
			t.Fatal(err)
		}
		opts := []bus.Option{
			bus.WithNetwork("idle"), bus.WithDataDir(dir), bus.WithForward("idle.>"),
			bus.WithEventLog(bus.LogConfig{Sync: bus.SyncNever}),
		}
		if len(addrs) > 0 {
			opts = append(opts, bus.WithPeers(addrs...))
		}
		nodes[i] = openReal(t, opts...)
		addrs = append(addrs, addrOf(t, nodes[i]))
		if held := nodes[i].Stats().Log.Batches; held != uint64(batches) {
			t.Fatalf("node %d holds %d batches, want %d", i, held, batches)
		}
	}
	for _, b := range nodes {
		for i := range idleTopics {
			waitPeers(t, b, bustest.Topic(t, b, idleTopic(i), bus.Text{}), idleNodes-1)
		}
	}
	return nodes
}
