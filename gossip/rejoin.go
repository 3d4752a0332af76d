package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// When a network is cut in two, the view replaces the peers behind the cut by
// others on this side; and when the cut is gone, nobody lacks anybody: the overlays
// would stay two for good. So a node remembers some of the peers that it lost
// without a word, apart from the passive set whose places others take, and tries
// one now and then, whether somebody is lacking or not. Where one is back others
// probably are, and all are tried at once.
//
// HyParView (DSN 2007) has nothing of the kind: it heals what remains.

const (
	lostMax      = 16                     // lost peers that are remembered
	probeEvery   = 5 * time.Second        // between two tries
	probeAgain   = 200 * time.Millisecond // the same, after a success
	lostTriesMax = 12                     // failed tries in a row until a peer is forgotten: about an hour
)

// lostPeer is a peer that went down without having said so.
type lostPeer struct {
	record  wire.Record
	strikes int  // failed tries in a row
	after   Time // not to be tried before
	tried   Time // when the try under way began; Never: there is none
}

// rememberLost notes a peer that was lost; among too many, chance decides.
func (c *Core) rememberLost(p *peer) {
	v := &c.view
	if c.cfg.NoPeerExchange || p.record.Signed == nil || v.findLost(p.id) >= 0 {
		return
	}
	l := lostPeer{record: p.record, after: c.now.Add(c.jitter(probeEvery)), tried: Never}
	if len(v.lost) < lostMax {
		v.lost = append(v.lost, l)
	} else {
		v.lost[c.rngView.IntN(len(v.lost))] = l
	}
	v.probeAt = min(v.probeAt, l.after)
}

func (v *viewState) findLost(id wire.PeerID) int {
	return slices.IndexFunc(v.lost, func(l lostPeer) bool { return l.record.Peer == id })
}

// trying reports whether the peer is one that was lost and is being tried.
func (v *viewState) trying(id wire.PeerID) bool {
	i := v.findLost(id)
	return i >= 0 && v.lost[i].tried != Never
}

// foundLost forgets that the peer was lost: it is up again.
func (c *Core) foundLost(id wire.PeerID) {
	v := &c.view
	i := v.findLost(id)
	if i < 0 {
		return
	}
	v.lost = slices.Delete(v.lost, i, i+1)
	for i := range v.lost {
		v.lost[i].after = c.now
	}
	v.probeAt = c.now.Add(c.jitter(probeAgain))
}

// lostFailed notes that a lost peer could not be reached, if it is one.
func (c *Core) lostFailed(id wire.PeerID) {
	if i := c.view.findLost(id); i >= 0 && c.view.lost[i].tried != Never {
		c.strikeLost(i)
	}
}

func (c *Core) strikeLost(i int) {
	v := &c.view
	l := &v.lost[i]
	c.stats.DialsFailed++
	l.strikes++
	l.tried = Never
	l.after = c.now.Add(c.failedWait(l.strikes))
	if l.strikes >= lostTriesMax {
		v.lost = slices.Delete(v.lost, i, i+1)
	}
}

// probeLost tries the lost peer that failed least, of those that may be tried.
func (c *Core) probeLost() {
	v := &c.view
	v.probeAt = Never
	for i := len(v.lost) - 1; i >= 0; i-- {
		if l := &v.lost[i]; l.tried != Never && c.now >= l.tried.Add(wishTimeout) {
			c.strikeLost(i) // nothing was heard of it
		}
	}
	if len(v.lost) == 0 {
		return
	}
	v.probeAt = c.now.Add(c.jitter(probeEvery))
	var best *lostPeer
	for _, i := range c.rngView.Perm(len(v.lost)) {
		l := &v.lost[i]
		if k := v.known[l.record.Peer]; l.tried != Never || l.after > c.now || k != nil && k.dialling {
			continue
		}
		if best == nil || l.strikes < best.strikes {
			best = l
		}
	}
	v.dials.fill(c.now, dialRate, wishesMax)
	if best == nil || v.dials.level <= 0 || c.connected+v.dialling >= c.cfg.PeersMax {
		return
	}
	best.tried = c.now
	v.dials.level--
	c.stats.DialsWished++
	c.out.Dial = append(c.out.Dial, best.record)
}
