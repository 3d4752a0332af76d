package p2p

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/discovery"
	"github.com/busnode/busnode/p2p/streams"
)

// Errors that callers test with [errors.Is].
var (
	// ErrHostKey says that a given host's key cannot sign for the bus.
	ErrHostKey = errors.New("p2p: host without an Ed25519 key")
	// ErrNotOwnHost says that this needs a host of the node's own.
	ErrNotOwnHost = errors.New("p2p: not on a host that was given")
	// ErrOtherNetwork says that a peer is on another network or uses another key.
	ErrOtherNetwork = streams.ErrOtherNetwork
	// ErrListen says that the host cannot listen on an address that was named.
	ErrListen = errors.New("p2p: cannot listen")
	// ErrClosed says that the host is closed.
	ErrClosed = errors.New("p2p: closed")
)

// Host is a node's place on the network.
type Host struct {
	set     settings
	log     *slog.Logger
	host    host.Host
	own     bool
	key     ed25519.PrivateKey
	gater   *gater // nil on a given host
	carrier *streams.Carrier
	keeper  *discovery.Keeper
	changed chan struct{} // the addresses have changed

	ctx       context.Context //nolint:containedctx // the host's own, ended by Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// New makes the node's place on the network, or takes the one given. Others
// can connect when it returns; links come up, and peers are dialled, once the
// carrier is started. The error wraps ErrConfig, ErrHostKey, ErrListen or libp2p's.
func New(cfg Config) (*Host, error) {
	set, err := cfg.check()
	if err != nil {
		return nil, err
	}
	h := &Host{set: set, log: set.Logger.With("component", "p2p"), own: cfg.Host == nil, changed: make(chan struct{}, 1)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if err := h.open(); err != nil {
		h.cancel()
		return nil, err
	}
	return h, nil
}

func (h *Host) open() (err error) {
	h.host = h.set.Host
	if h.own {
		h.gater = newGater(h.refuses)
		defer close(h.gater.ready)
		if h.host, err = newHost(h.set, h.gater); err != nil {
			return err
		}
	}
	h.key, err = ed25519Key(h.host.Peerstore().PrivKey(h.host.ID()))
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrHostKey, err), h.closeOwn())
	}
	sub, err := h.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return errors.Join(fmt.Errorf("p2p: subscribe to the host's events: %w", err), h.closeOwn())
	}
	h.carrier = streams.New(streams.Config{
		Host: h.host, OwnHost: h.own, Secret: derive("streams", h.set.Network, h.set.NetworkKey), Logger: h.set.Logger,
		Admits:   h.admits(),
		Observer: streams.Observer{Started: h.started, Up: h.up, Down: h.down, Avoid: h.avoid, Refused: h.refused},
	})
	h.keeper = discovery.New(discovery.Config{
		Host: h.host, Static: h.set.static, File: h.set.PeersFile, MDNS: h.serviceName(),
		Refuses: h.carrier.Refuses, Logger: h.set.Logger,
	})
	h.wg.Go(func() { h.watchAddrs(sub) })
	return nil
}

// serviceName returns the name under which the network's nodes find each other
// with mDNS. It tells the network only to those who know its name and key.
func (h *Host) serviceName() string {
	if h.set.NoMDNS {
		return ""
	}
	return "_" + hex.EncodeToString(derive("mdns", h.set.Network, h.set.NetworkKey)[:12]) + "._udp"
}

// ID returns the node's peer ID.
func (h *Host) ID() wire.PeerID { return wire.PeerID(h.host.ID()) }

// PrivateKey returns the node's key, for signing.
func (h *Host) PrivateKey() ed25519.PrivateKey { return h.key }

// Libp2p returns the libp2p host, for protocols beside the carrier's. It must
// not be closed.
func (h *Host) Libp2p() host.Host { return h.host }

// Carrier returns the carrier. Whoever starts it need not close it: Close does.
func (h *Host) Carrier() *streams.Carrier { return h.carrier }

// Addrs returns the node's full multiaddresses, with wildcards resolved to
// those of the interfaces.
func (h *Host) Addrs() []string {
	var addrs []string
	for _, addr := range h.host.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", addr, h.host.ID()))
	}
	return addrs
}

// AddrsChanged returns a channel that has a value after [Host.Addrs] changed.
// It is for one reader.
func (h *Host) AddrsChanged() <-chan struct{} { return h.changed }

// Connect makes a peer known by its full multiaddress and connects to it. The
// link follows. A peer that cannot be reached now is tried again later, as a
// static one is. The error wraps discovery.ErrAddress or says why the dial failed.
func (h *Host) Connect(ctx context.Context, addr string) error {
	if h.ctx.Err() != nil {
		return ErrClosed
	}
	infos, err := discovery.ParseAddrs(addr)
	if err != nil {
		return err
	}
	if err := h.keeper.Ask(infos[0]); err != nil {
		return err
	}
	if err := h.host.Connect(ctx, infos[0]); err != nil {
		return fmt.Errorf("p2p: connect to %s: %w", addr, err)
	}
	return nil
}

// Heard makes a peer known that something found on the local network, as mDNS
// would. Addresses that are none are left out.
func (h *Host) Heard(p wire.PeerID, addrs []string) {
	info := peer.AddrInfo{ID: peer.ID(p)}
	for _, text := range addrs {
		if addr, err := ma.NewMultiaddr(text); err == nil {
			info.Addrs = append(info.Addrs, addr)
		}
	}
	if h.ctx.Err() == nil && len(info.Addrs) > 0 {
		h.keeper.HandlePeerFound(info)
	}
}

// Readmit hears that [Config.Admits] may answer otherwise than before: links of
// peers that are not admitted any more go down, and known ones that are now are dialled.
func (h *Host) Readmit() {
	h.carrier.Readmit()
	for _, s := range h.keeper.Status() {
		if !s.Linked && !h.carrier.Refuses(s.ID) {
			h.keeper.Retry(s.ID)
		}
	}
}

// admits returns what Config.Admits is to streams, nil included.
func (h *Host) admits() func(peer.ID) bool {
	f := h.set.Admits
	if f == nil {
		return nil
	}
	return func(p peer.ID) bool { return f(wire.PeerID(p)) }
}

// Close ends the links and the search for peers, and closes the host if it is
// the node's own. It is idempotent. The carrier's handler is not called after it.
func (h *Host) Close() error {
	h.closeOnce.Do(func() {
		h.cancel()
		h.closeErr = errors.Join(h.keeper.Close(), h.carrier.Close())
		h.wg.Wait()
		h.closeErr = errors.Join(h.closeErr, h.closeOwn())
	})
	return h.closeErr
}

func (h *Host) closeOwn() error {
	if !h.own {
		return nil
	}
	return h.host.Close()
}

// Block closes the connections to the peers and refuses new ones, both ways,
// until Unblock. It serves to rehearse a cut of the network.
func (h *Host) Block(peers ...wire.PeerID) error {
	ids, err := h.blockable(peers)
	if err != nil {
		return err
	}
	h.gater.set(ids, true)
	var errs []error
	for _, p := range ids {
		errs = append(errs, h.host.Network().ClosePeer(p))
	}
	return errors.Join(errs...)
}

// Unblock ends a Block; known peers are dialled again at once.
func (h *Host) Unblock(peers ...wire.PeerID) error {
	ids, err := h.blockable(peers)
	if err != nil {
		return err
	}
	h.gater.set(ids, false)
	h.keeper.Retry(ids...)
	return nil
}

func (h *Host) blockable(peers []wire.PeerID) ([]peer.ID, error) {
	if !h.own {
		return nil, ErrNotOwnHost
	}
	ids := make([]peer.ID, len(peers))
	for i, p := range peers {
		ids[i] = peer.ID(p)
	}
	return ids, nil
}

// refuses serves the gater. There is no carrier when the making of h failed.
func (h *Host) refuses(p peer.ID) bool { return h.carrier == nil || h.carrier.Refuses(p) }

// started hears that the carrier was started.
func (h *Host) started() {
	h.keeper.Start()
	if h.own {
		h.wg.Go(h.sweep)
	}
}

func (h *Host) up(l carrier.Link, conn network.Conn) {
	h.log.Info("link up", "peer", conn.RemotePeer(), "path", l.Path)
	h.keeper.Up(conn.RemotePeer(), conn)
}

func (h *Host) down(p peer.ID, reason error) {
	h.log.Info("link down", "peer", p, "reason", reason)
	h.keeper.Down(p, reason)
}

func (h *Host) avoid(p peer.ID) { h.keeper.Avoid(p) }

func (h *Host) refused(p peer.ID, err error) {
	if errors.Is(err, ErrOtherNetwork) {
		err = &otherNetworkError{peer: p, network: h.set.Network}
	}
	h.keeper.Refused(p, err)
}

// otherNetworkError names the peer that is on another network than ours.
type otherNetworkError struct {
	peer    peer.ID
	network string
}

func (e *otherNetworkError) Error() string {
	return fmt.Sprintf("p2p: peer %s is not on network %q or uses another network key", e.peer, e.network)
}

func (e *otherNetworkError) Unwrap() error { return ErrOtherNetwork }

// watchAddrs passes on that the addresses have changed.
func (h *Host) watchAddrs(sub event.Subscription) {
	defer func() { _ = sub.Close() }() // a closed subscription has nothing to lose
	for {
		select {
		case <-sub.Out():
		case <-h.ctx.Done():
			return
		}
		h.keeper.AddrsChanged()
		select {
		case h.changed <- struct{}{}:
		default:
		}
	}
}

// sweep drops connections that carry no link: strangers', and those whose
// other end has given up.
func (h *Host) sweep() {
	tick := time.NewTicker(graceOfConns / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			return
		}
		linked := make(map[peer.ID]bool)
		for _, l := range h.carrier.Links() {
			linked[peer.ID(l.Peer)] = true
		}
		for _, conn := range h.host.Network().Conns() {
			if !linked[conn.RemotePeer()] && time.Since(conn.Stat().Opened) > graceOfConns {
				_ = conn.Close() // it is of no use, whatever Close says
			}
		}
	}
}

// Trouble is a peer that the node would have but has not.
type Trouble struct {
	Peer   wire.PeerID
	Addrs  []string
	Static bool
	Tries  int
	Err    error // wraps ErrOtherNetwork, or says why it cannot be reached
}

// Troubles returns the known peers without a link whose newest try failed, in
// order of ID.
func (h *Host) Troubles() []Trouble {
	var troubles []Trouble
	for _, s := range h.keeper.Status() {
		if s.Linked || s.Err == nil {
			continue
		}
		t := Trouble{
			Peer: wire.PeerID(s.ID), Static: s.Source == discovery.SourceStatic, Tries: s.Failures, Err: s.Err,
		}
		for _, addr := range s.Addrs {
			t.Addrs = append(t.Addrs, addr.String())
		}
		troubles = append(troubles, t)
	}
	return slices.Clip(troubles)
}

// Peers returns the links that are up, in order of peer ID.
func (h *Host) Peers() []streams.LinkStatus { return h.carrier.Links() }
