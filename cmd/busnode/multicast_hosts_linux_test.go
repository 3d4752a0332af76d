package main

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/busnode/busnode/p2p/multicast/netnstest"
)

// TestEventsFlowBetweenHostsOfAllKinds has three hosts of each kind on one wire that lets
// no unicast pass, from the start on.
func TestEventsFlowBetweenHostsOfAllKinds(t *testing.T) {
	noRoutes := func(h *netnstest.Host) {
		h.IP("route", "flush", "table", "main")
		h.IP("-6", "route", "flush", "table", "main")
	}
	reversePath := func(value string) func(*netnstest.Host) {
		return func(h *netnstest.Host) { // the greater of both counts
			h.Sysctl("net/ipv4/conf/all/rp_filter", value)
			h.Sysctl("net/ipv4/conf/eth0/rp_filter", value)
		}
	}
	oneSubnet, subnets := "10.77.0.%d/24", "10.7%d.0.1/24"
	for _, c := range []struct {
		name  string
		cards int
		addrs string // of the number of the host; empty: none but IPv6's of the link
		set   func(*netnstest.Host)
	}{
		{"no IPv4 and no routes", 1, "", noRoutes},
		{"no IPv6 and no routes", 1, oneSubnet, func(h *netnstest.Host) {
			h.Sysctl("net/ipv6/conf/all/disable_ipv6", "1")
			noRoutes(h)
		}},
		{"subnets of their own", 1, subnets, nil},
		{"subnets of their own, rp_filter 1", 1, subnets, reversePath("1")},
		{"one subnet, rp_filter 1", 1, oneSubnet, reversePath("1")},
		{"one subnet, rp_filter 2", 1, oneSubnet, reversePath("2")},
		{"two cards each", 2, oneSubnet, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.addrs != "" {
				t.Skip("skipped: one kind serves with -short")
			}
			lab := netnstest.New(t)
			lab.Switch("lan")
			var hosts []*netnstest.Host
			for i := range 3 {
				h := lab.Host(fmt.Sprintf("h%d", i+1))
				for card := range c.cards {
					var addrs []string
					if c.addrs != "" {
						addrs = append(addrs, fmt.Sprintf(c.addrs, i+1+3*card))
					}
					h.Plug("lan", addrs...)
				}
				if c.set != nil {
					c.set(h)
				}
				h.Filter(noUnicast, noUnicast)
				hosts = append(hosts, h)
			}
			nodes := hostNodes(t, hosts)
			awaitPaths(t, nodes, "multicast")
			for i := range nodes {
				t.Logf("event %d: %v", i+1, spread(t, nodes[i], append(nodes[:i:i], nodes[i+1:]...), 1))
			}
			for _, n := range nodes {
				n.read("t", len(nodes))
			}
		})
	}
}

// multicasts returns whether a node uses multicast.
func (n *hosted) multicasts() bool {
	n.t.Helper()
	c := n.client()
	defer c.Close()
	s, err := c.Status(n.t.Context())
	if err != nil || len(s.Multicast.Segments) != 1 {
		n.t.Fatalf("%+v, %v", s.Multicast, err)
	}
	return s.Multicast.Segments[0].Active
}

// publishEach has a node publish numbered events, one each time that next is called.
func (n *hosted) publishEach(topic string) (next, end func()) {
	n.t.Helper()
	cmd := busnode(n.t, "pub", topic, "--data", n.dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	number := 0
	next = func() {
		number++
		if _, err := fmt.Fprintf(in, "%s %d\n", n.name, number); err != nil {
			n.t.Fatal(err)
		}
	}
	return next, func() { closeAndWait(n.t, in, cmd.Wait) }
}

func closeAndWait(t *testing.T, in io.Closer, wait func() error) {
	t.Helper()
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// TestALinkThatFlapsDoesNotThrash cuts and mends a host's unicast once a second, for a
// minute, while all publish.
func TestALinkThatFlapsDoesNotThrash(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes a minute; not with -short")
	}
	const seconds, holdMin = 60, 29 * time.Second // a little less, for what is seen is seen late
	hosts := netnstest.New(t).LAN(3)
	hosts[0].Filter("", "")
	// By QUIC alone: TCP outlives half a second without packets, and nobody needs multicast then.
	nodes := hostNodes(t, hosts, "--listen", "/ip4/0.0.0.0/udp/0/quic-v1")
	awaitPaths(t, nodes, "direct")
	var nexts, ends []func()
	for _, n := range nodes {
		next, end := n.publishEach("t")
		nexts, ends = append(nexts, next), append(ends, end)
	}
	since, used := make([]time.Time, len(nodes)), false // zero: it does not use multicast
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for i := range 4 * seconds {
		switch i % 4 {
		case 0:
			hosts[0].Filter(noUnicast, noUnicast)
		case 2:
			hosts[0].Filter("", "")
		}
		nexts[i%len(nodes)]()
		for j, n := range nodes {
			switch on := n.multicasts(); {
			case on && since[j].IsZero():
				since[j], used = time.Now(), true
				t.Logf("after %d s %s uses multicast", i/4, n.name)
			case !on && !since[j].IsZero():
				held := time.Since(since[j])
				t.Logf("after %d s %s does not use it", i/4, n.name)
				if held < holdMin {
					t.Errorf("%s used multicast for %v, want %v at least", n.name, held, holdMin)
				}
				since[j] = time.Time{}
			}
		}
		<-tick.C
	}
	hosts[0].Filter("", "")
	for _, end := range ends {
		end()
	}
	if !used {
		t.Error("nobody used multicast: this tests nothing")
	}
	for _, n := range nodes {
		n.held("t", 4*seconds)
		n.read("t", 4*seconds)
	}
}

// TestWhoMissedMuchCompletesByMulticast has a node come late, and another stopped for five
// seconds, where no unicast passes. All that they missed is history when they ask.
func TestWhoMissedMuchCompletesByMulticast(t *testing.T) {
	const events, size, stop = 300, "1KiB", 5 * time.Second
	hosts := netnstest.New(t).LAN(5)
	for _, h := range hosts {
		h.Filter(noUnicast, noUnicast)
	}
	w := newHostNetwork(t)
	var nodes []*hosted
	for _, h := range hosts[:4] {
		nodes = append(nodes, w.start(h))
	}
	awaitPaths(t, nodes, "multicast")
	publish := func() {
		t.Helper()
		pub := busnode(t, "pub", "t", "--data", nodes[0].dir, "--count", fmt.Sprint(events), "--size", size)
		if out, err := pub.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	publish()
	for _, n := range nodes {
		n.held("t", events)
	}
	time.Sleep(3 * time.Second) // nothing is repaired any more
	began := time.Now()
	late := w.start(hosts[4])
	late.held("t", events)
	t.Logf("the late node holds all after %v", time.Since(began))

	stopped, others := nodes[2], []*hosted{nodes[0], nodes[1], nodes[3], late}
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := stopped.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	began = time.Now()
	publish()
	for _, n := range others {
		n.held("t", 2*events)
	}
	time.Sleep(time.Until(began.Add(stop)))
	signal(syscall.SIGCONT)
	began = time.Now()
	stopped.held("t", 2*events)
	t.Logf("the stopped node holds all after %v", time.Since(began))
}
