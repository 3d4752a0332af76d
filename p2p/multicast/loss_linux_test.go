package multicast

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/netnstest"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// idealSent returns how many datagrams for each of k a code would send of which
// any k serve, with perfect feedback, until each of n receivers that lose a share of
// all has k: E[max over n of the number of sends until k arrived] / k.
func idealSent(k, n int, loss float64) float64 {
	mean, has := 0.0, 0.0 // has: the chance that one receiver has k after m sends
	logTerm := float64(k) * math.Log(1-loss)
	for m := k; m < 50*k; m++ {
		// The chance that the k-th arrives with the m-th send: C(m-1,k-1) (1-p)^k p^(m-k).
		has += math.Exp(logTerm)
		logTerm += math.Log(float64(m)/float64(m-k+1)) + math.Log(loss)
		mean += 1 - math.Pow(min(has, 1), float64(n))
	}
	return (mean + float64(k)) / float64(k)
}

// BenchmarkLoss tells what loss costs between hosts in network namespaces, each with
// a loss of its own: datagrams sent against what an ideal code would send, and the
// share of the frames that arrived. It decides nothing, for a busy machine adds
// delays that no network has.
//
//	go test -run - -bench Loss -benchtime 1x ./p2p/multicast
func BenchmarkLoss(b *testing.B) {
	const receivers, frames, frameBytes = 20, 150, 32 * 1100
	// At more, all would be sent before the first repair on a machine that is busy,
	// and the sender keeps 8 MiB for repair.
	slowly := func(c *Config) { c.Rates = segment.Rates{Start: 20_000_000, Max: 20_000_000} }
	for _, percent := range []int{1, 5, 20} {
		b.Run(fmt.Sprint("percent=", percent), func(b *testing.B) {
			var nodes []*node
			for i, h := range netnstest.New(b).LAN(1 + receivers) {
				h.Filter(fmt.Sprintf("udp dport %d numgen random mod 100 < %d drop", socket.Port, percent), "")
				nodes = append(nodes, startOnHost(b, i, h, slowly))
			}
			for _, n := range nodes {
				await(b, "all hear all", func() bool { return len(n.Members()) == receivers })
			}
			time.Sleep(3 * time.Second) // beacons tell of the loss
			frame := make([]byte, frameBytes)
			for b.Loop() {
				before := nodes[0].Status().Segments[0].Engine
				for range frames {
					nodes[0].send("segment:eth0", carrier.News, string(frame))
				}
				time.Sleep(4 * time.Second) // nothing is repaired after two
				arrived := 0
				for _, n := range nodes[1:] {
					arrived += len(take(n, &n.frames))
				}
				e := nodes[0].Status().Segments[0].Engine
				data := e.Data - before.Data
				sent := data + e.Parity - before.Parity + e.Repair - before.Repair
				cost := float64(sent) / float64(data)
				b.ReportMetric(cost/idealSent(32, receivers, float64(percent)/100), "sent/ideal")
				b.ReportMetric(100*float64(arrived)/(frames*receivers), "%arrived")
			}
		})
	}
}
