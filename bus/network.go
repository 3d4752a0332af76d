package bus

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
	"github.com/busnode/busnode/p2p/multicast/groupkey"
)

const networkKeyBytes = p2p.NetworkKeyBytes

// LoadNetworkKey reads a network key in the file format of libp2p's swarm keys.
// It refuses a file that others than its owner may read. See [WithNetworkKey].
func LoadNetworkKey(file string) ([]byte, error) {
	key, err := p2p.LoadNetworkKey(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return key, nil
}

// network is how the node reaches others: libp2p, or the carriers that it was given.
type network struct {
	signer   wire.Signer
	carriers []carrier.Carrier
	host     *p2p.Host     // nil with carriers of the program's
	segments *segments     // nil without multicast
	allowed  *allowList    // nil: everybody is
	changed  chan struct{} // never signals; for a node without host

	mu      sync.Mutex                           // makes one change of the field below, or of allowed, of two
	blocked atomic.Pointer[map[wire.PeerID]bool] // never changed, but replaced
}

// openNetwork starts the node's libp2p side, unless o brings carriers. With an
// error there is nothing to close.
func openNetwork(o *options) (*network, error) {
	key, err := identity(o)
	if err != nil {
		return nil, err
	}
	n := &network{
		carriers: o.carriers, changed: make(chan struct{}), allowed: newAllowList(o.allowed),
	}
	n.blocked.Store(&map[wire.PeerID]bool{})
	if len(o.carriers) > 0 {
		n.signer = wire.NewSigner(key)
		return n, nil
	}
	cfg := p2p.Config{
		Identity:   key,
		Host:       o.host,
		Network:    o.network,
		NetworkKey: o.networkKey,
		Listen:     o.listen,
		Peers:      o.peers,
		Admits:     n.allowed.admission(),
		NoMDNS:     o.noMDNS,
		Logger:     o.logger,
	}
	if o.dataDir != "" {
		cfg.PeersFile = filepath.Join(o.dataDir, "peers")
	}
	if n.host, err = p2p.New(cfg); err != nil {
		return nil, err
	}
	n.signer = wire.NewSigner(n.host.PrivateKey())
	n.carriers = []carrier.Carrier{n.host.Carrier()}
	if o.multicast.mode == MulticastOff {
		return n, nil
	}
	if n.segments, err = openSegments(o, n.host, n.hears); err != nil {
		return nil, errors.Join(err, n.host.Close())
	}
	n.carriers = append(n.carriers, n.segments.forDriver())
	return n, nil
}

// hears reports whether the node has anything to do with what a peer multicasts.
func (n *network) hears(p wire.PeerID) bool {
	return !(*n.blocked.Load())[p] && (n.allowed == nil || n.allowed.admits(p))
}

// allow makes peers the ones that the node deals with.
func (n *network) allow(peers []wire.PeerID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.segments != nil && n.segments.exchange != nil && len(peers) > groupkey.AllowedMax {
		return configError("%d peers, at most %d", len(peers), groupkey.AllowedMax)
	}
	n.allowed.set(peers)
	var err error
	if n.segments != nil {
		n.segments.carrier.Readmit()
		err = n.segments.allow(peers)
	}
	n.host.Readmit()
	return err
}

// identity returns the node's key: the one given, the data directory's or a new
// one. It returns nil when the host has it.
func identity(o *options) (ed25519.PrivateKey, error) {
	switch {
	case o.host != nil:
		return nil, nil
	case o.key != nil:
		return o.key, nil
	case o.dataDir != "":
		return p2p.LoadOrCreateIdentity(filepath.Join(o.dataDir, "identity"))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func (n *network) close() error {
	if n.host == nil {
		return nil
	}
	var err error
	if n.segments != nil {
		err = n.segments.close()
	}
	return errors.Join(err, n.host.Close())
}

// block makes peers the blocked ones.
func (n *network) block(peers []wire.PeerID) error {
	if n.host == nil {
		return errNoHost
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var block, unblock []wire.PeerID
	wanted, before := map[wire.PeerID]bool{}, *n.blocked.Load()
	for _, p := range peers {
		wanted[p] = true
		if !before[p] {
			block = append(block, p)
		}
	}
	for p := range before {
		if !wanted[p] {
			unblock = append(unblock, p)
		}
	}
	n.blocked.Store(&wanted)
	if n.segments != nil {
		n.segments.carrier.Readmit()
	}
	return errors.Join(n.host.Block(block...), n.host.Unblock(unblock...))
}

// Addrs returns the full multiaddrs, with /p2p/ID, at which the node can be
// dialled; wildcards are resolved to the interfaces' addresses.
func (b *Bus) Addrs() []string {
	if b.net.host == nil {
		return nil
	}
	return b.net.host.Addrs()
}

// AddrsChanged returns a channel on which a value arrives after [Bus.Addrs]
// changed. Changes that nobody received yet are one.
func (b *Bus) AddrsChanged() <-chan struct{} {
	if b.net.host == nil {
		return b.net.changed
	}
	return b.net.host.AddrsChanged()
}

// connectPoll is how often Connect looks whether the link is up.
const connectPoll = 10 * time.Millisecond

// Connect dials a peer by its full multiaddr with /p2p/ID, waits until the two
// can exchange events, and keeps it known: when it cannot be reached, now or
// later, it is tried again as those of [WithPeers] are. A peer that speaks
// another protocol is waited for until ctx is done. The error wraps
// [ErrOtherNetwork], [ErrClosed], ctx's cause or says why the dial failed.
func (b *Bus) Connect(ctx context.Context, addr string) error {
	switch {
	case b.isClosed():
		return ErrClosed
	case b.net.host == nil:
		return fmt.Errorf("bus: connect: %w", errNoHost)
	}
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return configError("connect: %q: %v", addr, err)
	}
	if err := b.net.host.Connect(ctx, addr); err != nil {
		return translate(err)
	}
	tick := time.NewTicker(connectPoll)
	defer tick.Stop()
	for {
		linked, err := b.net.linked(wire.PeerID(info.ID))
		if linked || err != nil {
			return translate(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.done:
			return ErrClosed
		}
	}
}

// linked reports whether there is a link with the peer, or why there will be none.
func (n *network) linked(p wire.PeerID) (bool, error) {
	for _, l := range n.host.Peers() {
		if l.Peer == p {
			return true, nil
		}
	}
	for _, t := range n.host.Troubles() {
		if t.Peer == p && errors.Is(t.Err, p2p.ErrOtherNetwork) {
			return false, t.Err
		}
	}
	return false, nil
}

// Trouble is a peer that this node would have and has not.
type Trouble struct {
	Peer   PeerID
	Addrs  []string
	Static bool  // given with WithPeers
	Tries  int   // in vain, since it was last connected
	Err    error // of the newest try; wraps ErrOtherNetwork, or says why the peer cannot be reached
}

// Troubles returns the known peers that this node could not connect to when it
// last tried. It goes on trying.
func (b *Bus) Troubles() []Trouble {
	if b.net.host == nil {
		return nil
	}
	troubles := b.net.host.Troubles()
	list := make([]Trouble, len(troubles))
	for i, t := range troubles {
		list[i] = Trouble{Peer: peerIDOf(t.Peer), Addrs: t.Addrs, Static: t.Static, Tries: t.Tries, Err: translate(t.Err)}
	}
	return list
}

// Block replaces the set of peers that this node has nothing to do with:
// connections to them are closed, and none is made or taken. Peers that are
// blocked no more are dialled again at once. Without arguments it blocks nobody.
// It serves operators, and tests that cut a network; a
// node on a host of its program's cannot.
func (b *Bus) Block(peers ...PeerID) error {
	ids := make([]wire.PeerID, len(peers))
	for i, p := range peers {
		id, err := p.wire()
		if err != nil {
			return err
		}
		ids[i] = id
	}
	if b.isClosed() {
		return ErrClosed
	}
	if err := b.net.block(ids); err != nil {
		return fmt.Errorf("bus: block: %w", err)
	}
	return nil
}

// errNoHost answers what only libp2p can do.
var errNoHost = errors.New("the node runs on carriers of its program's")

func validAddrs(option string, addrs []string) error {
	var errs []error
	for _, a := range addrs {
		if _, err := multiaddr.NewMultiaddr(a); err != nil {
			errs = append(errs, fmt.Errorf("%w: %s: %q: %w", ErrConfig, option, a, err))
		}
	}
	return errors.Join(errs...)
}

func validPeerAddrs(option string, addrs []string) error {
	var errs []error
	for _, a := range addrs {
		if _, err := peer.AddrInfoFromString(a); err != nil {
			errs = append(errs, fmt.Errorf("%w: %s: %q: %w", ErrConfig, option, a, err))
		}
	}
	return errors.Join(errs...)
}

// count adds what streams and multicast sent, refused and gave up to the counters.
func (n *network) count(counters map[string]uint64) {
	if n.host == nil {
		return
	}
	s := n.host.Carrier().Stats()
	counters["streams_bytes_sent"] = s.BytesSent
	counters["streams_liveness_bytes_sent"] = s.LivenessBytesSent
	counters["streams_handshakes_refused"] = s.HandshakesRefused
	counters["streams_handshakes_failed"] = s.HandshakesFailed
	counters["streams_links_up"] = s.LinksUp
	counters["streams_links_down"] = s.LinksDown
	counters["streams_silent"] = s.Silent
	n.segments.count(counters)
}
