package gossip

import (
	"math"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// near reports whether got is within so many hundredths of want.
func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }

// paperTest skips where a test of so many contacts would take minutes.
func paperTest(t *testing.T) {
	if RaceEnabled {
		t.Skip("skipped: a core has no goroutines; runs without the race detector")
	}
}

// paperRow is a line of a table of Demers et al. as the literature's rules reproduce
// it over 2,000 runs, at 1,000 sites.
type paperRow struct {
	k          int
	s, m, last float64
}

// check compares what is measured over few runs with the row. What is sent is
// counted as the table counts it.
func (r paperRow) check(t *testing.T, o outcome, sent float64) {
	t.Helper()
	t.Logf("%d\t%.4f\t%.4f\t%.2f\t%.2f\t%.1f\t%.1f", r.k, o.s, r.s, sent, r.m, o.last, r.last)
	if !near(o.s, r.s, 15) || !near(sent, r.m, 8) || r.last > 0 && !near(o.last, r.last, 8) {
		t.Errorf("k = %d: s %.4f, m %.2f, t_last %.1f; want %.4f, %.2f, %.1f", r.k, o.s, sent, o.last, r.s, r.m, r.last)
	}
}

const paperHeader = "k\ts\twant\tm\twant\tt_last\twant"

// «Table 1. Performance of an epidemic on 1000 sites using feedback and counters»
// (section 1.4): «lose interest only if the recipient already knows the rumor», «after k
// unnecessary contacts».
func TestPaperTable1PushFeedbackCounter(t *testing.T) {
	paperTest(t)
	t.Log(paperHeader)
	for _, r := range []paperRow{{1, 0.175, 1.74, 16.8}, {2, 0.0368, 3.30, 17.0}, {3, 0.0107, 4.53, 17.3}} {
		o := mongerMany(t, Mongering{Mode: Push, K: r.k, Fanout: 1}, 1000, 80)
		r.check(t, o, o.m)
	}
}

// «Table 2. Performance of an epidemic on 1000 sites using blind and coin»
// (section 1.4): «lose interest with probability 1/k regardless of the recipient».
func TestPaperTable2PushBlindCoin(t *testing.T) {
	paperTest(t)
	t.Log(paperHeader)
	for _, r := range []paperRow{{2, 0.203, 1.59, 32.7}, {3, 0.060, 2.82, 31.6}} {
		o := mongerMany(t, Mongering{Mode: Push, Blind: true, Coin: true, K: r.k, Fanout: 1}, 1000, 100)
		r.check(t, o, o.m)
	}
}

// «Table 3. Performance of a pull epidemic on 1000 sites using feedback and counters»
// (section 1.4), with its rule: «if any recipient needs the update then the counter is reset; if
// all recipients did not need the update then one is added». m counts answers that carry the
// update: here they name it, and it is sent where it is needed alone.
func TestPaperTable3PullFeedbackCounter(t *testing.T) {
	paperTest(t)
	t.Log(paperHeader)
	row := paperRow{1, 0.032, 2.7, 0}
	o := mongerMany(t, Mongering{Mode: Pull, K: 1, Fanout: 1}, 1000, 60)
	row.check(t, o, o.named)
	if o.m > 1 {
		t.Errorf("%.3f batches sent a node where none is sent but on demand", o.m)
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
