package streams

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

const (
	handshakesMax       = 64 // that others have under way with us
	handshakesOfPeerMax = 4
	refusedMin          = time.Second
	refusedMax          = time.Minute
	refusalsMax         = 1024 // peers remembered
)

// accept is the host's stream handler: it lets the opener prove itself. A
// stranger costs it a slot and a few hundred bytes, for ten seconds at most.
func (c *Carrier) accept(lane carrier.Lane, s network.Stream) {
	p := s.Conn().RemotePeer()
	if c.ctx.Err() != nil || c.Refuses(p) {
		c.counter.handshakesRefused.Add(1)
		_ = s.ResetWithError(network.StreamGated) // the stream is given up either way
		return
	}
	taken, oldest := c.slots.take(p, s)
	if !taken {
		c.counter.handshakesRefused.Add(1)
		_ = s.ResetWithError(network.StreamRateLimited) // as above
		return
	}
	if oldest {
		c.counter.handshakesRefused.Add(1)
	}
	h := handshake{
		secret: c.cfg.Secret, protocol: string(protocols[lane]), initiator: p, responder: c.cfg.Host.ID(),
	}
	stop := context.AfterFunc(c.ctx, func() { _ = s.Reset() }) // the handshake sees the reset
	defer stop()
	err := s.SetDeadline(time.Now().Add(c.cfg.HandshakeMax))
	if err == nil {
		_, err = h.respond(metered{s, c})
	}
	c.slots.release(s) // before the deadline is lifted, which a newer handshake may have put in the past
	if err == nil {
		err = s.SetDeadline(time.Time{})
	}
	if err != nil {
		c.counter.handshakesFailed.Add(1)
		c.log.Debug("handshake failed", "peer", p, "err", err)
		if errors.Is(err, ErrOtherNetwork) || errors.Is(err, ErrHandshake) || errors.Is(err, wire.ErrVersion) {
			_ = s.Close() // lets the verdict out; the opener sees the end either way
			c.punish(p, err)
			return
		}
		_ = s.Reset() // as above
		return
	}
	c.refused.clear(p)
	if !c.adopt(p, &inbound{lane, s}) {
		_ = s.Reset() // as above
	}
}

// slots limits the handshakes under way, in all and for each peer. When all
// are taken the oldest one gives way: an honest handshake takes a few round
// trips, and peer IDs cost a stranger nothing, so those who linger must not
// keep others out.
type slots struct {
	mu    sync.Mutex // guards taken
	taken []slot     // oldest first
}

type slot struct {
	peer   peer.ID
	stream network.Stream
}

// take takes a slot for a stream, and reports whether the oldest handshake was
// ended for it.
func (s *slots) take(p peer.ID, stream network.Stream) (taken, oldest bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ofPeer := 0
	for _, other := range s.taken {
		if other.peer == p {
			ofPeer++
		}
	}
	if ofPeer >= handshakesOfPeerMax {
		return false, false
	}
	if oldest = len(s.taken) >= handshakesMax; oldest {
		_ = s.taken[0].stream.SetDeadline(time.Unix(1, 0)) // fails if the stream has ended, which serves as well
		s.taken = slices.Delete(s.taken, 0, 1)
	}
	s.taken = append(s.taken, slot{p, stream})
	return true, oldest
}

// release gives a stream's slot back, if it still has one.
func (s *slots) release(stream network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = slices.DeleteFunc(s.taken, func(other slot) bool { return other.stream == stream })
}

// punish refuses a peer that failed a handshake, longer each time.
func (c *Carrier) punish(p peer.ID, err error) {
	c.refused.strike(p, err)
	c.tellRefused(p, err)
}

// refusals are the peers that we have nothing to do with for now.
type refusals struct {
	mu     sync.Mutex // guards byPeer
	byPeer map[peer.ID]refusal
}

type refusal struct {
	until   time.Time
	strikes int
	err     error
}

// add refuses p for d.
func (r *refusals) add(p peer.ID, d time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(p, refusal{time.Now().Add(d), r.byPeer[p].strikes, err})
}

// strike refuses p for a second, and for twice as long each further time.
func (r *refusals) strike(p peer.ID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	strikes := r.byPeer[p].strikes
	d := min(refusedMin<<min(strikes, 10), refusedMax)
	r.put(p, refusal{time.Now().Add(d), strikes + 1, err})
}

// put remembers a refusal; it forgets others that are over, or any, to stay bounded.
func (r *refusals) put(p peer.ID, refused refusal) {
	if r.byPeer == nil {
		r.byPeer = make(map[peer.ID]refusal)
	}
	if len(r.byPeer) >= refusalsMax {
		now := time.Now()
		for other, o := range r.byPeer {
			if o.until.Before(now) || len(r.byPeer) >= refusalsMax {
				delete(r.byPeer, other)
			}
		}
	}
	r.byPeer[p] = refused
}

// until returns for how long p is still refused.
func (r *refusals) until(p peer.ID) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	refused, ok := r.byPeer[p]
	if !ok {
		return 0
	}
	return max(0, time.Until(refused.until))
}

// clear forgets the strikes of a peer that has proven itself.
func (r *refusals) clear(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if refused, ok := r.byPeer[p]; ok && time.Now().After(refused.until) {
		delete(r.byPeer, p)
	}
}
