package multicast

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/p2p/multicast/netnstest"
)

// TestFiftyIdleHostsSayLittle counts what leaves fifty hosts that have nothing to say but
// that they are there.
func TestFiftyIdleHostsSayLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: fifty hosts; not with -short")
	}
	const (
		nodesMax     = 50
		seconds      = 15
		datagramsMax = 20     // a second, of all
		bitsMax      = 40_000 // a second, of all, headers of IPv6 and UDP included
		headers      = 48
	)
	lab := netnstest.New(t)
	lab.Switch("lan")
	var nodes []*node
	var hosts []*netnstest.Host
	for i := range nodesMax {
		h := lab.Host(fmt.Sprintf("h%d", i+1))
		h.Plug("lan") // without IPv4, which who starts on a busy machine may speak for a minute too
		hosts, nodes = append(hosts, h), append(nodes, startOnHost(t, i, h))
	}
	for _, n := range nodes {
		await(t, "all hear all", func() bool { return len(n.Members()) == nodesMax-1 })
	}
	time.Sleep(3 * time.Second) // newcomers are greeted
	count := func() (datagrams, bytes uint64) {
		for i, n := range nodes {
			datagrams += datagramsOut(t, hosts[i])
			bytes += n.Status().Segments[0].Engine.SentBytes
		}
		return datagrams, bytes
	}
	began := time.Now()
	d0, b0 := count()
	time.Sleep(seconds * time.Second)
	d1, b1 := count()
	took := time.Since(began).Seconds()
	datagrams, bits := float64(d1-d0)/took, 8*float64(b1-b0+headers*(d1-d0))/took
	t.Logf("%.1f datagrams and %.0f bit a second", datagrams, bits)
	if datagrams > datagramsMax || bits > bitsMax || datagrams < 1 {
		t.Errorf("%.1f datagrams and %.0f bit a second, want 1 to %d and at most %d", datagrams, bits, datagramsMax, bitsMax)
	}
	for _, n := range nodes {
		if heard := len(n.Members()); heard != nodesMax-1 {
			t.Errorf("%d of %d are heard", heard, nodesMax-1)
		}
	}
}
