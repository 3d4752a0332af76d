package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

func TestAPublishOnlyNodeThatServedNothingOnceIsAskedAgain(t *testing.T) {
	n := newNetwork(t, 60)
	p, x := n.add("p", testConfig()), n.add("x", testConfig()).interest("x")
	n.connect(p, x)
	n.run(time.Second)
	n.dropPush, n.dropRepair = 1, 1
	p.publish("x", 1)
	n.run(300 * time.Millisecond)
	if x.core.Stats().WantsUnserved == 0 {
		t.Fatal("a want was to remain unserved")
	}
	n.dropPush, n.dropRepair = 0, 0
	n.run(45 * time.Second) // a strike's time and some
	n.expect("x", 1, x)
}

func TestAPublishOnlyNodesHeadOutlivesWhatForgotIt(t *testing.T) {
	// The joiner remembers the links of one author only, and holds more authors
	// than it would take on a peer's word.
	n := newNetwork(t, 61)
	cfg := testConfig()
	cfg.AuthorsMax = 1
	x := n.add("x", cfg).interest("x")
	for i := range 2 * hearsayFactor {
		a := n.add(fmt.Sprint("a", i), testConfig()).interest("x")
		n.connect(a, x)
		n.run(time.Second)
		a.publish("x", 1)
		n.run(time.Second)
		a.crash()
	}
	p := n.add("p", testConfig())
	p.publish("x", 1)
	n.connect(p, x)
	n.run(10 * time.Second)
	n.expect("x", 2*hearsayFactor+1, x)
}

func TestAnInterestThatReturnsGetsWhatAPublishOnlyNodePushedMeanwhile(t *testing.T) {
	for _, away := range []time.Duration{time.Millisecond, 15 * time.Millisecond, time.Second} {
		t.Run(fmt.Sprint(away), func(t *testing.T) {
			n := newNetwork(t, 62)
			p, x := n.add("p", testConfig()), n.add("x", testConfig()).interest("x")
			n.connect(p, x)
			n.run(time.Second)
			p.publish("x", 1)
			n.run(time.Second)
			p.publish("x", 1)
			x.core.RemoveInterest("x")
			x.step()
			n.run(away)
			x.interest("x")
			n.run(30 * time.Second)
			n.expect("x", 2, x)
		})
	}
}

// A publish-only node whose log is lost, and whose clock is behind what it had
// published, takes an epoch below those that others hold.
func TestAPublishOnlyNodeThatBeginsBelowItsPastIsHeard(t *testing.T) {
	n := newNetwork(t, 63)
	x, p := n.add("x", testConfig()).interest("x"), n.add("p", testConfig())
	n.connect(p, x)
	n.run(time.Second)
	publish := func(p *node) {
		for range 3 {
			p.publish("x", 1)
			n.run(100 * time.Millisecond)
		}
	}
	publish(p)
	n.run(time.Second)
	p.crash()
	p.log, p.order, p.topics = map[wire.BatchID]*logged{}, nil, map[string][]record{}
	p.skew, p.hlc = -20*time.Second, 0
	p.start()
	n.connect(p, x)
	n.run(time.Second)
	publish(p)
	n.run(30 * time.Second)
	if got := x.events("x"); got != 6 {
		t.Errorf("x reads %d events, want 6", got)
	}
}

func TestAPublishOnlyNodesDamagedBodyIsFetchedAgain(t *testing.T) {
	n := newNetwork(t, 48)
	p, a := n.add("p", testConfig()), n.add("a", testConfig()).interest("x")
	n.connect(p, a)
	n.run(time.Second)
	b := p.publish("x", 3)
	n.run(time.Second)
	p.core.Lost([]wire.BatchID{b.ID})
	p.step()
	n.run(time.Second)
	if s := p.core.Stats(); s.Restored != 1 {
		t.Errorf("%d of 1 restored; %+v", s.Restored, s)
	}
}
