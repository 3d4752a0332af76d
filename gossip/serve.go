package gossip

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

const (
	// serveBatchesMax bounds the batches in one answer. The answers to WantsMax
	// wants fit a driver's outbox, so that none is dropped there.
	serveBatchesMax = 1024
	serveOverhead   = 320 // bytes of a batch beside its body, at most about

	// What one peer is served between two Takes, however much it wants: beyond
	// that it is told to ask again.
	servedPerTakeMax      = 8 * serveBatchesMax
	servedPerTakeMaxBytes = 8 << 20
)

// answer gathers the batches of one answer, within its limits.
type answer struct {
	c      *Core
	p      *peer
	resume []wire.Resume // few
	bytes  int
	n      int
	limit  int
}

func (c *Core) newAnswer(p *peer, maxBytes uint32, resume []wire.Resume) *answer {
	return &answer{c: c, p: p, limit: min(int(maxBytes), c.cfg.ServeMaxBytes), resume: resume}
}

// add sends the batch, or reports that there is no room for it.
func (s *answer) add(e *entry) bool {
	size := int(e.size) + serveOverhead
	if s.n > 0 && (s.bytes+size > s.limit || s.n >= serveBatchesMax) {
		return false
	}
	if !s.c.spare(s.p, size) {
		return false
	}
	s.n++
	s.bytes += size
	s.c.stats.WantsServed++
	if s.p.member() && s.c.answerAll(s.p, e) {
		return true
	}
	s.c.put(s.p, Send{
		Lane: Repair, Batch: e.id, Offset: s.offset(e), Parts: size > s.limit && s.limit <= slowServeBytes,
	})
	return true
}

// spare reports whether the peer may be sent a batch of so many bytes that it asks
// for, and counts it.
func (c *Core) spare(p *peer, size int) bool {
	if p.served >= servedPerTakeMax || p.servedBytes >= servedPerTakeMaxBytes {
		c.stats.AnswersCut++
		return false
	}
	if p.served == 0 {
		c.served = append(c.served, p)
	}
	p.served++
	p.servedBytes += size
	return true
}

// offset returns how much of the batch the peer has already.
func (s *answer) offset(e *entry) uint32 {
	for _, r := range s.resume {
		if r.ID == e.id.Short() {
			return r.Offset
		}
	}
	return 0
}

// mayServe reports whether the peer may be sent the author's batches: those of
// everybody if it wants the topic, its own in any case.
func (c *Core) mayServe(p *peer, t *topic, key wire.Author) bool {
	if t == nil {
		return false
	}
	tp := t.topicPeerOf(p)
	return tp != nil && (tp.wants || p.hasAuthor && p.author == key)
}

func (c *Core) receiveWant(p *peer, m *wire.Want) {
	t := c.topics[m.Topic]
	if !c.mayServe(p, t, m.Author) {
		c.stats.Unsolicited++
		c.send(p, Repair, &wire.Served{ID: m.ID})
		return
	}
	c.noteDeaf(p, t, m)
	more := false
	if a := t.authors[m.Author]; a != nil {
		s := c.newAnswer(p, m.MaxBytes, m.Resume)
		for i := a.search(wire.Mark{Epoch: m.After.Epoch, Seq: m.After.Seq + 1}); i < len(a.batches); i++ {
			e := a.batches[i]
			if e.start.Compare(m.Upto) > 0 {
				break
			}
			if e.state != held {
				continue
			}
			if more = !s.add(e); more {
				break
			}
		}
		c.resume(a, p, m.Upto, more)
	}
	c.send(p, Repair, &wire.Served{ID: m.ID, More: more})
}

// resumeMaxBytes bounds what is pushed at once to a peer that was behind, to
// close the rest of the distance.
const resumeMaxBytes = 512 << 10

// resume lets batches be pushed again to a peer that was behind, once an
// answer brings it up to what it asked for. What was published meanwhile is
// pushed, so that a steady stream does not keep the link in repair; if that is
// much, the peer is told how much more there is and asks again.
func (c *Core) resume(a *author, p *peer, upto wire.Mark, more bool) {
	l := c.linkTo(a, p)
	l.waiting = c.now
	if !l.suspended || more {
		return
	}
	rest := a.batches[a.search(wire.Mark{Epoch: upto.Epoch, Seq: upto.Seq + 1}):]
	bytes := 0
	for _, e := range rest {
		bytes += int(e.size)
	}
	if bytes > resumeMaxBytes {
		l.told = wire.Mark{}
		c.touchHead(a)
		return
	}
	l.suspended = false
	for _, e := range rest {
		if e.state == held {
			c.sendBatch(p, e.id)
		}
	}
}

func (c *Core) receiveWantIDs(p *peer, m *wire.WantIDs) {
	t := c.topics[m.Topic]
	if !c.mayServe(p, t, p.author) {
		c.stats.Unsolicited++
		c.send(p, Repair, &wire.Served{ID: m.ID})
		return
	}
	more := false
	s := c.newAnswer(p, m.MaxBytes, m.Resume)
	for _, id := range m.IDs {
		e := c.batches[id]
		if e == nil || e.author.topic != t || e.state != held || !c.mayServe(p, t, e.author.key) {
			continue
		}
		if more = !s.add(e); more {
			break
		}
	}
	c.send(p, Repair, &wire.Served{ID: m.ID, More: more})
}

// receiveOffer takes note of batches that the peer has and we lack.
func (c *Core) receiveOffer(p *peer, m *wire.Offer) {
	t := c.topics[m.Topic]
	var tp *topicPeer
	if t != nil {
		tp = t.topicPeerOf(p)
	}
	if tp == nil || !t.interested || c.now > p.session.offersUntil {
		c.stats.Unsolicited++ // not in an exchange
		return
	}
	c.addLack(tp, slices.DeleteFunc(m.IDs, func(id wire.ShortID) bool {
		e := c.batches[id]
		return e != nil && (e.state != lost || e.refill)
	}))
}

func (c *Core) receiveRefuse(p *peer, m *wire.Refuse) {
	if m.Author != c.self {
		c.stats.RefusedByPeers++
		return
	}
	c.stats.RefusedByPeers++
	c.noteRefused(p, m)
	c.notice(Notice{
		Kind: NoticeRefused, Peer: p.id, Topic: m.Topic, Author: m.Author, Mark: m.Mark, Reason: m.Reason,
	})
}
