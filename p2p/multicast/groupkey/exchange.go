package groupkey

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// ID is the exchange's protocol.
const ID protocol.ID = "/busnode/group-key/1"

// AllowedMax bounds an allow-list.
const AllowedMax = 4096

const (
	talkMax  = 10 * time.Second // one exchange
	retryMin = time.Second
	retryMax = 30 * time.Second // also for peers that do not list this node: they may yet
	askPause = time.Second      // before the peer with the higher ID asks, for both hear of the connection

	answeredMax = 2 // exchanges of one peer at a time
)

// Errors that callers test with [errors.Is].
var (
	// ErrConfig says that a list cannot be used.
	ErrConfig = errors.New("groupkey: invalid allow-list")
	// ErrHostTaken says that another exchange runs on the host.
	ErrHostTaken = errors.New("groupkey: the host has a group key's exchange already")
)

// Config says what an exchange works with. Host and Network are required.
type Config struct {
	Host    host.Host
	Network string
	// Allowed are the peers that get the key and of whom it is taken. This
	// node's own ID among them is left out, so that all nodes can have one list.
	Allowed []wire.PeerID
	// File keeps the roots between runs; empty: they are forgotten.
	File   string
	Logger *slog.Logger // nil: slog.Default()
}

// Exchange is a node's part in agreeing on a group key. Its methods are safe
// for concurrent use.
type Exchange struct {
	cfg     Config
	log     *slog.Logger
	network tag
	changed chan struct{}
	wake    chan struct{}
	ctx     context.Context //nolint:containedctx // the exchange's own, ended by Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	ring    ring
	unsaved bool // the file could not be written as things are now
	peers   map[peer.ID]*listed
	stats   Stats
	started bool
	closed  bool
	stop    func() // undoes what Start did to the host
}

// listed is what is known of a peer on the list.
type listed struct {
	root     *record // the newest that both sides knew; nil: none
	asking   bool    // by us
	answered int     // streams of the peer's that are being answered
	failures int     // since the last that went well
	next     time.Time
	refuses  bool // its list has not this node
}

// New returns an exchange that talks to nobody before its Start. It reads the file, and
// makes and writes a root if there is none. The error wraps ErrConfig, ErrFile,
// ErrFileMode or the file system's.
func New(cfg Config) (*Exchange, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := &Exchange{
		cfg: cfg, log: cfg.Logger.With("component", "groupkey"), network: tagOf(cfg.Network),
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
		peers: map[peer.ID]*listed{},
	}
	if err := x.restore(); err != nil {
		cancel()
		return nil, err
	}
	return x, nil
}

// restore takes the roots of the last run, as far as there are any.
func (x *Exchange) restore() error {
	x.ring.offer = newRecord(0, time.Now())
	if x.cfg.File != "" {
		g, allowed, err := load(x.cfg.File, x.cfg.Network)
		switch {
		case err == nil:
			x.ring = g
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		for _, p := range allowed { // so that Allow sees who is gone
			x.peers[p] = &listed{}
		}
	}
	return x.Allow(x.cfg.Allowed)
}

// Allow replaces the list. If somebody is taken off it, there is a new root.
// The error wraps ErrConfig, or tells that the file could not be written; then
// the list holds all the same until the node ends.
func (x *Exchange) Allow(allowed []wire.PeerID) error {
	if len(allowed) > AllowedMax {
		return fmt.Errorf("%w: %d peers, at most %d", ErrConfig, len(allowed), AllowedMax)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	peers := make(map[peer.ID]*listed, len(allowed))
	for _, p := range allowed {
		id := peer.ID(p)
		if id == x.cfg.Host.ID() {
			continue
		}
		if peers[id] = x.peers[id]; peers[id] == nil {
			peers[id] = &listed{}
		}
	}
	for id := range x.peers {
		if peers[id] != nil {
			continue
		}
		x.log.Info("new group key: a peer was taken off the allow-list", "peer", id)
		x.ring.renew(time.Now())
		break
	}
	x.peers = peers
	signal(x.wake)
	return x.save()
}

// save writes the file. x.mu is held: the file is small, and the calls are rare.
func (x *Exchange) save() error {
	if x.cfg.File == "" {
		return nil
	}
	allowed := make([]peer.ID, 0, len(x.peers))
	for id := range x.peers {
		allowed = append(allowed, id)
	}
	slices.Sort(allowed)
	err := save(x.cfg.File, x.cfg.Network, &x.ring, allowed)
	x.unsaved = err != nil
	return err
}

// Start begins to answer listed peers and to ask those that are connected. The
// error wraps ErrHostTaken.
func (x *Exchange) Start() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.started || x.closed {
		return nil
	}
	if slices.Contains(x.cfg.Host.Mux().Protocols(), ID) {
		return ErrHostTaken
	}
	x.started = true
	notifiee := &network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) { signal(x.wake) }}
	x.cfg.Host.Network().Notify(notifiee)
	x.cfg.Host.SetStreamHandler(ID, x.accept)
	x.stop = func() {
		x.cfg.Host.RemoveStreamHandler(ID)
		x.cfg.Host.Network().StopNotify(notifiee)
	}
	x.wg.Go(x.run)
	return nil
}

// Close ends all exchanges. It is idempotent.
func (x *Exchange) Close() {
	x.mu.Lock()
	stop := x.stop
	x.stop, x.closed = nil, true
	x.mu.Unlock()
	x.cancel()
	if stop != nil {
		stop()
	}
	x.wg.Wait()
}

// Roots returns the root that seals, first, and the one before it while that
// opens; none while no listed peer has the same.
func (x *Exchange) Roots() []datagram.Root {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ring.roots(time.Now())
}

// Changed returns a channel that has a value after [Exchange.Roots] changed. It
// is for one reader.
func (x *Exchange) Changed() <-chan struct{} { return x.changed }

// run asks peers when there is a reason to.
func (x *Exchange) run() {
	var ending <-chan time.Time // of the old root
	for {
		next := x.askDue(time.Now())
		if d := x.oldEnds(time.Now()); d > 0 {
			ending = time.After(d)
		}
		timer := time.NewTimer(next)
		select {
		case <-x.wake:
		case <-timer.C:
		case <-ending:
			ending = nil
			signal(x.changed)
		case <-x.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// oldEnds returns for how long the old root will open; 0: there is none.
func (x *Exchange) oldEnds(now time.Time) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ring.old == nil {
		return 0
	}
	return max(0, x.ring.retired.Add(Overlap).Sub(now))
}

// askDue starts the exchanges that are due, and returns when to look again.
func (x *Exchange) askDue(now time.Time) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	next := retryMax
	for id, p := range x.peers {
		if p.asking || p.root != nil && *p.root == x.ring.offer {
			continue
		}
		if x.cfg.Host.Network().Connectedness(id) == network.NotConnected {
			p.next, p.failures = time.Time{}, 0
			continue
		}
		if p.next.IsZero() {
			p.next = now
			if x.cfg.Host.ID() > id {
				p.next = now.Add(askPause)
			}
		}
		if wait := p.next.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		p.asking = true
		x.wg.Go(func() { x.ask(id, p) })
	}
	return next
}

// ask opens an exchange with a peer.
func (x *Exchange) ask(id peer.ID, p *listed) {
	best, err := x.exchange(id)
	x.mu.Lock()
	defer x.mu.Unlock()
	p.asking = false
	if err == nil {
		x.agreed(id, best)
		return
	}
	x.failed(id, p, err)
}

func (x *Exchange) failed(id peer.ID, p *listed, err error) {
	switch {
	case x.ctx.Err() != nil, errors.Is(err, errGone):
		return
	case errors.Is(err, errUnlisted):
		x.stats.Unwanted++
		if !p.refuses {
			x.log.Warn("no group key from a peer: this node is not on its allow-list", "peer", id)
		}
		p.refuses = true
		p.failures = 16 // it may list this node any time, but not because it is asked
	default:
		x.stats.Failed++
		x.log.Debug("no group key exchanged", "peer", id, "err", err)
	}
	d := min(retryMin<<min(p.failures, 16), retryMax)
	p.failures++
	p.next = time.Now().Add(d/2 + rand.N(d/2))
	signal(x.wake)
}

func (x *Exchange) exchange(id peer.ID) (record, error) {
	ctx, cancel := context.WithTimeout(x.ctx, talkMax)
	defer cancel()
	s, err := x.cfg.Host.NewStream(network.WithNoDial(network.WithAllowLimitedConn(ctx, "busnode"), "busnode"), id, ID)
	if err != nil {
		return record{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() }) // ask sees the reset
	defer stop()
	x.mu.Lock()
	ours, listed := x.ring.offer, x.peers[id] != nil
	x.mu.Unlock()
	if !listed { // it was taken off the list meanwhile, and the offer is not for it
		_ = s.Reset() // it is given up either way
		return record{}, errGone
	}
	best, err := ask(s, x.network, ours)
	if err != nil {
		_ = s.Reset() // it is given up either way
		return record{}, err
	}
	_ = s.Close() // all is said
	return best, nil
}

// accept is the host's stream handler.
func (x *Exchange) accept(s network.Stream) {
	id := s.Conn().RemotePeer()
	err := s.SetDeadline(time.Now().Add(talkMax))
	p, ours, v := x.admit(id)
	if v != verdictAgreed {
		x.log.Debug("no group key given to a peer", "peer", id, "reason", v.err())
		_, _ = s.Write([]byte{byte(v)}) // costs no more than a reset, and tells an operator what is wrong
		_ = s.Close()
		return
	}
	stop := context.AfterFunc(x.ctx, func() { _ = s.Reset() }) // answer sees the reset
	defer stop()
	var best record
	if err == nil {
		best, err = answer(s, x.network, ours)
	}
	x.mu.Lock()
	p.answered--
	if err == nil && !x.agreed(id, best) {
		err = errUnlisted // meanwhile
	}
	if errors.Is(err, errNetwork) {
		x.stats.OtherNetwork++
	}
	x.mu.Unlock()
	if err != nil {
		x.log.Debug("no group key exchanged", "peer", id, "err", err)
		_ = s.Close() // lets a verdict out
		return
	}
	_, _ = s.Write([]byte{byte(verdictAgreed)}) // the peer asks again if it does not come
	_ = s.Close()
}

// admit says whether a peer is answered. A peer has few exchanges at a time, so
// that the list bounds them all.
func (x *Exchange) admit(id peer.ID) (*listed, record, verdict) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.peers[id]
	switch {
	case p == nil:
		x.stats.Refused++
		return nil, record{}, verdictUnlisted
	case x.closed || p.answered >= answeredMax:
		x.stats.Failed++
		return nil, record{}, verdictBusy
	}
	p.answered++
	return p, x.ring.offer, verdictAgreed
}

// agreed hears that a peer and this node know a root, and reports whether the
// peer is still listed. x.mu is held.
func (x *Exchange) agreed(id peer.ID, r record) bool {
	p := x.peers[id]
	if p == nil {
		return false
	}
	x.stats.Exchanged++
	p.root, p.refuses, p.failures, p.next = &r, false, 0, time.Time{}
	before := x.ring
	if x.ring.known(r, time.Now()) {
		x.log.Info("group key agreed", "peer", id, "generation", r.generation)
		signal(x.changed)
	}
	if before != x.ring || x.unsaved {
		if err := x.save(); err != nil {
			x.log.Error("the group key is not kept for the next start", "err", err)
		}
	}
	if before.offer != x.ring.offer || r != x.ring.offer {
		signal(x.wake) // others have to hear of it
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
