package api

import (
	"time"

	"github.com/busnode/busnode/bus"
)

// Multicast says what a node does by multicast.
type Multicast struct {
	Mode  string  `json:"mode"`  // "off", "fallback" or "always"
	Key   string  `json:"key"`   // "network", "allow-list", "open" or "none"
	Inert *string `json:"inert"` // null; or why nothing is sent or heard: "off", "no-key", "not-agreed", "no-interface"

	Allowed  int       `json:"allowed"`  // peers on the allow-list whose key this is
	Sharing  []string  `json:"sharing"`  // of them, those known to have the present key
	Refusing []string  `json:"refusing"` // of them, those whose list has not this node
	Segments []Segment `json:"segments"`
	Error    *string   `json:"error"` // null; or why the network interfaces cannot be listed
}

// Segment is a node's place on the wire of an interface.
type Segment struct {
	Interface string  `json:"interface"`
	Active    bool    `json:"active"`
	Reason    string  `json:"reason"`
	SinceS    float64 `json:"since_s"` // for how long it has been active, or not
	Members   int     `json:"members"`
	Uncovered int     `json:"uncovered"`

	RateBits          int     `json:"rate_bits_per_s"`
	Loss              float64 `json:"loss"` // 0 to 1
	DatagramsSent     uint64  `json:"datagrams_sent"`
	BytesSent         uint64  `json:"bytes_sent"`
	DatagramsReceived uint64  `json:"datagrams_received"`
	Parity            uint64  `json:"parity"`
	Repairs           uint64  `json:"repairs"`
	FramesSent        uint64  `json:"frames_sent"`
	FramesReceived    uint64  `json:"frames_received"`
	FramesLost        uint64  `json:"frames_lost"`
	Refused           uint64  `json:"refused"`
	Sibling           *string `json:"sibling"` // null; or the interface on the same wire that is used in its stead
}

func multicastOf(m bus.MulticastStatus) Multicast {
	out := Multicast{
		Mode: m.Mode.String(), Key: string(m.Key), Allowed: m.Allowed,
		Sharing: texts(m.Sharing), Refusing: texts(m.Refusing), Segments: []Segment{},
	}
	if m.Inert != bus.MulticastWorks {
		inert := string(m.Inert)
		out.Inert = &inert
	}
	if m.Err != nil {
		text := m.Err.Error()
		out.Error = &text
	}
	for _, s := range m.Segments {
		out.Segments = append(out.Segments, segmentOf(&s))
	}
	return out
}

func segmentOf(s *bus.Segment) Segment {
	f := &s.Figures
	out := Segment{
		Interface: s.Interface, Active: s.Active, Reason: s.Reason, SinceS: seconds(time.Since(s.Since)),
		Members: s.Members, Uncovered: s.Uncovered, RateBits: f.Rate, Loss: f.Loss,
		DatagramsSent: f.DatagramsSent, BytesSent: f.BytesSent, DatagramsReceived: f.DatagramsReceived,
		Parity: f.Parity, Repairs: f.Repairs,
		FramesSent: f.FramesSent, FramesReceived: f.FramesReceived, FramesLost: f.FramesLost, Refused: f.Refused,
	}
	if s.Sibling != "" {
		out.Sibling = &s.Sibling
	}
	return out
}

func texts(ids []bus.PeerID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	return list
}
