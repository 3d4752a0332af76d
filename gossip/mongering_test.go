package gossip

import (
	"math"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// near reports whether got is within so many hundredths of want.
func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }

// The tables of Demers et al. 1987 are reproduced by gossip/sim. Here is what else their section 1.4
// says of residue, traffic and delay, with many rumors on their way at a time.

// paperTest skips where a test of so many contacts would take minutes.
func paperTest(t *testing.T) {
	if RaceEnabled {
		t.Skip("skipped: a core has no goroutines; runs without the race detector")
	}
}

// «Counters and feedback improve the delay, with counters playing a more
// significant role than feedback» and «s = e^-m» (section 1.4) for any push.
func TestPaperResidueOfAnyPushFollowsTraffic(t *testing.T) {
	paperTest(t)
	for _, m := range []Mongering{
		{Mode: Push, K: 1, Fanout: 1},
		{Mode: Push, K: 2, Fanout: 1, Coin: true},
		{Mode: Push, K: 2, Fanout: 1, Blind: true},
		{Mode: Push, K: 2, Fanout: 1, Blind: true, Coin: true},
		{Mode: Push, K: 1, Fanout: 2},
	} {
		o := mongerMany(t, m, 1000, 60)
		t.Logf("blind %v, coin %v, k %d, fanout %d: s %.4f, e^-m %.4f, m %.2f", m.Blind, m.Coin, m.K, m.Fanout, o.s,
			math.Exp(-o.m), o.m)
		if !near(o.s, math.Exp(-o.m), 20) {
			t.Errorf("%+v: s %.4f, e^-m %.4f", m, o.s, math.Exp(-o.m))
		}
	}
}

// «Connection limit»: with a limit of 1 «push gets significantly better»: s = e^-λm,
// λ = 1/(1 - e^-1), where nearly all sites are infective, and «pull gets significantly worse».
// «Hunting»: where all connect in the end, «push and pull become equivalent» (section 1.4).
func TestPaperConnectionLimitAndHunting(t *testing.T) {
	paperTest(t)
	push := Mongering{Mode: Push, K: 2, Fanout: 1, ConnectionLimit: 1}
	o := mongerMany(t, push, 1000, 60)
	lambda := 1 / (1 - math.Exp(-1))
	t.Logf("push, limit 1: s %.4f, e^-λm %.4f, e^-m %.4f", o.s, math.Exp(-lambda*o.m), math.Exp(-o.m))
	if o.s > 0.75*math.Exp(-o.m) {
		t.Errorf("push under a limit of 1: s %.4f, no better than e^-m = %.4f", o.s, math.Exp(-o.m))
	}
	push.Hunt = 8
	pushed := mongerMany(t, push, 1000, 60)
	if pushed.last > 0.9*o.last || pushed.s > o.s {
		t.Errorf("push that hunts: s %.4f, %.1f cycles; without: s %.4f, %.1f", pushed.s, pushed.last, o.s, o.last)
	}
	pull := Mongering{Mode: Pull, K: 1, Fanout: 1}
	free := mongerMany(t, pull, 1000, 60)
	pull.ConnectionLimit = 1
	limited := mongerMany(t, pull, 1000, 60)
	pull.Hunt, pull.K = 8, 2
	pulled := mongerMany(t, pull, 1000, 60)
	t.Logf("pull, k 1: s %.4f, limit 1 %.4f; hunting, k 2: push %.4f, pull %.4f", free.s, limited.s, pushed.s, pulled.s)
	if limited.s < 1.5*free.s {
		t.Errorf("pull: s %.4f, and no worse under a limit of 1: %.4f", free.s, limited.s)
	}
	if !near(pushed.s, pulled.s, 30) {
		t.Errorf("where all connect, push leaves %.4f and pull %.4f", pushed.s, pulled.s)
	}
}

// «Minimization»: «if both know, the site with the smaller counter increments»
// alone (section 1.4): fewer lose interest early, so fewer sites are missed.
func TestPaperMinimization(t *testing.T) {
	paperTest(t)
	m := Mongering{Mode: PushPull, K: 2, Fanout: 1}
	plain := mongerMany(t, m, 1000, 60)
	m.Minimize = true
	least := mongerMany(t, m, 1000, 60)
	t.Logf("push-pull, k 2: s %.4f, m %.2f; minimized: s %.4f, m %.2f", plain.s, plain.m, least.s, least.m)
	if least.s >= plain.s || least.m <= plain.m {
		t.Errorf("push-pull: s %.4f, m %.2f; minimized: s %.4f, m %.2f", plain.s, plain.m, least.s, least.m)
	}
}

// In push-pull a batch goes to a partner once, though the partner says that it
// needs what the contact names; and a rumor on both lists is a useless contact of both.
func TestPushPullByHand(t *testing.T) {
	n := newRounds(t, 1, 2, Mongering{Mode: PushPull, K: 1, Fanout: 1, Interval: time.Second})
	id := n.publish(0)
	n.run()
	if n.pushes != 1 {
		t.Errorf("%d pushes to one that needs the batch", n.pushes)
	}
	x := n.nodes[1]
	tick := func() {
		n.cycle++
		x.Tick(n.now(), testEpoch+wire.Time(n.now()))
		x.Take()
	}
	tick() // its own contact is lost, and answered by nobody
	x.Receive(n.peers[0], &wire.Contact{Topic: "x", Pull: true, Rumors: []wire.Rumor{{ID: id.Short()}}})
	out := x.Take()
	if len(out.Send) != 1 {
		t.Fatalf("a contact that names what is known is answered by %+v", out.Send)
	}
	f, ok := out.Send[0].Msg.(*wire.Feedback)
	if !ok || len(f.Rumors) != 1 || !f.Rumors[0].Known || f.Rumors[0].Need {
		t.Errorf("a contact that names what is known is answered by %+v", out.Send[0].Msg)
	}
	if tick(); x.State(id) != Removed {
		t.Errorf("after a useless contact with k = 1, a rumor is %d", x.State(id))
	}
}
