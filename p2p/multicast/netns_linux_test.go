package multicast

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/carrier/carriertest"
	"github.com/busnode/busnode/p2p/multicast/netnstest"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// hostMachine is a host of a lab.
type hostMachine struct{ *netnstest.Host }

func (m hostMachine) interfaces() (all []socket.Interface, err error) {
	err = m.Try(func() error {
		all, err = socket.Interfaces()
		return err
	})
	return all, err
}

func (m hostMachine) watch(ctx context.Context) (changes <-chan struct{}) {
	m.Do(func() error {
		changes = socket.Watch(ctx)
		return nil
	})
	return changes
}

func (m hostMachine) open(i socket.Interface, f socket.Family, g socket.Group) (e endpoint, err error) {
	err = m.Try(func() error {
		e, err = socket.Open(i, f, g)
		return err
	})
	return e, err
}

func (m hostMachine) querier(ctx context.Context, i socket.Interface) (q querier) {
	m.Do(func() error {
		q = findQuerier(ctx, i)
		return nil
	})
	return q
}

func (m hostMachine) settings(i socket.Interface) (found []Finding) {
	m.Do(func() error {
		found = settings(i)
		return nil
	})
	return found
}

func TestConformsBetweenHosts(t *testing.T) {
	hosts := netnstest.New(t).LAN(3)
	carriertest.Run(t, func(t *testing.T, n int) *carriertest.Cluster {
		c := &carriertest.Cluster{Segment: "segment:eth0"}
		for i := range n {
			x := newOn(t, hostMachine{hosts[i]}, configOf(t, i))
			c.Carriers, c.Peers = append(c.Carriers, x), append(c.Peers, x.Self())
		}
		return c
	})
}

func startOnHost(t testing.TB, number int, h *netnstest.Host, change ...func(*Config)) *node {
	t.Helper()
	cfg := configOf(t, number)
	for _, f := range change {
		f(&cfg)
	}
	n := &node{Carrier: newOn(t, hostMachine{h}, cfg), t: t}
	if err := n.Start(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNodes(t, n) })
	return n
}

func TestFramesReachHostsThatLoseDatagrams(t *testing.T) {
	hosts := netnstest.New(t).LAN(6)
	var nodes []*node
	for i, h := range hosts {
		nodes = append(nodes, startOnHost(t, i, h))
	}
	for _, n := range nodes {
		await(t, "all hear all", func() bool { return len(n.Members()) == len(nodes)-1 })
	}
	for _, h := range hosts {
		h.Filter(fmt.Sprintf("udp dport %d numgen random mod 1000 < 50 drop", socket.Port), "")
	}
	const frames = 300
	var want []string
	for i := range frames {
		text := fmt.Sprint(i)
		nodes[0].send("segment:eth0", carrier.News, text)
		want = append(want, "n0/0 "+text)
		time.Sleep(time.Millisecond)
	}
	for _, n := range nodes[1:] {
		await(t, "all frames", func() bool { return n.count() >= frames })
		if got := take(n, &n.frames); !slices.Equal(got, want) {
			t.Errorf("%d frames, or in another order", len(got))
		}
	}
}

func TestHostsWithoutAnyAddressPlanMeet(t *testing.T) {
	lab := netnstest.New(t)
	lab.Switch("lan")
	a, b, c := lab.Host("a"), lab.Host("b"), lab.Host("c")
	a.Plug("lan")
	b.Plug("lan", "10.77.0.1/24")
	c.Plug("lan", "10.99.0.1/24")
	c.Sysctl("net/ipv4/conf/eth0/rp_filter", "1")
	var nodes []*node
	for i, h := range []*netnstest.Host{a, b, c} {
		nodes = append(nodes, startOnHost(t, i, h))
	}
	for _, n := range nodes {
		await(t, "all hear all", func() bool { return len(n.Members()) == 2 })
	}
	// An interface is pulled and plugged in elsewhere; another goes down and up.
	a.Unplug("eth0")
	await(t, "the interface is gone", func() bool { return len(nodes[0].Status().Segments) == 0 })
	a.Plug("lan")
	b.IP("link", "set", "eth0", "down")
	await(t, "the link is down", func() bool { return len(nodes[1].Status().Segments) == 0 })
	b.IP("link", "set", "eth0", "up")
	for _, n := range nodes {
		await(t, "all hear all again", func() bool { return len(n.Members()) == 2 })
	}
	nodes[2].send(nodes[0].Self(), carrier.News, "hello")
	await(t, "a frame", func() bool { return nodes[0].count() == 1 })
}

func TestTwoCardsOnOneWireAreOneSegment(t *testing.T) {
	lab := netnstest.New(t)
	lab.Switch("lan")
	a, b := lab.Host("a"), lab.Host("b")
	a.Plug("lan", "10.77.0.1/24")
	a.Plug("lan", "10.77.0.2/24")
	b.Plug("lan", "10.77.0.3/24")
	first, second := startOnHost(t, 0, a), startOnHost(t, 1, b)
	await(t, "the second card is passive", func() bool {
		s := first.Status().Segments
		return len(s) == 2 && s[1].Passive == "segment:eth0" && len(s[0].Members) == 1
	})
	const frames = 50
	for i := range frames {
		first.send("segment:eth0", carrier.News, fmt.Sprint(i))
		second.send("segment:eth0", carrier.News, fmt.Sprint(i))
	}
	for _, n := range []*node{first, second} {
		await(t, "all frames", func() bool { return n.count() >= frames })
	}
	time.Sleep(100 * time.Millisecond)
	if first.count() != frames || second.count() != frames {
		t.Errorf("%d and %d of %d frames", first.count(), second.count(), frames)
	}
}
