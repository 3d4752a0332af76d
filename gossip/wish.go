package gossip

import (
	"cmp"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Wishes: whenever a topic has fewer peers than it should, the node asks its caller
// to dial some of the passive set. How often depends on nothing that others tell.

const (
	wishesMax     = 16                     // dials under way
	dialRate      = 4                      // dials a second, after a burst of wishesMax
	wishDelayMax  = 100 * time.Millisecond // from a loss to the wish, so that losses of one moment count together
	wishTimeout   = 20 * time.Second       // a dial of which nothing is heard for so long has failed
	expectMax     = 5 * time.Second        // so long a peer that came up counts for the topics it is known for
	failedWait    = 5 * time.Second        // after a failed dial; doubled with each
	failedWaitMax = 10 * time.Minute
	failedMax     = 4  // failed dials in a row until a peer is dropped that we only heard of
	failedMetMax  = 10 // the same for one that was up once
)

// wishSoon makes the node look at what its topics lack.
func (c *Core) wishSoon() {
	v := &c.view
	if len(v.list) > 0 && v.wishAt > c.now.Add(wishDelayMax) {
		v.wishAt = c.now.Add(1 + time.Duration(c.rngView.Int64N(int64(wishDelayMax))))
	}
}

// makeWishes wishes for as many peers as the topics lack, those first that did
// not fail lately, and of these those that serve most.
func (c *Core) makeWishes() {
	v := &c.view
	v.wishAt = Never
	c.expireDials()
	c.weigh()
	var ready []*known
	for _, k := range v.list {
		switch {
		case k.dialling:
			v.wishAt = min(v.wishAt, k.dialled.Add(wishTimeout))
		case k.weight == 0:
		case k.after > c.now:
			v.wishAt = min(v.wishAt, k.after)
		case v.trying(k.record.Peer):
			v.wishAt = min(v.wishAt, c.now.Add(probeEvery)) // it is being dialled
		default:
			ready = append(ready, k)
		}
	}
	c.rngView.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	slices.SortStableFunc(ready, func(x, y *known) int {
		return cmp.Or(cmp.Compare(x.strikes, y.strikes), cmp.Compare(y.weight, x.weight))
	})
	v.dials.fill(c.now, dialRate, wishesMax)
	for _, k := range ready {
		if !c.useful(k) {
			continue
		}
		if v.dialling >= wishesMax || v.dials.level <= 0 {
			v.wishAt = min(v.wishAt, c.now.Add(time.Second))
			break
		}
		c.dial(k)
	}
}

// expireDials ends the dials of which nothing is heard: they have failed.
func (c *Core) expireDials() {
	for _, k := range slices.Clone(c.view.list) {
		if k.dialling && c.now >= k.dialled.Add(wishTimeout) {
			c.failed(k)
		}
	}
}

// weigh reckons up what the topics miss, and how much each known peer would help:
// most where little is there.
func (c *Core) weigh() {
	for _, t := range c.topicList {
		t.missing = 0
		if len(t.passive) > 0 {
			t.missing = max(0, c.degree(t)-c.present(t))
		}
	}
	for _, p := range c.peerList {
		if c.now >= p.upAt.Add(expectMax) {
			continue
		}
		for _, t := range p.expected {
			if tp := t.topicPeerOf(p); tp == nil || !tp.wants {
				t.missing = max(0, t.missing-1) // it did not have the time to tell its interests
			}
		}
	}
	for _, k := range c.view.list {
		k.weight = 0
		for _, t := range k.topics {
			k.weight += t.missing
		}
	}
}

// useful reports whether the peer is still needed after the dials of this turn.
// With PeersMax connections only a topic that has next to none gets one more.
func (c *Core) useful(k *known) bool {
	room := c.connected+c.view.dialling < c.cfg.PeersMax
	return slices.ContainsFunc(k.topics, func(t *topic) bool {
		return t.missing > 0 && (room || t.missing+1 >= c.degree(t))
	})
}

func (c *Core) dial(k *known) {
	v := &c.view
	k.dialling, k.dialled = true, c.now
	v.dialling++
	v.dials.level--
	v.wishAt = min(v.wishAt, c.now.Add(wishTimeout))
	for _, t := range k.topics {
		t.missing = max(0, t.missing-1)
	}
	c.stats.DialsWished++
	c.out.Dial = append(c.out.Dial, k.record)
}

// failed notes a failed dial: the next comes later, or the peer is dropped.
func (c *Core) failed(k *known) {
	c.stats.DialsFailed++
	c.endDial(k)
	k.strikes++
	k.after = c.now.Add(c.failedWait(k.strikes))
	if k.strikes >= failedMetMax || k.strikes >= failedMax && !k.met {
		c.drop(k.record)
		c.forgetKnown(k, nil)
	}
}

func (c *Core) failedWait(strikes int) time.Duration {
	return c.jitter(min(failedWaitMax, failedWait<<min(strikes-1, 16)))
}

func (c *Core) endDial(k *known) {
	if k.dialling {
		k.dialling = false
		c.view.dialling--
	}
}

// DialFailed tells that the peer of an [Output.Dial] could not be reached.
func (c *Core) DialFailed(id wire.PeerID) {
	c.lostFailed(id)
	if k := c.view.known[id]; k != nil && k.dialling {
		c.failed(k)
		c.wishSoon()
	}
}
