package gossip

import (
	"cmp"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// A head that is told in full takes some 70 bytes, most of them the author, its
// base and its epoch, which stay. So each connection gives them a number, and later
// heads of the author are told as number and sequence: some 5 bytes.

// numbers are those that this node gave on a connection.
type numbers struct {
	owners []*author // by number - 1
	next   uint32    // the number given last
}

// number is an author's on one connection.
type number struct {
	n     uint32 // 0: none
	epoch wire.Epoch
	base  wire.Mark
}

// stands reports whether the number stands for what is to be told of the author.
func (s *numbers) stands(a *author, x number) bool {
	return x.n != 0 && s.owners[x.n-1] == a && x.epoch == a.held.Epoch && x.base == a.base
}

// give returns a number that stands for the author from now on: the one that it has
// already, or a new one, or that of the author that was given one longest ago: from whom
// it was taken then.
func (s *numbers) give(a *author, old number) (x number, taken bool) {
	n := old.n
	if n == 0 || s.owners[n-1] != a {
		if s.next++; s.next > wire.NumbersMax {
			s.next = 1
		}
		n = s.next
		if taken = int(n) <= len(s.owners); !taken {
			s.owners = append(s.owners, a)
		}
		s.owners[n-1] = a
	}
	return number{n, a.held.Epoch, a.base}, taken
}

// numbered is what a peer's number stands for. The topic and the author need not be
// known here, nor stay so.
type numbered struct {
	topic  uint64 // its hash
	author wire.Author
	epoch  wire.Epoch
	base   wire.Mark
}

// noteNumbers notes what the peer's numbers stand for, whether the heads themselves are
// of use here or not: numbers are given one after another, so none may be missed.
func (p *peer) noteNumbers(topic uint64, heads []wire.Head) {
	if p.member() {
		return // it gives none
	}
	for i := range heads {
		h := &heads[i]
		n := int(h.Number)
		if n == 0 || n > wire.NumbersMax || n > len(p.numbered)+1 {
			continue
		}
		if n > len(p.numbered) {
			p.numbered = append(p.numbered, numbered{})
		}
		p.numbered[n-1] = numbered{topic, h.Author, h.Head.Epoch, h.Base}
	}
}

// topicPeerBy returns the relation of the peer and the topic with the hash, or nil.
func (p *peer) topicPeerBy(hash uint64) *topicPeer {
	i, ok := slices.BinarySearchFunc(p.topics, hash, func(tp *topicPeer, hash uint64) int {
		return cmp.Compare(tp.topic.hash, hash)
	})
	if !ok {
		return nil
	}
	return p.topics[i]
}

func (c *Core) receiveAdvance(p *peer, m *wire.Advance) {
	for _, h := range m.Heads {
		if h.Number == 0 || int(h.Number) > len(p.numbered) {
			c.stats.HeadsUnknown++ // of before we forgot what it told
			continue
		}
		x := p.numbered[h.Number-1]
		tp := p.topicPeerBy(x.topic)
		if tp == nil {
			c.stats.Unsolicited++
			continue
		}
		if t := tp.topic; t.interested || x.author == c.self {
			c.receiveHead(t, p, wire.Head{
				Author: x.author, Base: x.base, Head: wire.Mark{Epoch: x.epoch, Seq: h.Seq},
			}, nil)
		}
	}
	c.relieveBy(p)
}
