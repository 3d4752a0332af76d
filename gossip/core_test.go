package gossip

import (
	"fmt"
	"testing"
	"time"
)

func TestTwoNodesGetEachOthersEvents(t *testing.T) {
	n := newNetwork(t, 1)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	for range 100 {
		a.publish("x", 3)
		b.publish("x", 2)
		n.run(10 * time.Millisecond)
	}
	n.run(time.Second)
	n.expect("x", 500, a, b)
	if n.batches != 200 {
		t.Errorf("%d batches sent for 200 published", n.batches)
	}
}

func TestEventsCrossAChain(t *testing.T) {
	n := newNetwork(t, 2)
	a, b := n.add("a", testConfig()).interest(">"), n.add("b", testConfig()).interest(">")
	c := n.add("c", testConfig()).interest(">")
	n.connect(a, b)
	n.connect(b, c)
	n.run(time.Second)
	for range 50 {
		a.publish("x.y", 1)
		c.publish("x.y", 1)
		n.run(time.Millisecond)
	}
	n.run(time.Second)
	n.expect("x.y", 100, a, b, c)
}

func TestALateJoinerGetsAll(t *testing.T) {
	for _, authors := range []int{1, 20, greetAuthorsMax + 20} {
		t.Run(fmt.Sprint(authors, " authors"), func(t *testing.T) {
			n := newNetwork(t, 3)
			b := n.add("b", testConfig()).interest("x")
			events := 0
			for i := range authors {
				a := n.add(fmt.Sprint("author", i), testConfig()).interest("x")
				n.connect(a, b)
				n.run(100 * time.Millisecond)
				for range unlessRace(10, 3) {
					a.publish("x", 1)
					events++
				}
				n.run(500 * time.Millisecond)
				a.crash()
			}
			n.run(20 * time.Second)
			n.expect("x", events, b)
			late := n.add("late", testConfig()).interest("x")
			n.connect(late, b)
			n.batches = 0
			n.run(5 * time.Second)
			n.expect("x", events, late)
			if n.batches > events*11/10 {
				t.Errorf("%d batches sent for %d", n.batches, events)
			}
		})
	}
}

func TestAHealedPartitionIsRepaired(t *testing.T) {
	n := newNetwork(t, 4)
	var nodes []*node
	for i := range 8 {
		nodes = append(nodes, n.add(fmt.Sprint("n", i), testConfig()).interest("x"))
	}
	n.connectAll(nodes...)
	n.run(time.Second)
	total := 0
	publish := func(times int) {
		for range times {
			for _, x := range nodes {
				x.publish("x", 2)
				total += 2
			}
			n.run(20 * time.Millisecond)
		}
	}
	publish(20)
	for _, x := range nodes[:4] {
		for _, y := range nodes[4:] {
			n.cut(x, y)
		}
	}
	publish(50)
	n.run(20 * time.Second)
	n.connectAll(nodes...)
	before := n.batches
	n.run(3 * time.Second)
	n.expect("x", total, nodes...)
	missing := 8 * 200 // each node lacks 50 batches of each of the 4 on the other side
	if got := n.batches - before; got > missing*11/10 {
		t.Errorf("%d batches sent to repair %d", got, missing)
	}
}

func TestDroppedPushesAreRepaired(t *testing.T) {
	for _, drop := range []float64{0.1, 0.5, 1} {
		t.Run(fmt.Sprint(drop), func(t *testing.T) {
			n := newNetwork(t, 5)
			n.dropPush = drop
			var nodes []*node
			for i := range 6 {
				nodes = append(nodes, n.add(fmt.Sprint("n", i), testConfig()).interest("x"))
			}
			for i, x := range nodes[1:] {
				n.connect(x, nodes[i])
			}
			n.connect(nodes[0], nodes[5])
			n.run(time.Second)
			for range 100 {
				nodes[0].publish("x", 1)
				nodes[3].publish("x", 1)
				n.run(5 * time.Millisecond)
			}
			n.run(5 * time.Second)
			n.expect("x", 200, nodes...)
		})
	}
}

func TestATreePerAuthorSendsOneCopy(t *testing.T) {
	n := newNetwork(t, 6)
	var nodes []*node
	for i := range 40 {
		nodes = append(nodes, n.add(fmt.Sprint("n", i), testConfig()).interest("x"))
	}
	for i, x := range nodes {
		for range 4 {
			n.connect(x, nodes[n.rng.IntN(len(nodes))])
		}
		n.connect(x, nodes[(i+1)%len(nodes)])
	}
	n.run(3 * time.Second)
	publish := func(times int) {
		for i := range times {
			nodes[i%10].publish("x", 1)
			n.run(50 * time.Millisecond)
		}
	}
	publish(50)
	n.run(time.Second)
	before := n.batches
	publish(200)
	n.run(3 * time.Second)
	n.expect("x", 250, nodes...)
	copies := float64(n.batches-before) / (200 * 39)
	t.Logf("%.3f copies a node and event; sent %v", copies, n.sent)
	if copies > 1.05 {
		t.Errorf("%.3f copies a node and event, want at most 1.05", copies)
	}
}

func TestAPublishOnlyNodeIsSentNothing(t *testing.T) {
	n := newNetwork(t, 7)
	p, a, b := n.add("p", testConfig()), n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(p, a)
	n.connect(a, b)
	n.run(time.Second)
	for range 20 {
		p.publish("x", 1)
		b.publish("x", 1)
	}
	n.run(5 * time.Second)
	n.expect("x", 40, a, b)
	n.expect("x", 20, p)
	if got := p.core.HeldBy("x", p.signer.Author(), p.core.Head("x", p.signer.Author())); got != 1 {
		t.Errorf("held by %d others, want 1", got)
	}
	// What it published while alone is repaired.
	n.cut(p, a)
	for range 20 {
		p.publish("x", 1)
	}
	n.run(5 * time.Second)
	n.connect(p, b)
	n.run(3 * time.Second)
	n.expect("x", 60, a, b)
}

func TestAnAnnouncedTopicMakesPeersKnown(t *testing.T) {
	n := newNetwork(t, 9)
	p, a := n.add("p", testConfig()), n.add("a", testConfig()).interest("x.*")
	n.connect(p, a)
	n.run(time.Second)
	p.core.Announce("x.y")
	p.step()
	n.run(time.Second)
	if len(p.core.Peers("x.y")) != 1 || len(a.core.Peers("x.y")) != 1 || p.core.Neighbours("x.y") != 1 {
		t.Errorf("p knows %v, a knows %v", p.core.Peers("x.y"), a.core.Peers("x.y"))
	}
	if !a.has(NoticeTopic) || !p.has(NoticePeerUp) {
		t.Error("nobody was told")
	}
}

func TestAgreementOpensNoSession(t *testing.T) {
	n := newNetwork(t, 8)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	b.skew = -5 * time.Second
	n.connect(a, b)
	for range 3000 {
		a.publish("x", 1)
		b.publish("x", 1)
		n.run(20 * time.Millisecond)
	}
	n.run(2 * time.Second)
	n.expect("x", 6000, a, b)
	if s := a.core.Stats().Sessions + b.core.Stats().Sessions; s != 0 {
		t.Errorf("%d sessions between nodes in agreement; %v", s, n.sent)
	}
}
