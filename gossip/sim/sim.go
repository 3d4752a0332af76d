package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Start is what a clock that is right shows when a simulation begins.
const Start = wire.Time(1_800_000_000_000_000_000)

// network is the network's name in the batches' signatures.
const network = "sim"

// ErrParams is wrapped by errors about parameters that make no sense.
var ErrParams = errors.New("sim: invalid parameter")

// Sim is a virtual network of nodes. It is not safe for concurrent use; several
// may run side by side. Between two calls of [Sim.Run] anything may be done to it.
type Sim struct {
	Net    Network // may change while it runs; holds for frames sent from then on
	Faults Faults

	params Params
	rng    *rand.Rand // for the network; each node's core has its own
	now    gossip.Time
	queue  queue
	nodes  []*Node
	byID   map[wire.PeerID]*Node
	store  store
	walls  []*Partition
	watch  []Observer
	free   *delivery   // for use again
	frames []*delivery // scratch
	code   []byte      // scratch
	trace  uint64
	traced bool
	events uint64
	tally  Tally
}

// Params are what a simulation is made with. The zero value is a network
// without delays whose nodes have the default configuration.
type Params struct {
	Seed uint64
	// Config of the nodes' cores. Nil: gossip.DefaultConfig.
	Config *gossip.Config
	// Encode has every frame encoded and parsed, as on a wire; otherwise the
	// receiver is handed the sender's message, and the encoding is done for its
	// size alone. Corrupt frames need it.
	Encode bool
	// Trace has a hash kept of all that is sent. See [Sim.Trace].
	Trace bool
	// StoreDelay is how long the log takes to write. 0: no time, and the write is
	// done before anything else happens.
	StoreDelay time.Duration
	// DetectAfter is how long it takes until both ends of a link that carries
	// nothing any more take it for down. 0: 4 s, as the stream carrier's.
	DetectAfter time.Duration
	// Redial is the mean time between two attempts to bring a lost link of the
	// overlay back. 0: 1 s. Negative: never; the cores' wishes alone make links.
	Redial time.Duration
	// Exchange gives nodes a record, so that they tell each other of their
	// neighbours and connect as their cores wish.
	Exchange bool
}

const (
	detectAfter = 4 * time.Second
	redialEvery = time.Second
)

// New returns an empty network.
func New(p Params) *Sim {
	if p.DetectAfter == 0 {
		p.DetectAfter = detectAfter
	}
	if p.Redial == 0 {
		p.Redial = redialEvery
	}
	if p.Config == nil {
		cfg := gossip.DefaultConfig()
		p.Config = &cfg
	}
	return &Sim{
		params: p, traced: p.Trace,
		rng:  rand.New(rand.NewPCG(p.Seed, 0x73696d)),
		byID: map[wire.PeerID]*Node{}, store: newStore(), tally: newTally(0),
	}
}

// Now returns the time since the beginning.
func (s *Sim) Now() time.Duration { return time.Duration(s.now) }

// Nodes returns all nodes that were ever added, by index. The slice is the
// simulation's own.
func (s *Sim) Nodes() []*Node { return s.nodes }

// Events returns how many events were handled.
func (s *Sim) Events() uint64 { return s.events }

// Rand returns the source of randomness of whatever drives the simulation:
// with another seed it differs, and it is not the network's own.
func (s *Sim) Rand(purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.params.Seed, purpose))
}

// Trace returns a hash of all frames that were sent, with their times, and of
// all that was released: equal traces, equal runs. [Params.Trace] switches it on.
func (s *Sim) Trace() uint64 { return s.trace }

// note makes parts of the trace.
func (s *Sim) note(from, to, what int, bytes []byte) {
	if !s.traced {
		return
	}
	h := fnv.New64a()
	var b [40]byte
	for i, v := range [5]uint64{s.trace, uint64(s.now), uint64(from), uint64(to), uint64(what)} {
		for j := range 8 {
			b[8*i+j] = byte(v >> (8 * j))
		}
	}
	h.Write(b[:])
	h.Write(bytes)
	s.trace = h.Sum64()
}

// At calls do when d has passed from now.
func (s *Sim) At(d time.Duration, do func()) {
	s.queue.push(s.now.Add(max(d, 0)), call(do))
}

// Run lets d pass.
func (s *Sim) Run(d time.Duration) { s.RunUntil(d, endless) }

func endless() bool { return false }

// RunUntil lets time pass until done reports true, which is asked about every
// millisecond in which something happens, at most d. It returns whether done did.
func (s *Sim) RunUntil(d time.Duration, done func() bool) bool {
	const every = gossip.Time(time.Millisecond)
	end, ask := s.now.Add(d), s.now
	for len(s.queue.heap) > 0 && s.queue.heap[0].at <= end {
		if at := s.queue.heap[0].at; at >= ask {
			if done() {
				return true
			}
			ask = at + every
		}
		e := s.queue.pop()
		s.now = e.at
		s.events++
		e.do.happen(s, e.at)
	}
	s.now = end
	return done()
}

// Observer is told what happens at nodes. Embed [Ignore] for what is of no concern.
type Observer interface {
	Published(n *Node, batch int)
	// Stored: the node's log took the batch.
	Stored(n *Node, batch int)
	// Released: a subscription at the node may read the batch; late: its gap was
	// reported before.
	Released(n *Node, batch int, late bool)
	Gap(n *Node, g *gossip.Gap)
	// Stopped: the node is about to crash or to leave. Its core is there still.
	Stopped(n *Node)
	// Restarted: the node begins anew, with its log or (lost) without.
	Restarted(n *Node, lost bool)
	Notice(n *Node, x *gossip.Notice)
	// Sent: the message, or the batch if m is nil, leaves for the peer.
	Sent(n, peer *Node, m wire.Message, batch int)
	// Disconnected: the core asks to drop the peer.
	Disconnected(n, peer *Node, reason string)
}

// Ignore is an [Observer] that does nothing.
type Ignore struct{}

// Published does nothing.
func (Ignore) Published(*Node, int) {}

// Stored does nothing.
func (Ignore) Stored(*Node, int) {}

// Released does nothing.
func (Ignore) Released(*Node, int, bool) {}

// Gap does nothing.
func (Ignore) Gap(*Node, *gossip.Gap) {}

// Stopped does nothing.
func (Ignore) Stopped(*Node) {}

// Sent does nothing.
func (Ignore) Sent(*Node, *Node, wire.Message, int) {}

// Disconnected does nothing.
func (Ignore) Disconnected(*Node, *Node, string) {}

// Restarted does nothing.
func (Ignore) Restarted(*Node, bool) {}

// Notice does nothing.
func (Ignore) Notice(*Node, *gossip.Notice) {}

// Observe has o told of all that happens from now on.
func (s *Sim) Observe(o Observer) { s.watch = append(s.watch, o) }

// mustf ends a run in which the simulator itself, or a core's contract with its
// caller, is broken: nothing that comes after would mean anything.
func mustf(ok bool, format string, args ...any) {
	if !ok {
		panic("sim: " + fmt.Sprintf(format, args...))
	}
}
