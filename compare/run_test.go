package compare

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
)

// conditions are those of one comparison, the same for both systems.
type conditions struct {
	Nodes    int           `json:"nodes"`
	Degree   int           `json:"degree"` // mean, of the overlay
	Payload  int           `json:"payload_bytes"`
	Interval time.Duration `json:"interval_ns"` // between two events, of all publishers together
	WarmUp   int           `json:"warm_up_events"`
	Measured int           `json:"measured_events"`
	Seed     uint64        `json:"seed"`
}

func (c conditions) String() string {
	name := fmt.Sprintf("%d nodes %s", c.Nodes, size(c.Payload))
	if c.WarmUp == 0 {
		name += " cold"
	}
	return name
}

const (
	publishersMax = 20
	topicName     = "compare"

	settle   = 5 * time.Second  // from the last connection on: meshes form, links come up
	idleTime = 5 * time.Second  // then: how long the traffic of nodes without events is watched
	quiet    = 3 * time.Second  // without events, before and after those measured: GossipSub tells of one for so long
	lateMax  = 30 * time.Second // how much longer what is still missing is waited for
)

// system is one of the systems that are compared, on all hosts.
type system interface {
	publish(ctx context.Context, node int, payload []byte) error
	// counters returns sums over all nodes, copiesCounter among them.
	counters() map[string]int64
	close() error
}

// copiesCounter counts payloads that nodes received from others.
const copiesCounter = "payload_copies"

// contender makes a system.
type contender struct {
	name string
	open func(*testing.T, []host.Host, *recorder) system
}

var contenders = []contender{{"GossipSub", openGossipSub}, {"busnode", openBusnode}}

// result is what one system made of the conditions. Times are virtual.
type result struct {
	System string `json:"system"`
	conditions
	Delivered int           `json:"delivered"`
	Expected  int           `json:"expected"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	Max       time.Duration `json:"max_ns"`
	Copies    float64       `json:"copies"` // payloads received, per event and receiving node

	// What all nodes sent, with what they send anyway, in the time from the
	// first measured event until quiet after the last one.
	Window        time.Duration    `json:"window_ns"`
	Bytes         int64            `json:"bytes"` // UDP payload
	Packets       int64            `json:"packets"`
	Missing       int64            `json:"packets_missing"` // queues dropped them, or they were on their way
	BytesPerByte  float64          `json:"bytes_per_useful_byte"`
	BytesPerEvent float64          `json:"bytes_per_event_and_node"`
	Utilisation   float64          `json:"utilisation"`               // mean, of the uplinks while events came
	Idle          float64          `json:"idle_bytes_per_node_and_s"` // before the first event
	Faults        faults           `json:"faults"`
	Counters      map[string]int64 `json:"counters"` // the system's own, of the same time
	Real          time.Duration    `json:"real_ns"`
}

// run runs one system under the conditions.
func run(t *testing.T, with contender, c conditions) (r result) {
	t.Helper()
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		r = measure(t, with, c)
	})
	r.Real = time.Since(start)
	return r
}

// measure runs within a bubble.
func measure(t *testing.T, with contender, c conditions) result {
	nodes := newSimulated(t, c.Nodes, c.Seed)
	defer nodes.close(t)
	rec := newRecorder(c.Nodes, c.Seed)
	sys := with.open(t, nodes.hosts, rec)
	defer func() {
		if err := sys.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	nodes.connect(t, newOverlay(c.Nodes, c.Degree, c.Seed))
	time.Sleep(settle)
	before := nodes.traffic()
	time.Sleep(idleTime)
	idle := nodes.traffic().minus(before)

	if c.WarmUp > 0 {
		publish(t, sys, rec, c, c.WarmUp)
		time.Sleep(quiet)
	}
	first := rec.published()
	counters, before, began := sys.counters(), nodes.traffic(), time.Now()
	publish(t, sys, rec, c, c.Measured)
	time.Sleep(quiet)
	waitForLate(rec, first)

	after := nodes.traffic().minus(before)
	r := result{
		System: with.name, conditions: c, Window: time.Since(began),
		Bytes: after.bytes, Packets: after.packets, Missing: after.missing,
		Idle:   float64(idle.bytes) / float64(c.Nodes) / idleTime.Seconds(),
		Faults: rec.faultsSoFar(), Counters: sys.counters(),
	}
	for name := range r.Counters {
		r.Counters[name] -= counters[name]
	}
	r.sumUp(rec.arrived(first))
	return r
}

// publish publishes so many events, an interval apart, from each publisher in
// turn. Publishers are spread over the overlay's ring.
func publish(t *testing.T, sys system, rec *recorder, c conditions, events int) {
	t.Helper()
	publishers := min(publishersMax, c.Nodes)
	for i := range events {
		node := i % publishers * c.Nodes / publishers
		if err := sys.publish(t.Context(), node, rec.next(node, c.Payload)); err != nil {
			t.Fatalf("publish on node %d: %v", node, err)
		}
		time.Sleep(c.Interval)
	}
}

// waitForLate waits until the events from the given one on have arrived everywhere.
func waitForLate(rec *recorder, from int) {
	for range lateMax / time.Second {
		if latencies, expected := rec.arrived(from); len(latencies) == expected {
			return
		}
		time.Sleep(time.Second)
	}
}

// sumUp derives what is told of one event from what was counted of all.
func (r *result) sumUp(latencies []time.Duration, expected int) {
	r.Delivered, r.Expected = len(latencies), expected
	if r.Delivered > 0 {
		r.P50, r.P99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
		r.Max = latencies[len(latencies)-1]
		r.BytesPerByte = float64(r.Bytes) / float64(r.Delivered) / float64(r.Payload)
	}
	r.Copies = float64(r.Counters[copiesCounter]) / float64(expected)
	r.BytesPerEvent = float64(r.Bytes) / float64(expected)
	busy := time.Duration(r.Measured) * r.Interval
	r.Utilisation = float64(r.Bytes) * 8 / busy.Seconds() / float64(r.Nodes) / linkBits
}

// quantile returns the smallest of sorted values that the share q of them does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(i, 0)]
}
