package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/busnode/busnode/cmd/busnode/internal/api"
	"github.com/busnode/busnode/p2p/multicast/netnstest"
)

// fallbackMax bounds the way of an event that is published when unicast has just died.
const fallbackMax = 3 * time.Second

// noUnicast drops all that is not multicast.
const noUnicast = "ip daddr != 224.0.0.0/4 meta l4proto { tcp, udp } drop\n" +
	"ip6 daddr != ff00::/8 meta l4proto { tcp, udp } drop"

// hosted is a node on a host of a lab.
type hosted struct {
	node
	host *netnstest.Host
}

// hostNetwork is a private network whose nodes run on hosts of a lab.
type hostNetwork struct {
	t        *testing.T
	exe, key string
	args     []string // of each node's run
}

func newHostNetwork(t *testing.T, args ...string) *hostNetwork {
	t.Helper()
	w := &hostNetwork{t: t, key: filepath.Join(t.TempDir(), "net.key"), args: args}
	if out, err := busnode(t, "keygen", w.key).CombinedOutput(); err != nil {
		t.Fatalf("keygen: %v: %s", err, out)
	}
	var err error
	if w.exe, err = exec.LookPath("busnode"); err != nil { // this test binary, under the name that makes it busnode
		t.Fatal(err)
	}
	return w
}

// start runs a node on a host.
func (w *hostNetwork) start(h *netnstest.Host) *hosted {
	w.t.Helper()
	n := &hosted{node{t: w.t, name: h.Name, dir: filepath.Join(w.t.TempDir(), h.Name)}, h}
	n.cmd = h.Command(w.exe, append([]string{"run", "--data", n.dir, "--psk", w.key, "--topic", "t"}, w.args...)...)
	n.cmd.Env = withoutSettings(os.Environ())
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(n.stop)
	if _, err := awaitAddrs(n.dir); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// hostNodes runs a node of one private network on each host.
func hostNodes(t *testing.T, hosts []*netnstest.Host, args ...string) []*hosted {
	t.Helper()
	w := newHostNetwork(t, args...)
	nodes := make([]*hosted, len(hosts))
	for i, h := range hosts {
		nodes[i] = w.start(h)
	}
	return nodes
}

// awaitPaths waits until every node reaches all others by a path that begins so.
func awaitPaths(t *testing.T, nodes []*hosted, path string) {
	t.Helper()
	for _, n := range nodes {
		c := n.client()
		defer c.Close()
		for deadline := time.Now().Add(waitMax); ; time.Sleep(20 * time.Millisecond) {
			peers, err := c.Peers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reached := 0
			for _, p := range peers {
				if strings.HasPrefix(p.Path, path) {
					reached++
				}
			}
			if reached == len(nodes)-1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s reaches %d of %d by %s: %+v", n.name, reached, len(nodes)-1, path, peers)
			}
		}
	}
}

// spread publishes an event on one node, and returns how long it takes until the
// last of the others can read it.
func spread(t *testing.T, from *hosted, to []*hosted, number int) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	text := fmt.Sprintf("%s %d", from.name, number)
	read := make(chan error, len(to))
	for _, n := range to {
		c := n.client()
		defer c.Close()
		lines, err := c.Subscribe(ctx, api.SubscribeRequest{Filter: "t", From: "start"})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				line, err := lines.Next()
				if err != nil || strings.Contains(string(line), fmt.Sprintf("%q", text)) {
					read <- err
					return
				}
			}
		}()
	}
	start := time.Now()
	from.publish("t", number, 1)
	for range to {
		if err := <-read; err != nil {
			t.Fatalf("event %q: %v", text, err)
		}
	}
	return time.Since(start)
}

func TestEventsFlowOnWhenUnicastDies(t *testing.T) {
	hosts := netnstest.New(t).LAN(3)
	nodes := hostNodes(t, hosts)
	filter := func(rules string) {
		for _, h := range hosts {
			h.Filter(rules, rules)
		}
	}
	filter("")
	awaitPaths(t, nodes, "direct")
	t.Logf("by streams: %v", spread(t, nodes[0], nodes[1:], 1))
	filter(noUnicast)
	took := spread(t, nodes[0], nodes[1:], 2)
	t.Logf("when unicast has just died: %v", took)
	if took > fallbackMax {
		t.Errorf("an event took %v, want %v at most", took, fallbackMax)
	}
	awaitPaths(t, nodes, "multicast")
	t.Logf("by multicast alone: %v", spread(t, nodes[0], nodes[1:], 3))
	filter("")
	awaitPaths(t, nodes, "direct")
	t.Logf("by streams again: %v", spread(t, nodes[0], nodes[1:], 4))
	for _, n := range nodes {
		n.read("t", 4)
	}
}

func TestDoctorFindsAPacketFilter(t *testing.T) {
	h := netnstest.New(t).LAN(1)[0]
	exe, err := exec.LookPath("busnode")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := h.Command(exe, "doctor").CombinedOutput(); err != nil || !strings.Contains(string(out), "all is well") {
		t.Errorf("%v:\n%s", err, out)
	}
	h.Filter("meta l4proto udp drop", "")
	out, err := h.Command(exe, "doctor").CombinedOutput()
	for _, want := range []string{"packet filter", "fix: allow incoming UDP", "something to fix on 1 of 1 interface"} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, and %q is missing:\n%s", err, want, out)
		}
	}
}

// TestTheShortCutSendsOneCopy publishes a thousand events of 1 KiB in one go to
// nineteen others on the same wire, and counts what leaves the publisher's interface.
func TestTheShortCutSendsOneCopy(t *testing.T) {
	if testing.Short() {
		t.Skip("starts twenty processes; not with -short")
	}
	const nodesMax, events, size = 20, 1000, 1024
	hosts := netnstest.New(t).LAN(nodesMax)
	nodes := hostNodes(t, hosts, "--multicast", "always", "--no-mdns")
	awaitPaths(t, nodes, "multicast")
	before := hosts[0].SentBytes("eth0")
	pub := busnode(t, "pub", "t", "--data", nodes[0].dir, "--count", fmt.Sprint(events), "--size", fmt.Sprint(size))
	if out, err := pub.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, n := range nodes {
		n.held("t", events)
	}
	sent := hosts[0].SentBytes("eth0") - before
	copies := float64(sent) / (events * size)
	c := nodes[0].client()
	defer c.Close()
	status, err := c.Status(t.Context())
	if err != nil || len(status.Multicast.Segments) != 1 {
		t.Fatalf("%+v, %v", status.Multicast, err)
	}
	s := status.Multicast.Segments[0]
	repairs := float64(s.Repairs) / float64(s.DatagramsSent)
	t.Logf("the publisher's interface sent %d bytes, %.2f copies of the payload; %.0f %% of the datagrams were repairs",
		sent, copies, 100*repairs)
	if copies > 1.3 {
		t.Errorf("%.2f copies, want 1.3 at most", copies)
	}
}
