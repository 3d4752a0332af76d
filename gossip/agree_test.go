package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// TestAgreementCostsNoExchange holds two nodes to what agreement may cost:
// heartbeats. Neither a clock that is off, nor rumors in flight, nor logs that
// trim at different times by different limits are a difference.
func TestAgreementCostsNoExchange(t *testing.T) {
	t.Run("of two nodes 5s apart", func(t *testing.T) { agree(t, 10*time.Minute, -5*time.Second, 0) })
	t.Run("with authors 5s behind both", func(t *testing.T) { agree(t, 3*time.Minute, 0, -5*time.Second) })
}

// agree has one of the two nodes, or the authors that only publish, off by a skew.
func agree(t *testing.T, lasts, skew, publisherSkew time.Duration) {
	const (
		rate    = 100 // events a second
		authors = 5
	)
	if testing.Short() {
		lasts = time.Minute
	}
	n := newNetwork(t, 70)
	n.latency = 50 * time.Millisecond
	young, old := testConfig(), testConfig()
	young.RetainAge, old.RetainAge = 40*time.Second, 55*time.Second
	a, b := n.add("a", young).interest("x"), n.add("b", old).interest("x")
	b.skew = skew
	publishers := []*node{a, b}
	for i := range authors - 2 {
		p := n.add(string(rune('p'+i)), testConfig()) // only publishes
		p.skew = publisherSkew
		n.connect(p, publishers[i%2])
		publishers = append(publishers, p)
	}
	n.connect(a, b)
	n.run(time.Second)
	// a trims by age above all, b one author after the other by its bytes.
	a.retainEvery(7*time.Second, limits{age: young.RetainAge, authorBytes: 400 << 10})
	b.retainEvery(3*time.Second, limits{age: old.RetainAge, authorBytes: 100 << 10})
	clear(n.sent)
	clear(a.sentBytes)
	clear(b.sentBytes)
	for i := range int(lasts.Seconds()) * rate {
		publishers[i%authors].publish("x", 1)
		n.run(time.Second / rate)
	}
	n.run(2 * time.Second)
	n.expect("x", int(lasts.Seconds())*rate, a, b)
	for _, x := range []*node{a, b} {
		s := x.core.Stats()
		if s.Sessions != 0 {
			t.Errorf("%s began %d exchanges with one it agrees with; %+v", x.name, s.Sessions, s)
		}
		if len(x.trimmed) == 0 || len(x.trimmed) == len(x.topics["x"]) {
			t.Errorf("%s trimmed %d of %d: the test shows nothing", x.name, len(x.trimmed), len(x.topics["x"]))
		}
		if s.Batches != len(x.log) {
			t.Errorf("%s knows of %d batches, its log holds %d", x.name, s.Batches, len(x.log))
		}
	}
	for _, kind := range exchangeMessages {
		if n.sent[kind] != 0 {
			t.Errorf("%d messages %s are sent", n.sent[kind], kind)
		}
	}
	for _, x := range []*node{a, b} {
		rate := float64(x.sentBytes["*wire.Heartbeat"]+x.sentBytes["*wire.Trimmed"]) / lasts.Seconds()
		t.Logf("%s: %.2f heartbeats and %.1f bytes of anti-entropy a second; bytes sent %v",
			x.name, float64(x.core.Stats().Heartbeats)/lasts.Seconds(), rate, x.sentBytes)
		if rate > 200 {
			t.Errorf("%s sends %.1f bytes of anti-entropy a second: more than a heartbeat and answers", x.name, rate)
		}
	}
}

// exchangeMessages are the messages that nodes in agreement do not send, by the
// names in network.sent.
var exchangeMessages = []string{
	"*wire.TopicDigests", "*wire.Open", "*wire.Answer", "*wire.Cells", "*wire.More",
	"*wire.Resolve", "*wire.Offer", "*wire.WantIDs",
}

// One author's clock is as far ahead as is accepted, another's is a little behind: the
// hybrid clock follows the former, and rumors of the latter are dated far behind it.
func TestAnAuthorAheadDoesNotMakeNodesDiffer(t *testing.T) {
	n := newNetwork(t, 92)
	n.latency = 50 * time.Millisecond
	var nodes []*node
	for i := range 4 {
		nodes = append(nodes, n.add(fmt.Sprint("n", i), testConfig()).interest("x"))
	}
	ahead, behind := n.add("ahead", testConfig()), n.add("behind", testConfig())
	ahead.skew, behind.skew = wire.FutureMax, -2*time.Second
	n.connectAll(nodes...)
	n.connect(ahead, nodes[0])
	n.connect(behind, nodes[1])
	n.run(time.Second)
	published := 0
	for i := range 3000 {
		if i%20 == 0 {
			ahead.publish("x", 1)
			published++
		}
		behind.publish("x", 1)
		published++
		n.run(20 * time.Millisecond)
	}
	n.run(5 * time.Second)
	n.expect("x", published, nodes...)
	for _, x := range nodes {
		if s := x.core.Stats(); s.Sessions > 0 {
			t.Errorf("%s begins %d exchanges; %d heartbeats differ", x.name, s.Sessions, s.HeartbeatsStale)
		}
	}
}
