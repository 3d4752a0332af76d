package gossip

import (
	"math/rand/v2"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// testSegment is a link that one frame reaches many over, as its carrier shows it: most
// frames arrive, in order, each member loses its own share; and beacons.
type testSegment struct {
	n       *network
	name    wire.PeerID
	rng     *rand.Rand
	members []*node
	heard   map[*node]map[*node]Time // by whom, whom, and when last
	loss    float64                  // of frames, for each receiver
	killed  bool                     // frames vanish, beacons do not
	rate    int                      // bytes a second that a member sends; 0: no limit
	free    map[*node]Time           // when a member has sent all it has to
	deaf    map[*node]bool           // nodes that neither hear nor are heard
	half    map[*node]bool           // nodes that hear beacons alone, and are heard
	frames  int                      // sent, but for beacons
	bytes   int                      // of these
	sentBy  map[*node]int            // frames, by member
}

const (
	testBeacon = time.Second
	testExpiry = 3500 * time.Millisecond
)

func (n *network) addSegment() *testSegment {
	n.segment = &testSegment{
		n: n, name: "segment:test", rng: rand.New(rand.NewPCG(n.rng.Uint64(), 7)),
		heard: map[*node]map[*node]Time{}, deaf: map[*node]bool{}, sentBy: map[*node]int{}, free: map[*node]Time{},
		half: map[*node]bool{},
	}
	return n.segment
}

// join makes the nodes members.
func (s *testSegment) join(nodes ...*node) {
	for _, x := range nodes {
		s.members = append(s.members, x)
		s.heard[x] = map[*node]Time{}
		x.core.SegmentUp(s.name)
		x.step()
		for i := range 3 {
			s.n.at(time.Duration(i)*300*time.Millisecond+s.jitter(50*time.Millisecond), func() { s.beacon(x) })
		}
		s.n.at(testBeacon, func() { s.beaconOn(x) })
	}
}

func (s *testSegment) jitter(d time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(d)))
}

func (s *testSegment) beaconOn(x *node) {
	s.beacon(x)
	s.expire(x)
	s.n.at(testBeacon*3/4+s.jitter(testBeacon/2), func() { s.beaconOn(x) })
}

// beacon tells all what x says of itself.
func (s *testSegment) beacon(x *node) {
	if x.dead || x.presence == nil || s.deaf[x] {
		return
	}
	text := wire.AppendMessage(nil, x.presence)
	for _, y := range s.members {
		if y == x || y.dead || s.deaf[y] || s.rng.Float64() < s.loss {
			continue
		}
		p, err := wire.ParsePresence(text)
		if err != nil {
			s.n.t.Fatal(err)
		}
		s.n.at(time.Millisecond, func() {
			_, known := s.heard[y][x]
			s.heard[y][x] = s.n.now
			y.core.MemberUp(s.name, x.id, p)
			if !known && y.links[x] == 0 {
				y.core.PeerUp(x.id, PeerInfo{Segment: s.name})
			}
			y.step()
		})
	}
}

// expire forgets whom x has not heard for long.
func (s *testSegment) expire(x *node) {
	for _, y := range s.members {
		at, known := s.heard[x][y]
		if !known || s.n.now < at.Add(testExpiry) {
			continue
		}
		delete(s.heard[x], y)
		x.core.MemberDown(s.name, y.id)
		if x.links[y] == 0 {
			x.core.PeerDown(y.id)
		}
		x.step()
	}
}

// fallBack makes y a member alone to x, whose stream to it has ended.
func (s *testSegment) fallBack(x, y *node) {
	if s == nil {
		return
	}
	if _, known := s.heard[x][y]; known {
		x.core.PeerUp(y.id, PeerInfo{Segment: s.name})
	}
}

// send sends what x's core hands out if it is for the segment, or a member alone.
func (s *testSegment) send(x *node, out Send) bool {
	if s == nil || x.mute {
		return false
	}
	var frame []byte
	if out.Msg != nil {
		frame = wire.AppendMessage(nil, out.Msg)
	} else {
		frame = wire.AppendPush(nil, x.log[out.Batch].batch.Raw, out.Lane == Repair)
	}
	s.frames++
	s.sentBy[x]++
	s.bytes += len(frame)
	var delay time.Duration
	if s.rate > 0 {
		s.free[x] = max(s.free[x], s.n.now).Add(time.Duration(len(frame)) * time.Second / time.Duration(s.rate))
		delay = time.Duration(s.free[x] - s.n.now)
	}
	if out.Msg == nil {
		core := x.core
		s.n.at(delay, func() {
			if x.core == core && s.n.now >= s.free[x] {
				core.SegmentSent(s.name)
				x.step()
			}
		})
	}
	if s.deaf[x] || s.killed {
		return true
	}
	for _, y := range s.members {
		if y == x || y.dead || s.deaf[y] || s.half[y] || out.To != s.name && out.To != y.id || s.rng.Float64() < s.loss {
			continue
		}
		s.n.at(delay+2*time.Millisecond, func() {
			if _, known := s.heard[y][x]; known && !s.deaf[y] {
				y.hear(s.name, x, frame)
			}
		})
	}
	return true
}

// hear takes in a frame that came over a segment.
func (x *node) hear(segment wire.PeerID, from *node, frame []byte) {
	if x.dead {
		return
	}
	for m, err := range wire.ParseFrame(frame) {
		if err != nil {
			x.net.t.Fatal(err)
		}
		if push, ok := m.(*wire.Push); ok {
			x.hlc = max(x.hlc, push.Batch.Header.Time)
			x.received++
			if x.pending[push.Batch.ID] == nil {
				x.pending[push.Batch.ID] = push.Batch
			}
		}
		x.core.ReceiveFrom(segment, from.id, m)
	}
	x.step()
}

// loseUnicast has all links carry nothing, which is noticed after a while.
func (n *network) loseUnicast(after time.Duration) {
	n.silent = true
	n.at(after, n.cutAll)
}

func (n *network) cutAll() {
	for i, x := range n.nodes {
		for _, y := range n.nodes[:i] {
			n.cut(x, y)
		}
	}
}

func (x *node) segmentState() SegmentState { return x.core.Segments()[0] }

// restart starts a node that crashed, on the segment again.
func (s *testSegment) restart(x *node) {
	s.heard[x] = map[*node]Time{}
	x.presence = nil
	x.start()
	x.core.SegmentUp(s.name)
	x.step()
}
