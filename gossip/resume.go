package gossip

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// partial is a batch of which the driver keeps the first bytes.
type partial struct {
	id     wire.ShortID
	topic  string
	author wire.Author
	offset uint32
}

// partials are few: the driver bounds what it keeps.
type partials []partial

const partialsMax = 64 // the oldest is forgotten, and its batch asked for whole

// Partial tells that the driver keeps the first offset bytes of a batch whose
// transfer was cut off; 0: it keeps none any more.
func (c *Core) Partial(id wire.BatchID, h *wire.Header, offset int) {
	short := id.Short()
	c.partials = slices.DeleteFunc(c.partials, func(p partial) bool { return p.id == short })
	if offset == 0 || c.batch(id) != nil && c.batch(id).state != lost {
		return
	}
	if len(c.partials) == partialsMax {
		c.partials = slices.Delete(c.partials, 0, 1)
	}
	c.partials = append(c.partials, partial{short, h.Topic, h.Author, uint32(offset)})
}

// among returns what is kept of the batches.
func (s partials) among(ids []wire.ShortID) (resume []wire.Resume) {
	for _, p := range s {
		if len(resume) < wire.ResumesMax && slices.Contains(ids, p.id) {
			resume = append(resume, wire.Resume{ID: p.id, Offset: p.offset})
		}
	}
	return resume
}

// of returns what is kept of the author's batches on the topic.
func (s partials) of(topic string, key wire.Author) (resume []wire.Resume) {
	for _, p := range s {
		if len(resume) < wire.ResumesMax && p.topic == topic && p.author == key {
			resume = append(resume, wire.Resume{ID: p.id, Offset: p.offset})
		}
	}
	return resume
}

// slowestRate is the least that a peer must bring of what it was asked for, in
// bytes a second, for its wants not to time out.
const slowestRate = 4 << 10

// PartArrived tells that bytes of a batch came from the peer, and the batch's
// header, or nil if that is not here yet.
func (c *Core) PartArrived(from wire.PeerID, id wire.BatchID, h *wire.Header, bytes int) {
	p := c.peers[from]
	if p == nil || h == nil {
		return
	}
	for _, w := range p.wantList {
		if w.covers(id, h) {
			c.credit(p, bytes)
			return
		}
	}
}

// covers reports whether the batch is one that w asked for.
func (w *want) covers(id wire.BatchID, h *wire.Header) bool {
	if a := w.author; a != nil {
		return a.key == h.Author && a.topic.name == h.Topic
	}
	return w.topic.name == h.Topic && w.topic.lack.asked(id, w)
}

// credit notes bytes that the peer was asked for. All that is asked of it makes
// progress, for it serves in order, and its answers in exchanges wait behind
// them; but not for longer than the bytes are worth.
func (c *Core) credit(p *peer, bytes int) {
	for _, w := range p.wantList {
		w.bytes += bytes
		allowed := w.began.Add(c.cfg.WantTimeout) + Time(w.bytes/slowestRate)*1e9
		w.progress = max(w.progress, min(c.now, allowed))
	}
	for _, s := range p.session.open {
		s.progress = c.now
	}
	for _, a := range p.session.answered {
		a.progress = c.now
	}
}

// Spoiled tells that a batch of which the peer sent the last part was false, and
// that others had sent some of it: a want that brings nothing else is not held
// against the peer. Once only, until it brings something of use: two that lie
// together could spoil batch after batch, and be asked for ever.
func (c *Core) Spoiled(from wire.PeerID) {
	if p := c.peers[from]; p != nil {
		for _, w := range p.wantList {
			w.excused = true
		}
	}
}
