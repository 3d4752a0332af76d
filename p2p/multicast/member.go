package multicast

import (
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/segment"
)

// memberChanged passes a change on, unless the peer is refused.
func (s *station) memberChanged(m segment.MemberChange) {
	peer := m.Member.Peer
	switch {
	case m.Kind == segment.Down:
		s.tellDown(peer)
	case !s.c.refuses(peer):
		s.tellUp(m.Member)
	}
}

func (s *station) tellUp(m segment.Member) {
	member := carrier.Member{Peer: m.Peer, Segment: s.name, Text: m.Text, Addrs: texts(m.Addrs)}
	_, known := s.told[m.Peer]
	s.told[m.Peer] = member
	s.memberEvents = append(s.memberEvents, linkEvent{kind: memberUp, member: member, anew: !known})
}

func (s *station) tellDown(p wire.PeerID) {
	if m, known := s.told[p]; known {
		delete(s.told, p)
		s.memberEvents = append(s.memberEvents, linkEvent{kind: memberDown, member: m})
	}
}

// settleMembers follows who is refused now.
func (s *station) settleMembers() {
	for p := range s.told {
		if s.c.refuses(p) {
			s.tellDown(p)
		}
	}
	for _, m := range s.engine.Members(nil) {
		if _, known := s.told[m.Peer]; !known && !s.c.refuses(m.Peer) {
			s.tellUp(m)
		}
	}
	s.publishMembers()
}

// forgetMembers tells that all are down.
func (s *station) forgetMembers() {
	for _, m := range s.heard() {
		s.tellDown(m.Peer)
	}
	s.publishMembers()
}

// publishMembers shows the members to whoever asks, and then tells the handler
// what changed, which may ask or send.
func (s *station) publishMembers() {
	if len(s.memberEvents) == 0 {
		return
	}
	all := make([]carrier.Member, 0, len(s.told))
	for _, m := range s.told {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b carrier.Member) int { return cmpPeer(a.Peer, b.Peer) })
	s.members.Store(&all)
	for _, e := range s.memberEvents {
		s.deliver.event(e)
	}
	s.memberEvents = nil
}

// texts returns addresses in text form; what is none is left out.
func texts(addrs [][]byte) []string {
	var all []string
	for _, b := range addrs {
		if a, err := ma.NewMultiaddrBytes(b); err == nil {
			all = append(all, a.String())
		}
	}
	return all
}
