package main

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

// multicastRows says what a node does by multicast: first the mode and what
// holds it back, then a line or two for each interface.
func multicastRows(m *api.Multicast) []string {
	rows := []string{m.Mode + multicastState(m)}
	if len(m.Refusing) > 0 {
		rows = append(rows, "not on the allow-list of "+strings.Join(m.Refusing, ", "))
	}
	if m.Error != nil {
		rows = append(rows, "the interfaces cannot be listed: "+printable(*m.Error))
	}
	for i := range m.Segments {
		rows = append(rows, segmentRows(&m.Segments[i])...)
	}
	return rows
}

func multicastState(m *api.Multicast) string {
	if m.Inert == nil {
		return ", " + multicastKey(m)
	}
	switch bus.MulticastInert(*m.Inert) {
	case bus.MulticastWorks, bus.MulticastIsOff:
		return ""
	case bus.MulticastNoKey:
		return ", but inert: it has no key. Give the network one (--psk), list its peers (--allow), " +
			"or let all who know its name read along (--multicast-open)"
	case bus.MulticastNoneShares:
		if m.Allowed == 0 {
			return ", but inert: the allow-list names nobody else"
		}
		return fmt.Sprintf(", but inert: of %s on the allow-list none was met yet that lists this node too",
			countOf(m.Allowed, "peer"))
	case bus.MulticastNoInterface:
		if m.Error != nil {
			return ", but inert: no interface is known"
		}
		return ", but inert: no interface suits; see busnode doctor"
	}
	return ", but inert: " + printable(*m.Inert)
}

func multicastKey(m *api.Multicast) string {
	switch bus.MulticastKey(m.Key) {
	case bus.MulticastKeyNetwork:
		return "private to the network"
	case bus.MulticastKeyAgreed:
		return fmt.Sprintf("private to the allow-list, %d of %d share the key", len(m.Sharing), m.Allowed)
	case bus.MulticastKeyOpen:
		return "readable to all who know the network's name"
	case bus.MulticastKeyNone:
	}
	return "no key"
}

func segmentRows(s *api.Segment) []string {
	state := "idle"
	if s.Active {
		state = "active"
	}
	heard := "nobody heard"
	if s.Members > 0 {
		heard = countOf(s.Members, "node") + " heard"
	}
	if s.Uncovered > 0 {
		heard += fmt.Sprintf(", %d reached by no stream", s.Uncovered)
	}
	name := printable(s.Interface)
	if s.Sibling != nil {
		return []string{fmt.Sprintf("%s: silent for %s (%s)", name, ago(s.SinceS), printable(s.Reason))}
	}
	rows := []string{fmt.Sprintf("%s: %s for %s (%s), %s", name, state, ago(s.SinceS), printable(s.Reason), heard)}
	if s.DatagramsSent+s.DatagramsReceived == 0 {
		return rows
	}
	return append(rows, fmt.Sprintf("%s: sent %s datagrams, %s; received %s; lost by others %s; at most %s a second",
		name, humanize.Comma(int64(s.DatagramsSent)), size(int64(s.BytesSent)),
		humanize.Comma(int64(s.DatagramsReceived)), percent(s.Loss), bitRate(s.RateBits)))
}

func bitRate(bits int) string { return humanize.SIWithDigits(float64(bits), 1, "bit") }
