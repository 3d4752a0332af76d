package streams

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

const (
	recordAddrsMax = 16               // addresses in our record, and of others' that are dialled
	dialMax        = 10 * time.Second // one dial by a record
)

// errReleased says why a link of a peer that was one too many is down.
var errReleased = errors.New("streams: one connection too many")

var _ carrier.Dialer = (*Carrier)(nil)

// ownRecord is the node's signed record, made anew when its addresses change.
type ownRecord struct {
	addrs  []ma.Multiaddr
	signed []byte
}

// Record implements [carrier.Dialer].
func (c *Carrier) Record() []byte {
	c.recordMu.Lock()
	defer c.recordMu.Unlock()
	c.renewRecord()
	return c.record.signed
}

// RecordChanged implements [carrier.Dialer].
func (c *Carrier) RecordChanged() <-chan struct{} { return c.recordChanged }

// addrsChanged hears that the host's addresses may have changed.
func (c *Carrier) addrsChanged() {
	c.recordMu.Lock()
	defer c.recordMu.Unlock()
	if c.renewRecord() {
		signal(c.recordChanged)
	}
}

// renewRecord signs a record if the addresses are others than those of the last
// one, and reports whether they were. c.recordMu is held.
func (c *Carrier) renewRecord() bool {
	addrs := tellable(c.cfg.Host.Addrs())
	if sameAddrs(addrs, c.record.addrs) {
		return false
	}
	c.record = ownRecord{addrs: addrs}
	for n := len(addrs); n > 0; n-- { // long addresses, such as those of relays: as many as there is room for
		signed, err := sign(c.cfg.Host, addrs[:n])
		if err != nil {
			c.log.Warn("cannot sign this node's addresses: peers are not told of it", "err", err)
			return true
		}
		if len(signed) <= wire.RecordMaxBytes {
			c.record.signed = signed
			return true
		}
	}
	return true
}

// sign returns the host's peer record, in an envelope.
func sign(h host.Host, addrs []ma.Multiaddr) ([]byte, error) {
	key := h.Peerstore().PrivKey(h.ID())
	if key == nil {
		return nil, errors.New("the host's key is not in its peerstore")
	}
	envelope, err := record.Seal(peer.PeerRecordFromAddrInfo(peer.AddrInfo{ID: h.ID(), Addrs: addrs}), key)
	if err != nil {
		return nil, err
	}
	return envelope.Marshal()
}

// tellable returns the addresses that are worth being told: those of the machine
// itself only if there is nothing else, and recordAddrsMax at most.
func tellable(addrs []ma.Multiaddr) []ma.Multiaddr {
	var far, near []ma.Multiaddr
	for _, addr := range addrs {
		if manet.IsIPLoopback(addr) {
			near = append(near, addr)
			continue
		}
		far = append(far, addr)
	}
	if len(far) == 0 {
		far = near
	}
	return far[:min(len(far), recordAddrsMax)]
}

func sameAddrs(x, y []ma.Multiaddr) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !bytes.Equal(x[i].Bytes(), y[i].Bytes()) {
			return false
		}
	}
	return true
}

// open verifies a record.
func open(signed []byte) (*record.Envelope, *peer.PeerRecord, error) {
	if len(signed) > wire.RecordMaxBytes {
		return nil, nil, fmt.Errorf("%w: %d bytes", carrier.ErrRecord, len(signed))
	}
	var r peer.PeerRecord
	envelope, err := record.ConsumeTypedEnvelope(signed, &r)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", carrier.ErrRecord, err)
	}
	if !r.PeerID.MatchesPublicKey(envelope.PublicKey) {
		return nil, nil, fmt.Errorf("%w: of %s, signed by another key", carrier.ErrRecord, r.PeerID)
	}
	return envelope, &r, nil
}

// Check implements [carrier.Dialer].
func (c *Carrier) Check(signed []byte) (wire.PeerID, uint64, error) {
	_, r, err := open(signed)
	if err != nil {
		return "", 0, err
	}
	return wire.PeerID(r.PeerID), r.Seq, nil
}

// Dial implements [carrier.Dialer]. The addresses are kept in the peerstore for
// a few minutes, as those of any dial. A peer that is refused is not dialled.
func (c *Carrier) Dial(signed []byte, failed func(error)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	c.wg.Go(func() {
		if err := c.dialRecord(signed); err != nil && c.ctx.Err() == nil {
			failed(err)
		}
	})
}

func (c *Carrier) dialRecord(signed []byte) error {
	envelope, r, err := open(signed)
	if err != nil {
		return err
	}
	if c.Refuses(r.PeerID) {
		return fmt.Errorf("%w for now", ErrDisconnected)
	}
	if book, ok := peerstore.GetCertifiedAddrBook(c.cfg.Host.Peerstore()); ok {
		// An older record than the one there is of no use; its addresses are tried all the same.
		_, _ = book.ConsumePeerRecord(envelope, peerstore.TempAddrTTL)
	}
	ctx, cancel := context.WithTimeout(c.ctx, dialMax)
	defer cancel()
	if err := c.cfg.Host.Connect(ctx, peer.AddrInfo{ID: r.PeerID, Addrs: tellable(r.Addrs)}); err != nil {
		return err
	}
	if n := c.neighbour(r.PeerID); n != nil { // there was a connection already
		n.wanted.Store(true)
		n.resting.Store(false)
		signal(n.wake)
	}
	return nil
}

// Avoid implements [carrier.Dialer]: when the link is down, it stays so on this
// connection until one side dials. Whoever connects to peers is told too.
func (c *Carrier) Avoid(p wire.PeerID) {
	if n := c.neighbour(peer.ID(p)); n != nil {
		n.resting.Store(true)
		n.wanted.Store(false)
	}
	if f := c.cfg.Observer.Avoid; f != nil {
		f(peer.ID(p))
	}
}

// Release implements [carrier.Dialer]. On an own host it closes the connection;
// on another it leaves that to the program.
func (c *Carrier) Release(p wire.PeerID) {
	n := c.neighbour(peer.ID(p))
	if n == nil {
		return
	}
	if l := n.link.Load(); l != nil {
		l.fail(errReleased)
	}
	c.closePeer(peer.ID(p))
}
