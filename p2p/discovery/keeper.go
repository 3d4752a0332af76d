package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	dialsMax    = 32              // under way at once
	dialsKept   = 8               // of them for named peers, so that a crowd of lost ones does not delay these
	dialMax     = 8 * time.Second // one dial; libp2p gives up a local address after 5 s
	fileEvery   = 5 * time.Second // at most
	mdnsPause   = time.Second     // before the peer with the higher ID dials, for both find each other
	peersWanted = 64
)

// Config says what a keeper works with. Host is required.
type Config struct {
	Host   host.Host
	Static []peer.AddrInfo
	// File holds the last good peers; empty: they are not kept.
	File string
	// MDNS is the name of the service to look for and to announce; empty: none.
	MDNS string
	// LinksWanted is the number of links above which only static peers and those
	// of Ask are dialled. 0: 64.
	LinksWanted int
	// Refuses says which peers not to dial for now; nil: none.
	Refuses func(peer.ID) bool
	Logger  *slog.Logger // nil: slog.Default()
}

// Status is what a keeper knows of one peer.
type Status struct {
	ID       peer.ID
	Addrs    []ma.Multiaddr
	Source   Source
	Linked   bool
	Failures int   // tries since the last link
	Err      error // of the newest try, nil once linked
}

// Keeper keeps connections to the known peers.
type Keeper struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context //nolint:containedctx // the keeper's own, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}
	moved  chan struct{} // the host's addresses have changed

	mu      sync.Mutex // guards the fields below
	book    book
	links   int
	dials   int
	dirty   bool // the file is out of date
	started bool
	closed  bool
}

// New returns a keeper that dials nobody before its Start. It reads the file
// of last good peers; one that cannot be read is logged and replaced.
func New(cfg Config) *Keeper {
	cfg.LinksWanted = cmp.Or(cfg.LinksWanted, peersWanted)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Refuses == nil {
		cfg.Refuses = func(peer.ID) bool { return false }
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &Keeper{
		cfg: cfg, log: cfg.Logger.With("component", "discovery"), ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), moved: make(chan struct{}, 1), book: make(book),
	}
	for _, info := range cfg.Static {
		k.add(info, SourceStatic)
	}
	if cfg.File == "" {
		return k
	}
	infos, err := readPeers(cfg.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.log.Warn("cannot read all last good peers", "file", cfg.File, "err", err)
	}
	for _, info := range infos {
		if e := k.add(info, SourceFile); e != nil {
			e.good = true
		}
	}
	return k
}

// Start begins to dial and to look around.
func (k *Keeper) Start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.started {
		return
	}
	k.started = true
	k.wg.Go(k.run)
	if k.cfg.MDNS != "" {
		k.wg.Go(k.runMDNS)
	}
}

// Close ends everything and writes the file. It is idempotent.
func (k *Keeper) Close() error {
	k.mu.Lock()
	first := !k.closed
	k.closed = true
	k.mu.Unlock()
	k.cancel()
	k.wg.Wait()
	if !first {
		return nil
	}
	return k.save()
}

// Ask makes a peer known and dials it soon. A non-nil error means that it is
// the host's own ID or the book is full.
func (k *Keeper) Ask(info peer.AddrInfo) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.add(info, SourceAsked)
	if e == nil {
		return fmt.Errorf("%w: %s is this node, or too many peers are known", ErrAddress, info.ID)
	}
	e.avoid = time.Time{}
	k.hurry(e)
	return nil
}

// Retry dials the peers, avoided or not, without waiting for their next turn.
func (k *Keeper) Retry(peers ...peer.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range peers {
		if e := k.book[p]; e != nil {
			e.avoid = time.Time{}
			k.hurry(e)
		}
	}
}

// Up hears that a link to the peer is up over the connection.
func (k *Keeper) Up(p peer.ID, conn network.Conn) {
	var addrs []ma.Multiaddr
	if conn.Stat().Direction == network.DirOutbound {
		addrs = append(addrs, conn.RemoteMultiaddr())
	}
	addrs = mergeAddrs(addrs, k.cfg.Host.Peerstore().Addrs(p))
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.add(peer.AddrInfo{ID: p, Addrs: addrs}, SourceSeen)
	if e == nil {
		return
	}
	if e.warned {
		k.log.Info("peer is back", "peer", p, "failures", e.failures)
	}
	switch {
	case !e.named():
		e.addrs = mergeAddrs(addrs, e.addrs) // where it was before may be taken
	case len(addrs) > 0 && conn.Stat().Direction == network.DirOutbound:
		e.addrs = mergeAddrs(addrs[:1], e.addrs)
	}
	if !e.linked {
		k.links++
	}
	e.linked, e.good, e.warned, e.err, e.changed = true, true, false, nil, time.Now()
	e.avoid = time.Time{}
	k.dirty = true
	k.signal()
}

// Down hears that the link is down.
func (k *Keeper) Down(p peer.ID, reason error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.book[p]
	if e == nil || !e.linked {
		return
	}
	now := time.Now()
	e.linked, e.err = false, reason
	k.links--
	switch {
	case e.avoid.After(now):
		e.err = nil // as it should be
		k.hurry(e)
	case now.Sub(e.changed) >= linkFair:
		k.hurry(e)
	default:
		e.failed(now, reason)
	}
	e.changed = now
	k.signal()
}

// Avoid keeps the peer from being dialled for a while, unless there is no link at
// all: it or this node has too many connections. One that nobody named is left to
// others for longer: who knows better whom to connect to says so by dialling.
func (k *Keeper) Avoid(p peer.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.book[p]
	if e == nil {
		return
	}
	wait := avoidFar
	if e.named() {
		wait = avoidNamed
	}
	e.avoid = time.Now().Add(wait/2 + jitter(wait))
}

// Refused hears that the peer and this node will not have each other for now.
func (k *Keeper) Refused(p peer.ID, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.book[p]
	if e == nil {
		return
	}
	e.err = err
	k.warn(e, "peer refused")
}

// AddrsChanged hears that the host's addresses have changed.
func (k *Keeper) AddrsChanged() { signal(k.moved) }

// Status returns what is known of the peers, in order of ID.
func (k *Keeper) Status() []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]Status, 0, len(k.book))
	for _, e := range k.book {
		all = append(all, Status{
			ID: e.id, Addrs: slices.Clone(e.addrs), Source: e.source, Linked: e.linked, Failures: e.failures, Err: e.err,
		})
	}
	slices.SortFunc(all, func(x, y Status) int { return cmp.Compare(x.ID, y.ID) })
	return all
}

func (k *Keeper) add(info peer.AddrInfo, source Source) *entry {
	if info.ID == k.cfg.Host.ID() {
		return nil
	}
	return k.book.add(info, source)
}

// hurry sets the peer's next try to about now: with jitter, for the other side
// may have lost the same link at the same time.
func (k *Keeper) hurry(e *entry) {
	e.failures = 0
	e.next = time.Now().Add(jitter(50 * time.Millisecond))
	k.signal()
}

// warn logs a static peer's trouble once until it is back; others' is ordinary.
func (k *Keeper) warn(e *entry, message string) {
	if e.source != SourceStatic {
		k.log.Debug(message, "peer", e.id, "err", e.err)
		return
	}
	if !e.warned {
		e.warned = true
		k.log.Warn(message, "peer", e.id, "err", e.err)
	}
}

func (k *Keeper) signal() { signal(k.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
